"""Pairs as pix2pix published them: one image of twice the width, A on the left, B on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from p2pcli.errors import ItemError
from p2pcli.image import Sample
from p2pcli.io.base import MAX_PIXELS, Entry, Listing, Skipped
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.folder import entry_of, splits_of
from p2pcli.io.listing import list_media

_PROBED = 64
"""At most so many headers are looked at, spread over the folder."""
_TOLERANCE = 0.02
"""How far width / height may be from 2."""


def is_side_by_side(entries: Sequence[Entry]) -> bool:
    """True where all probed images are twice as wide as high, to within 2 %; at least one must be readable.

    Pairs of pictures that are not square cannot be told by their shape: ask for the layout by its name.
    """
    step = max(1, -(-len(entries) // _PROBED))
    found = False
    for entry in entries[::step]:
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
        listing = listing or list_media(path, kinds=("image",))
        self.path = Path(path)
        self.skipped: tuple[Skipped, ...] = listing.skipped
        self._entries: dict[str, Entry] = {entry.key: entry for entry in listing.entries}
        self._max_pixels = max_pixels

    def splits(self) -> dict[str, Sequence[str]]:
        """Split → keys; one split "all" unless every image lies in train/, val/ or test/."""
        return splits_of(list(self._entries))

    def read(self, key: str) -> Sample:
        """The pair `key`. Raises `ItemError` for damaged bytes and for images too narrow to halve."""
        entry = entry_of(self._entries, key, self.path)
        image = read_image(entry.path, max_pixels=self._max_pixels).image
        height, width, _ = image.shape
        if width < 2:
            raise ItemError(
                f"{entry.path.name}: {width}×{height} cannot be cut into a left and a right half."
            )
        left, right = image[:, : width // 2], image[:, width // 2 :]
        return Sample(
            key, np.ascontiguousarray(left), np.ascontiguousarray(right), meta={"source": entry.relative}
        )
