"""Cutting pictures into tiles that overlap, for networks whose memory grows faster than the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from p2pcli.image import Image

TILE_BYTES = 2 << 30
"""What a network may need at once on a CPU."""

_SMALLEST_PX, _LARGEST_PX = 128, 1024


@dataclass(frozen=True)
class Tiling:
    """Squares of `side_px` that reach at least `margin_px` into each other on both sides of a cut."""

    side_px: int
    margin_px: int
    multiple_of: int = 1
    """Tiles begin at multiples of this, as the network's own windows do."""
    scale: int = 1
    """Px of the result for one of the picture."""

    def spans(self, length: int) -> list[tuple[int, int, int]]:
        """(start, keep from, keep to) of the tiles along a side of `length` px, evenly spread.

        >>> Tiling(side_px=8, margin_px=2).spans(12)
        [(0, 0, 6), (4, 6, 12)]
        """
        if length <= self.side_px:
            return [(0, 0, length)]
        last = length - self.side_px
        # Less by what the rounding of the starts may take.
        step = self.side_px - 2 * self.margin_px - (self.multiple_of - 1)
        count = 1 + -(-last // step)
        # The last begins where it must, the others at a multiple.
        starts = [
            index * last // (count - 1) // self.multiple_of * self.multiple_of for index in range(count)
        ]
        starts[-1] = last
        cuts = [0, *((a + self.side_px + b) // 2 for a, b in pairwise(starts)), length]
        return [(start, begin, end) for start, (begin, end) in zip(starts, pairwise(cuts), strict=True)]


def fitting_tiling(*, bytes_per_pixel: float, budget: float, multiple_of: int, scale: int) -> Tiling:
    """The largest tiles of which one needs `budget` bytes in the network, 128 to 1024 px."""
    side = min(_LARGEST_PX, max(_SMALLEST_PX, int((budget / bytes_per_pixel) ** 0.5)))
    whole = max(1, side // multiple_of) * multiple_of
    return Tiling(side_px=whole, margin_px=min(32, whole // 8), multiple_of=multiple_of, scale=scale)


def run_in_tiles(batch: Tensor, run: Callable[[Tensor], Image], tiling: Tiling) -> Image:
    """What `run` makes of `batch` (B, C, H, W), put together from its tiles: (B, H·scale, W·scale, C').

    `run` maps a tile (B, C, h, w) to an array (B, h·scale, w·scale, C').
    """
    height, width = batch.shape[2:]
    scale, result = tiling.scale, None
    for top, first_row, last_row in tiling.spans(height):
        for left, first_column, last_column in tiling.spans(width):
            tile = batch[:, :, top : top + tiling.side_px, left : left + tiling.side_px]
            made = run(tile)
            if result is None:
                result = np.empty((len(batch), height * scale, width * scale, made.shape[3]), made.dtype)
            rows = slice((first_row - top) * scale, (last_row - top) * scale)
            columns = slice((first_column - left) * scale, (last_column - left) * scale)
            result[:, first_row * scale : last_row * scale, first_column * scale : last_column * scale] = (
                made[:, rows, columns]
            )
    assert result is not None
    return result
