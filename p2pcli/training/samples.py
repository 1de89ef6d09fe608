"""Sample grids: rows of input | output | target, or there and back again, as one labelled PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from p2pcli.image import Image, as_rgb8, resize

PAIR_COLUMNS = ("input", "output", "target")
CYCLE_COLUMNS = ("input", "output", "back again")
_GAP_PX = 4
_LINE_PX = 18
_BACKGROUND = 248
_INK = (40, 40, 40)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    font = ImageFont.load_default(13)
    # Small pictures are narrower than what is written above them.
    step = _GAP_PX + max(side, *(math.ceil(font.getlength(name)) for name in columns))
    width = 3 * step + _GAP_PX
    lines = _wrapped(caption, font, width - 2 * _GAP_PX)
    header = len(lines) * _LINE_PX + 8
    canvas = PillowImage.new(
        "RGB", (width, header + _LINE_PX + len(rows) * (side + _GAP_PX)), (_BACKGROUND,) * 3
    )
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((_GAP_PX, 4 + number * _LINE_PX), line, fill=_INK, font=font)
    for column, name in enumerate(columns):
        x = _GAP_PX + column * step
        draw.text((x, header), name, fill=_INK, font=font)
        for index, row in enumerate(rows):
            cell = resize(as_rgb8((row.input, row.output, row.target)[column]), side, side, kernel="auto")
            top = header + _LINE_PX + index * (side + _GAP_PX)
            canvas.paste(PillowImage.fromarray(cell), (x, top))
    return np.asarray(canvas)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """`text` in lines of at most `width` px, broken at spaces; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
