"""Two sets of pictures without partners, for unpaired training: two folders a split, or pairs taken apart.

Each set is a source of its own: keys, splits, single pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from p2pcli.errors import NothingMatchedError
from p2pcli.image import Sample
from p2pcli.io import FOLDERS, open_source
from p2pcli.io.base import MAX_PIXELS, Entry, Source
from p2pcli.io.codec import read_image
from p2pcli.io.folder import entry_of, splits_of
from p2pcli.io.left_out import LeftOut, TellsLeftOut
from p2pcli.io.pair_names import LAYOUTS
from p2pcli.io.pair_sides import Asked, PairFolders
from p2pcli.io.pairs_folder import entries_of, find_pair_folders


def open_domains(
    path: str | Path,
    *,
    layout: str | None = None,
    input_side: str | None = None,
    target_side: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Source, Source]:
    """The pictures of domain A and those of domain B that lie at `path`; their numbers may differ.

    Two folders a split are read as they are; a dataset of pairs gives its inputs as A, its targets as B.
    `layout`, `input_side` (A) and `target_side` (B) are as in `open_source`. Raises `NothingMatchedError`
    where there are not two sets, `UsageError` as `open_source` does.
    """
    place = Path(path)
    asked = Asked(input=input_side, target=target_side)
    folders = find_pair_folders(place, asked) if place.is_dir() and layout in (None, *FOLDERS) else ()
    if folders:
        return (
            DomainSource(place, folders, "A", max_pixels=max_pixels),
            DomainSource(place, folders, "B", max_pixels=max_pixels),
        )
    pairs = open_source(
        path, layout=layout, input_side=input_side, target_side=target_side, max_pixels=max_pixels
    )
    if not pairs.is_paired:
        raise NothingMatchedError(
            f"{path}: one set of pictures, where unpaired training needs two. Lay them out as one of: "
            f"{'; '.join(LAYOUTS)}. Names and numbers may differ. Other folders: --input A --target B."
        )
    return SideSource(pairs, "A"), SideSource(pairs, "B")


class DomainSource:
    """The pictures of one domain. Keys begin with the split where the layout names one."""

    is_paired = False

    def __init__(
        self, root: Path, folders: Sequence[PairFolders], domain: Literal["A", "B"], *, max_pixels: int
    ) -> None:
        self.domain = domain
        self.folders = tuple(folders)
        self._max_pixels = max_pixels
        self.left_out = LeftOut()
        self._entries: dict[str, Entry] = {}
        for found in folders:
            side = found.input if domain == "A" else found.target
            self.path = root / side.folder
            entries = entries_of(root, side)
            self._entries.update((found.prefix + key, entry) for key, entry in entries.items())

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" where the layout names none."""
        return splits_of(list(self._entries))

    def read(self, key: str) -> Sample:
        """The picture `key`. Raises `ItemError` where its bytes cannot be used."""
        entry = entry_of(self._entries, key, self.path)
        decoded = read_image(entry.path, max_pixels=self._max_pixels)
        self.left_out.add(f"{self.domain}/{entry.relative}", decoded.meta)
        return Sample(key, decoded.image, meta={"source": f"{self.domain}/{entry.relative}"})

    def file_of(self, key: str) -> Path:
        """The file of the picture `key`."""
        return entry_of(self._entries, key, self.path).path


class SideSource:
    """One side of a source of pairs, as pictures of their own."""

    is_paired = False

    def __init__(self, pairs: Source, domain: Literal["A", "B"]) -> None:
        self.domain = domain
        self.pairs = pairs
        self.left_out = pairs.left_out if isinstance(pairs, TellsLeftOut) else LeftOut()

    def splits(self) -> dict[str, Sequence[str]]:
        """As the pairs have them."""
        return self.pairs.splits()

    def read(self, key: str) -> Sample:
        """The picture of this side in pair `key`. Raises `ItemError`."""
        sample = self.pairs.read(key)
        assert sample.target is not None
        return Sample(key, sample.input if self.domain == "A" else sample.target, meta=sample.meta)
