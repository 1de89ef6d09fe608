"""Two sets of pictures without partners, for unpaired training: two folders a split, or pairs taken apart.

Each set is a source of its own: keys, splits, single pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from p2pcli.errors import NothingMatchedError
from p2pcli.image import Sample
from p2pcli.io import open_source
from p2pcli.io.base import MAX_PIXELS, Entry, Source
from p2pcli.io.codec import read_image
from p2pcli.io.folder import entry_of, splits_of
from p2pcli.io.left_out import LeftOut, TellsLeftOut
from p2pcli.io.listing import list_media
from p2pcli.io.pairs_folder import LAYOUTS, DomainFolders, find_domain_folders


def open_domains(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> tuple[Source, Source]:
    """The pictures of domain A and those of domain B that lie at `path`; their numbers may differ.

    Two folders a split are read as they are; a dataset of pairs gives its inputs as A, its targets as B.
    Raises `NothingMatchedError` where there are not two sets, `UsageError` as `open_source` does.
    """
    folders = find_domain_folders(Path(path))
    if folders:
        return (
            DomainSource(folders, "A", max_pixels=max_pixels),
            DomainSource(folders, "B", max_pixels=max_pixels),
        )
    pairs = open_source(path, max_pixels=max_pixels)
    if not pairs.is_paired:
        raise NothingMatchedError(
            f"{path}: one set of pictures, where unpaired training needs two. Lay them out as one of: "
            f"{'; '.join(LAYOUTS)}. Names and numbers may differ."
        )
    return SideSource(pairs, "A"), SideSource(pairs, "B")


class DomainSource:
    """The pictures of one domain. Keys begin with the split where the layout names one."""

    is_paired = False

    def __init__(
        self, folders: Sequence[DomainFolders], domain: Literal["A", "B"], *, max_pixels: int
    ) -> None:
        self.domain = domain
        self._max_pixels = max_pixels
        self.left_out = LeftOut()
        self._entries: dict[str, Entry] = {}
        for found in folders:
            self.path = found.a if domain == "A" else found.b
            prefix = f"{found.split}/" if found.split else ""
            listing = list_media(self.path, kinds=("image",))
            self._entries.update((prefix + entry.key, entry) for entry in listing.entries)

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" where the layout names none."""
        return splits_of(list(self._entries))

    def read(self, key: str) -> Sample:
        """The picture `key`. Raises `ItemError` where its bytes cannot be used."""
        entry = entry_of(self._entries, key, self.path)
        decoded = read_image(entry.path, max_pixels=self._max_pixels)
        self.left_out.add(f"{self.domain}/{entry.relative}", decoded.meta)
        return Sample(key, decoded.image, meta={"source": f"{self.domain}/{entry.relative}"})


class SideSource:
    """One side of a source of pairs, as pictures of their own."""

    is_paired = False

    def __init__(self, pairs: Source, domain: Literal["A", "B"]) -> None:
        self.domain = domain
        self._pairs = pairs
        self.left_out = pairs.left_out if isinstance(pairs, TellsLeftOut) else LeftOut()

    def splits(self) -> dict[str, Sequence[str]]:
        """As the pairs have them."""
        return self._pairs.splits()

    def read(self, key: str) -> Sample:
        """The picture of this side in pair `key`. Raises `ItemError`."""
        sample = self._pairs.read(key)
        assert sample.target is not None
        return Sample(key, sample.input if self.domain == "A" else sample.target, meta=sample.meta)
