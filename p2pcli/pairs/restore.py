"""The `restore` maker: a picture as an old film shows it, to learn restoration from."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from p2pcli.image import Image
from p2pcli.pairs.jpeg import through_jpeg
from p2pcli.pairs.maker import Between, Maker, MakerOptions


class RestoreOptions(MakerOptions):
    """What age does to film, in this order: blur, fading, flicker, grain, dust, scratches, compression."""

    blur_sigma: float = Field(0.8, ge=0, le=10)
    """Standard deviation in px of a Gaussian blur: soft lenses, many copies. 0: none."""
    fade: float = Field(0.3, ge=0, le=1)
    """How much of colour and contrast is lost."""
    flicker: float = Field(0.12, ge=0, le=1)
    """Largest change of brightness, over the whole frame and from side to side."""
    noise_sigma: float = Field(10.0, ge=0, le=100)
    """Standard deviation of grain, in 8-bit steps; the same in all channels."""
    dust: int = Field(12, ge=0, le=1000)
    """Specks and hairs, dark or light."""
    scratches: int = Field(3, ge=0, le=100)
    """Lines that run down the frame."""
    jpeg_quality: int | None = Field(60, ge=1, le=100)
    """Compression of the copy. None: none."""


def make_aged(target: Image, *, rng: np.random.Generator, options: RestoreOptions) -> Image:
    """The aged version (H, W, 3) of `target` (H, W, 3), both uint8."""
    image = target
    if options.blur_sigma > 0:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), options.blur_sigma))
    light = image.astype(np.float32)
    light = _faded(light, options.fade)
    light *= _flickering(light.shape[:2], options.flicker, rng)
    if options.noise_sigma > 0:
        grain = rng.normal(0.0, options.noise_sigma, light.shape[:2])
        light += grain.astype(np.float32)[:, :, None]
    aged: Image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    for _ in range(options.dust):
        _speck(aged, rng)
    for _ in range(options.scratches):
        _scratch(aged, rng)
    return aged if options.jpeg_quality is None else through_jpeg(aged, options.jpeg_quality)


def _faded(light: NDArray[np.float32], amount: float) -> NDArray[np.float32]:
    """Less saturated, and with its range narrowed towards a light gray."""
    red, green, blue = (light[:, :, channel : channel + 1] for channel in range(3))
    gray = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    pale = light + np.float32(0.8 * amount) * (gray - light)
    faded: NDArray[np.float32] = pale + np.float32(0.4 * amount) * (np.float32(150) - pale)
    return faded


def _flickering(shape: tuple[int, int], amount: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Brightness factors (H, W, 1): one for the frame, and a slope across it."""
    height, width = shape
    whole, angle = float(rng.uniform(-1, 1)), float(rng.uniform(0, math.tau))
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(math.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(math.sin(angle))
    factors: NDArray[np.float32] = 1 + np.float32(amount / 2) * (np.float32(whole) + across + down)
    return factors[:, :, None]


def _speck(image: Image, rng: np.random.Generator) -> None:
    """A grain of dust, or every fourth time a hair."""
    height, width = image.shape[:2]
    shade = int(rng.choice([8, 30, 235, 250]))
    x, y = int(rng.integers(width)), int(rng.integers(height))
    largest = max(1, min(height, width) // 100)
    if rng.integers(4):
        axes = int(rng.integers(1, largest + 2)), int(rng.integers(1, largest + 2))
        cv2.ellipse(image, (x, y), axes, float(rng.integers(180)), 0, 360, (shade,) * 3, -1)
        return
    angle = float(rng.uniform(0, math.tau))
    points = []
    for _ in range(6):
        points.append((x, y))
        angle += float(rng.uniform(-0.8, 0.8))
        x, y = x + round(2 * largest * math.cos(angle)), y + round(2 * largest * math.sin(angle))
    cv2.polylines(image, [np.asarray(points, np.int32)], False, (shade,) * 3, 1)


def _scratch(image: Image, rng: np.random.Generator) -> None:
    """A nearly vertical line through the frame, or a part of it, that lets the picture shine through."""
    height, width = image.shape[:2]
    x = int(rng.integers(width))
    lean = int(rng.integers(-max(1, width // 40), max(1, width // 40) + 1))
    top = 0 if rng.integers(2) else int(rng.integers(height))
    bottom = height - 1 if rng.integers(2) else int(rng.integers(top, height))
    line = np.zeros((height, width), np.uint8)
    cv2.line(line, (x, top), (x + lean, bottom), 255, 1)
    shade, strength = float(rng.choice([20, 240])), float(rng.uniform(0.5, 1.0))
    marked = line > 0
    mixed = image[marked] * (1 - strength) + shade * strength
    image[marked] = np.rint(mixed).astype(np.uint8)


MAKER = Maker(
    name="restore",
    summary="old film → clean: learn restoration",
    options=RestoreOptions,
    make=make_aged,
    jitter={
        "blur_sigma": Between(0.3, 1.6),
        "fade": Between(0.0, 0.6),
        "flicker": Between(0.0, 0.25),
        "noise_sigma": Between(3.0, 20.0),
        "dust": (4, 8, 16, 32),
        "scratches": (0, 1, 3, 6),
        "jpeg_quality": (None, 40, 60, 80),
    },
    is_random=True,
)
