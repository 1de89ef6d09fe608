"""The `mask` maker: a picture with holes, to learn inpainting from. Holes are transparent pixels."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from p2pcli.image import Image
from p2pcli.pairs.maker import Between, Maker, MakerOptions

_MOST_SHAPES = 200
"""Small shapes that overlap may never reach a large area."""


class MaskOptions(MakerOptions):
    """Which holes are cut. Areas are shares of the picture; lengths of its shorter side."""

    shape: Literal["rectangles", "brush", "both"] = "both"
    """rectangles: large ones, as in published inpainting. brush: strokes. both: either, shape by shape."""
    area: float = Field(0.25, gt=0, le=0.9)
    """Shapes are added until so much of the picture is hidden."""
    smallest: float = Field(0.2, gt=0, le=0.9)
    """Shortest side of a rectangle."""
    largest: float = Field(0.5, gt=0, le=0.9)
    """Longest side of a rectangle."""
    brush_width: float = Field(0.08, gt=0, le=0.5)
    """Largest width of a stroke."""


def make_holes(target: Image, *, rng: np.random.Generator, options: MaskOptions) -> Image:
    """`target` (H, W, 3) uint8 as RGBA (H, W, 4): holes have alpha 0 and are gray, all else alpha 255."""
    height, width = target.shape[:2]
    hole = np.zeros((height, width), np.uint8)
    for _ in range(_MOST_SHAPES):
        if options.shape == "both":
            draw = (_rectangle, _stroke)[int(rng.integers(2))]
        else:
            draw = _rectangle if options.shape == "rectangles" else _stroke
        draw(hole, rng, options)
        if np.count_nonzero(hole) >= options.area * hole.size:
            break
    colours = np.where(hole[:, :, None] > 0, np.uint8(128), target)
    return np.concatenate([colours, 255 - hole[:, :, None]], axis=2)


def _rectangle(hole: Image, rng: np.random.Generator, options: MaskOptions) -> None:
    side = min(hole.shape)
    low, high = sorted((options.smallest, options.largest))
    height, width = (max(1, round(side * float(rng.uniform(low, high)))) for _ in range(2))
    top = int(rng.integers(hole.shape[0] - height + 1))
    left = int(rng.integers(hole.shape[1] - width + 1))
    hole[top : top + height, left : left + width] = 255


def _stroke(hole: Image, rng: np.random.Generator, options: MaskOptions) -> None:
    """A line of a few bends, drawn with a round brush."""
    height, width = hole.shape
    side = min(hole.shape)
    thickness = max(1, round(side * options.brush_width * float(rng.uniform(0.4, 1.0))))
    x, y, angle = float(rng.uniform(0, width)), float(rng.uniform(0, height)), float(rng.uniform(0, math.tau))
    for _ in range(int(rng.integers(3, 9))):
        angle += float(rng.uniform(-1.2, 1.2))
        length = side * float(rng.uniform(0.05, 0.2))
        end_x = min(max(x + length * math.cos(angle), 0.0), width - 1.0)
        end_y = min(max(y + length * math.sin(angle), 0.0), height - 1.0)
        # Whole pixels and no smoothing: the same hole on every machine. Thick lines have round ends.
        cv2.line(hole, (int(x), int(y)), (int(end_x), int(end_y)), 255, thickness)
        x, y = end_x, end_y


MAKER = Maker(
    name="mask",
    summary="picture with holes → whole: learn inpainting",
    options=MaskOptions,
    make=make_holes,
    jitter={"area": Between(0.1, 0.4), "brush_width": Between(0.04, 0.12)},
    lossless=True,
    is_random=True,
)
