"""The `gray` maker: a colour picture's gray version, to learn colourisation from."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from p2pcli.image import Image
from p2pcli.pairs.maker import Between, Maker, MakerOptions

_WEIGHTS = {
    "bt709": (0.2126, 0.7152, 0.0722),
    "average": (1 / 3, 1 / 3, 1 / 3),
}


class GrayOptions(MakerOptions):
    """How colour becomes gray."""

    method: Literal["bt601", "bt709", "lightness", "average"] = "bt601"
    """bt601: what JPEG, Pillow and OpenCV call gray. bt709: HDTV luma. lightness: L* of CIELAB.
    average: (R + G + B) / 3."""
    gamma: float = Field(1.0, gt=0, le=10)
    """Exponent applied to the gray value in [0, 1]; above 1 darkens."""


def make_gray(target: Image, *, rng: np.random.Generator, options: GrayOptions) -> Image:
    """The gray version (H, W, 1) of `target` (H, W, 3), both uint8."""
    gray = to_gray(target, options.method)
    if options.gamma != 1.0:
        table = np.rint((np.arange(256) / 255.0) ** options.gamma * 255.0).astype(np.uint8)
        gray = table[gray]
    return gray[:, :, None]


def to_gray(target: Image, method: str) -> Image:
    """Gray (H, W) of `target` (H, W, 3), both uint8, by one of the methods of `GrayOptions`."""
    if method == "lightness":
        # OpenCV's 8-bit L is L* · 255 / 100, rounded.
        lightness: Image = cv2.cvtColor(target, cv2.COLOR_RGB2Lab)[:, :, 0]
        return lightness
    if method == "bt601":
        luma: Image = cv2.cvtColor(target, cv2.COLOR_RGB2GRAY)
        return luma
    red, green, blue = (np.float32(weight) for weight in _WEIGHTS[method])
    mixed: Image = target[:, :, 0] * red + target[:, :, 1] * green + target[:, :, 2] * blue
    return np.rint(mixed).astype(np.uint8)


MAKER = Maker(
    name="gray",
    summary="gray → colour: learn to colourise",
    options=GrayOptions,
    make=make_gray,
    jitter={"gamma": Between(0.7, 1.4, log=True)},
)
