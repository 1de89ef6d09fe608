"""Plain photos: a folder, a file, a glob or a list file, without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from p2pcli.errors import UsageError
from p2pcli.image import Sample
from p2pcli.io.base import MAX_PIXELS, Entry, Listing, Skipped
from p2pcli.io.codec import read_image
from p2pcli.io.left_out import LeftOut
from p2pcli.io.listing import list_media
from p2pcli.io.pair_names import SPLITS


def splits_of(keys: Sequence[str]) -> dict[str, Sequence[str]]:
    """Split → keys, by the first folder of each key; {"all": keys} unless every key lies in a split."""
    by_split: dict[str, list[str]] = {}
    for key in keys:
        folder, slash, _ = key.partition("/")
        split = SPLITS.get(folder.lower()) if slash else None
        if split is None:
            return {"all": keys}
        by_split.setdefault(split, []).append(key)
    return {name: by_split[name] for name in ("train", "validation", "test") if name in by_split}


class FolderSource:
    """Photos below a folder; each sample has the photo as its input and no target.

    `listing` says what to read where it is known already. Keys are posix paths below the folder, without
    suffix.
    """

    is_paired = False

    def __init__(
        self, path: str | Path, *, max_pixels: int = MAX_PIXELS, listing: Listing | None = None
    ) -> None:
        listing = listing or list_media(path, kinds=("image",))
        self.path = Path(path)
        self.skipped: tuple[Skipped, ...] = listing.skipped
        self._entries: dict[str, Entry] = {entry.key: entry for entry in listing.entries}
        self._max_pixels = max_pixels
        self.left_out = LeftOut()

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" unless every photo lies in train/, val/ or test/."""
        return splits_of(list(self._entries))

    def read(self, key: str) -> Sample:
        """The photo `key`, upright and in sRGB. Raises `ItemError`, also where its bytes are damaged."""
        entry = entry_of(self._entries, key, self.path)
        decoded = read_image(entry.path, max_pixels=self._max_pixels)
        self.left_out.add(entry.relative, decoded.meta)
        return Sample(key, decoded.image, meta={"source": entry.relative})

    def is_side_by_side(self) -> bool:
        """True where all photos are twice as wide as high, as pairs side by side would be."""
        from p2pcli.io.sidebyside import is_side_by_side

        return is_side_by_side(list(self._entries.values()))

    def file_of(self, key: str) -> Path:
        """The file behind `key`."""
        return entry_of(self._entries, key, self.path).path


def entry_of(entries: dict[str, Entry], key: str, path: Path) -> Entry:
    """The entry called `key`. Raises `UsageError` where the source at `path` has none."""
    if key not in entries:
        raise UsageError(f"{path}: no image '{key}' among its {len(entries)}. Ask splits() for the keys.")
    return entries[key]
