"""Pictures whose pixels are ids: what a file stores, before a palette or a bit depth makes a colour of it."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from p2pcli.image import Image

_NO_LOOK = 64
"""A gray below it is next to black: nobody gives such a colour to a class for looks."""
_VOID = 255
_SAMPLE_STEPS = {2: 85, 4: 17}
"""Bits of a gray sample → what Pillow multiplies it by to fill 8 bits."""


def stored_ids(picture: PillowImage.Image, bits: int) -> Image | None:
    """The values (H, W, 1) uint8 that a loaded picture stores as palette indices, bits or small samples.

    `bits` is what `sample_bits` gave before it was loaded. None where its pixels are values already. A
    palette of next to black grays is an optimiser's, and the grays are the values.
    """
    if picture.mode in ("P", "PA"):
        indices = np.asarray(picture if picture.mode == "P" else picture.getchannel(0))[:, :, None]
        grays = _grays(picture)
        return indices if grays is None else grays[indices]
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)[:, :, None]
    step = _SAMPLE_STEPS.get(bits) if picture.mode == "L" else None
    return np.asarray(picture)[:, :, None] // np.uint8(step) if step is not None else None


def sample_bits(picture: PillowImage.Image) -> int:
    """Bits of each stored gray sample of a picture that is not loaded yet; 8 where the file does not tell."""
    if picture.format == "TIFF":
        bits = getattr(picture, "tag_v2", {}).get(258, (8,))
        return int(bits[0]) if isinstance(bits, tuple) and bits else 8
    tiles = getattr(picture, "tile", [])
    text = str(tiles[0].args) if tiles else ""
    return next((bits for bits in _SAMPLE_STEPS if f"L;{bits}" in text), 8)


def _grays(picture: PillowImage.Image) -> Image | None:
    """256 values, where the palette holds nothing but different grays that no eye would tell apart."""
    palette = np.asarray(picture.getpalette() or [], np.uint8).reshape(-1, 3)
    used = palette[: int(np.asarray(picture if picture.mode == "P" else picture.getchannel(0)).max()) + 1]
    values = used[:, 0]
    is_gray = len(used) > 0 and bool((used == values[:, None]).all())
    dark = values[values != _VOID]
    if not is_gray or len(np.unique(values)) < len(values) or len(dark) < 2 or dark.max() >= _NO_LOOK:
        return None
    return np.pad(values, (0, 256 - len(values)))
