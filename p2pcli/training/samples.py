"""Sample grids: rows of input | output | target, or there and back again, as one labelled PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from p2pcli.image import Image, as_rgb8, resize

PAIR_COLUMNS = ("input", "output", "target")
CYCLE_COLUMNS = ("input", "output", "back again")
_GAP_PX = 4
_BACKGROUND = 248


class SampleRow(NamedTuple):
    """One row of a grid: uint8 images, 1 or 3 channels, and the key they come from."""

    key: str
    input: Image
    output: Image
    target: Image
    """Or what came back, where there is no target."""


def draw_grid(
    rows: Sequence[SampleRow],
    *,
    caption: str,
    columns: tuple[str, ...] = PAIR_COLUMNS,
    cell_px: int = 256,
) -> Image:
    """The rows under each other, the three columns headed as `columns` says: uint8 (H, W, 3)."""
    side = min(cell_px, rows[0].target.shape[0])
    header = 26
    width = 3 * side + 4 * _GAP_PX
    height = 2 * header + len(rows) * (side + _GAP_PX)
    canvas = PillowImage.new("RGB", (width, height), (_BACKGROUND,) * 3)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    draw.text((_GAP_PX, 5), caption, fill=(40, 40, 40), font=font)
    for column, name in enumerate(columns):
        x = _GAP_PX + column * (side + _GAP_PX)
        draw.text((x, header + 3), name, fill=(40, 40, 40), font=font)
        for index, row in enumerate(rows):
            cell = resize(as_rgb8((row.input, row.output, row.target)[column]), side, side, kernel="auto")
            canvas.paste(PillowImage.fromarray(cell), (x, 2 * header + index * (side + _GAP_PX)))
    return np.asarray(canvas)
