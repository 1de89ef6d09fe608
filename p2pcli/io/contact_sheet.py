"""A contact sheet: one PNG that shows some pairs side by side under their keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from p2pcli.image import Image, Sample, as_rgb8, resize

_GROUND = 245
_GAP_PX = 8
_LABEL_PX = 18


def contact_sheet(samples: Sequence[Sample], *, columns: int = 3, cell_px: int = 256) -> Image:
    """Pairs as input | target, `columns` pairs in a row; uint8 RGB (H, W, 3).

    Each picture is scaled so that its longer side has `cell_px`, enlarged without blur. A sample without a
    target is shown alone.
    """
    tiles = [_tile(sample, cell_px) for sample in samples]
    columns = max(1, min(columns, len(tiles)))
    width = max((tile.shape[1] for tile in tiles), default=cell_px)
    height = max((tile.shape[0] for tile in tiles), default=cell_px)
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + _GAP_PX) + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3)
    sheet = np.full(shape, _GROUND, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top = _GAP_PX + number // columns * (height + _GAP_PX)
        left = _GAP_PX + number % columns * (width + _GAP_PX)
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _tile(sample: Sample, cell_px: int) -> Image:
    pictures = [sample.input] if sample.target is None else [sample.input, sample.target]
    shown = [_scaled(as_rgb8(picture), cell_px) for picture in pictures]
    height = max(picture.shape[0] for picture in shown)
    width = sum(picture.shape[1] for picture in shown) + 2 * (len(shown) - 1)
    canvas = PillowImage.new("RGB", (width, height + _LABEL_PX), (_GROUND,) * 3)
    left = 0
    for picture in shown:
        canvas.paste(PillowImage.fromarray(picture), (left, 0))
        left += picture.shape[1] + 2
    label = "".join(one if one.isascii() and one.isprintable() else "?" for one in sample.key)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=12)
    while len(label) > 4 and draw.textlength(label, font=font) > width:
        label = f"...{label[4:]}" if label.startswith("...") else f"...{label[1:]}"
    draw.text((0, height + 2), label, fill=(60, 60, 60), font=font)
    return np.asarray(canvas)


def _scaled(picture: Image, cell_px: int) -> Image:
    height, width = picture.shape[:2]
    scale = cell_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(resize(picture, *size, kernel="nearest" if scale > 1 else "area"))
