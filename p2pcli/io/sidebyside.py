"""Pairs as pix2pix published them: one image of twice the width, A on the left, B on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from p2pcli.errors import ItemError
from p2pcli.image import Sample
from p2pcli.io.base import MAX_PIXELS, Entry, Listing, Skipped
from p2pcli.io.codec import read_header
from p2pcli.io.folder import FolderSource

_TOLERANCE = 0.02
"""How far width / height may be from 2."""


def is_side_by_side(entries: Sequence[Entry]) -> bool:
    """True where all images are twice as wide as high, to within 2 %; at least one must be readable.

    Headers are read up to the first that is not, so that a folder of photos costs next to nothing. Pairs
    of pictures that are not square cannot be told by their shape: ask for the layout by its name.
    """
    found = False
    for entry in entries:
        try:
            width, height = read_header(entry.path).upright_size
        except ItemError:
            continue
        if abs(width / height - 2) > 2 * _TOLERANCE:
            return False
        found = True
    return found


class SideBySideSource:
    """Pairs cut from the two halves of each image: `input` is the left half (A), `target` the right (B).

    The left half is floor(width / 2) wide, as in the published code; an odd column goes to the right half.
    """

    is_paired = True

    def __init__(
        self, path: str | Path, *, max_pixels: int = MAX_PIXELS, listing: Listing | None = None
    ) -> None:
        self._images = FolderSource(path, max_pixels=max_pixels, listing=listing)
        self.path = self._images.path
        self.skipped: tuple[Skipped, ...] = self._images.skipped
        self.left_out = self._images.left_out

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" unless every image lies in train/, val/ or test/."""
        return self._images.splits()

    def file_of(self, key: str) -> Path:
        """The file that holds both halves of `key`."""
        return self._images.file_of(key)

    def read(self, key: str) -> Sample:
        """The pair `key`. Raises `ItemError` for damaged bytes and for images too narrow to halve."""
        whole = self._images.read(key)
        height, width, _ = whole.input.shape
        if width < 2:
            name = PurePosixPath(str(whole.meta["source"])).name
            raise ItemError(f"{name}: {width}×{height} cannot be cut into a left and a right half.")
        left, right = whole.input[:, : width // 2], whole.input[:, width // 2 :]
        return Sample(key, np.ascontiguousarray(left), np.ascontiguousarray(right), meta=whole.meta)
