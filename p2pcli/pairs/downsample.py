"""The `downsample` maker: a smaller, perhaps worse version of a picture, to learn super-resolution from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from p2pcli.image import Image, resize
from p2pcli.pairs.jpeg import through_jpeg
from p2pcli.pairs.maker import Maker, MakerOptions


class DownsampleOptions(MakerOptions):
    """How a picture loses its detail: shrink, then noise, then JPEG, then (by default) back to size."""

    factor: Literal[2, 3, 4, 8] = 4
    """How many times smaller each side becomes (rounded up)."""
    kernel: Literal["bicubic", "area", "bilinear", "lanczos", "nearest"] = "bicubic"
    """Shrinking kernel, antialiased except for nearest."""
    noise_sigma: float = Field(0.0, ge=0, le=100)
    """Standard deviation of Gaussian noise on the small picture, in 8-bit steps. 0: none."""
    jpeg_quality: int | None = Field(None, ge=1, le=100)
    """The small picture goes through JPEG of this quality. None: it does not."""
    restore_size: bool = True
    """Bring it back to the target's size with bicubic, so that both pictures of a pair are equally large."""


def make_downsampled(target: Image, *, rng: np.random.Generator, options: DownsampleOptions) -> Image:
    """The degraded version of `target` (H, W, 3) uint8: (H, W, 3), or ⌈H/factor⌉ × ⌈W/factor⌉."""
    height, width = target.shape[:2]
    small = resize(target, -(-width // options.factor), -(-height // options.factor), kernel=options.kernel)
    if options.noise_sigma > 0:
        noise = rng.normal(0.0, options.noise_sigma, small.shape)
        small = np.clip(np.rint(small + noise), 0, 255).astype(np.uint8)
    if options.jpeg_quality is not None:
        small = through_jpeg(small, options.jpeg_quality)
    return resize(small, width, height, kernel="bicubic") if options.restore_size else small


MAKER = Maker(
    name="downsample",
    summary="small → large: learn super-resolution",
    options=DownsampleOptions,
    make=make_downsampled,
    is_random=True,
    jitter={"kernel": ("bicubic", "area", "bilinear", "lanczos")},
)
