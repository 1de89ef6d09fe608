"""What JPEG takes from a picture, for the makers that wear pictures out."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage

from p2pcli.image import Image


def through_jpeg(image: Image, quality: int) -> Image:
    """`image` (H, W, 3) uint8 as it comes back from a JPEG of `quality`, 1 to 100 (4:2:0)."""
    packed = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(image)).save(packed, "JPEG", quality=quality)
    with PillowImage.open(packed) as unpacked:
        return np.asarray(unpacked.convert("RGB"))
