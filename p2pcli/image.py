"""What an image is here, what travels with it, and its geometry: fit, crop, resize.

Decoding and encoding live in `p2pcli.io.codec`; tensors in `p2pcli.tensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from p2pcli.errors import UsageError

Image: TypeAlias = NDArray[Any]
"""`H×W×C`, uint8 (or uint16 where the file has it), C in {1, 3, 4}, RGB order, upright, sRGB."""

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255, sRGB."""

Fit = Literal["crop", "pad", "stretch", "inside", "source"]
"""How a picture comes to a size: cover and centre-crop; contain and pad by reflection; ignore the aspect;
scale so that the shorter side has the size; leave as it is."""

Kernel = Literal["auto", "area", "bilinear", "bicubic", "lanczos", "nearest"]
"""Resampling kernels. All but "nearest" are antialiased when they shrink. "auto": area down, bicubic up."""


@dataclass(frozen=True)
class Sample:
    """One image or one pair on its way from a source to a sink.

    `key` is a unique posix relative path without suffix. `input` is what the model sees, `target` what it
    must produce (None where there is no pair). `meta` holds JSON-able provenance. `extras` holds further
    pictures that belong to them, by the name of their folder ("inst", "mask", "pose").
    """

    key: str
    input: Image
    target: Image | None = None
    meta: Mapping[str, object] = field(default_factory=dict)
    extras: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Geometry:
    """A crop of the source picture, and the size it is resampled to, then padding by reflection.

    `crop_xywh` is in source pixels; `width` × `height` is the result of resampling; `pad` is
    (left, top, right, bottom) in result pixels.
    """

    crop_xywh: tuple[int, int, int, int]
    width: int
    height: int
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    def is_identity_for(self, width: int, height: int) -> bool:
        """True where a `width` × `height` picture would come out pixel for pixel as it went in."""
        whole = self.crop_xywh == (0, 0, width, height) and (self.width, self.height) == (width, height)
        return whole and self.pad == (0, 0, 0, 0)


def fit_geometry(width: int, height: int, *, size: int | None, fit: Fit) -> Geometry:
    """How a `width` × `height` picture comes to `size` px under `fit` (None, or "source": unchanged)."""
    if size is None or fit == "source":
        return Geometry((0, 0, width, height), width, height)
    if fit == "stretch":
        return Geometry((0, 0, width, height), size, size)
    if fit == "crop":
        side = min(width, height)
        return Geometry(((width - side) // 2, (height - side) // 2, side, side), size, size)
    if fit == "inside":
        scale = size / min(width, height)
        scaled = max(size, round(width * scale)), max(size, round(height * scale))
        return Geometry((0, 0, width, height), *scaled)
    scale = size / max(width, height)
    w, h = min(size, max(1, round(width * scale))), min(size, max(1, round(height * scale)))
    left, top = (size - w) // 2, (size - h) // 2
    return Geometry((0, 0, width, height), w, h, (left, top, size - w - left, size - h - top))


def apply_geometry(image: Image, geometry: Geometry, *, kernel: Kernel = "auto") -> Image:
    """Crop, resample and pad `image` (H, W, C); dtype and channels stay."""
    x, y, w, h = geometry.crop_xywh
    result = resize(image[y : y + h, x : x + w], geometry.width, geometry.height, kernel=kernel)
    left, top, right, bottom = geometry.pad
    if any(geometry.pad):
        result = np.pad(result, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
    return np.ascontiguousarray(result)


def resize(image: Image, width: int, height: int, *, kernel: Kernel = "auto") -> Image:
    """Resample `image` (H, W, C) to `width` × `height`; dtype and channels stay.

    uint8 with "bilinear", "bicubic" and "lanczos" goes through Pillow (bicubic a = −0.5, antialiased), which
    is what the published pix2pix and SRGAN data pipelines use. OpenCV's own kernels do not antialias.
    """
    import cv2
    from PIL import Image as PillowImage

    source_height, source_width, channels = image.shape
    if (source_width, source_height) == (width, height):
        return image
    shrinks = width <= source_width and height <= source_height
    if kernel == "auto":
        kernel = "area" if shrinks else "bicubic"
    if image.dtype == np.uint8 and kernel in ("bilinear", "bicubic", "lanczos"):
        resample = {
            "bilinear": PillowImage.Resampling.BILINEAR,
            "bicubic": PillowImage.Resampling.BICUBIC,
            "lanczos": PillowImage.Resampling.LANCZOS,
        }[kernel]
        planes = image[:, :, 0] if channels == 1 else image
        # Pillow would premultiply nothing and treat the fourth channel as data, as we want.
        resized = PillowImage.fromarray(np.ascontiguousarray(planes)).resize((width, height), resample)
        return np.asarray(resized).reshape(height, width, channels)
    flag = {
        "area": cv2.INTER_AREA,
        "nearest": cv2.INTER_NEAREST_EXACT,
        "bilinear": cv2.INTER_LINEAR,
        "bicubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,
    }[kernel if not (shrinks and kernel != "nearest") else "area"]
    # OpenCV reads a crop where it lies; only mirrored or transposed views need a copy.
    if image.strides[0] < 0 or not image[:1].flags.c_contiguous:
        image = np.ascontiguousarray(image)
    scaled: Image = np.asarray(cv2.resize(image, (width, height), interpolation=flag))
    return scaled.reshape(height, width, channels)


def as_rgb8(image: Image, *, background: int = 255) -> Image:
    """`image` as uint8 `H×W×3`: 16 bit rounded to 8, gray repeated, alpha composited on `background`."""
    if image.dtype == np.uint16:
        wide = image.astype(np.uint32)
        image = ((wide * 255 + 32767) // 65535).astype(np.uint8)
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] == 4:
        return over(image, (background,) * 3)
    return image


def over(image: Image, background: Colour) -> Image:
    """`image` (H, W, 4), colours not multiplied by alpha, upon `background`: (H, W, 3) of the same dtype."""
    top = int(np.iinfo(image.dtype).max)
    # The largest product and what rounds it just fit.
    wide: Any = np.uint16 if top == 255 else np.uint32
    alpha: Image = image[:, :, 3:].astype(wide)
    behind: Image = np.array([value * (top // 255) for value in background], wide)
    mixed: Image = image[:, :, :3].astype(wide) * alpha + behind * (top - alpha)
    rounded: Image = (mixed + top // 2) // top
    return rounded.astype(image.dtype)


def colour_of(value: str | int) -> Colour:
    """The colour that "white", "#ff8800" or a gray from 0 to 255 means. Raises `UsageError` for others."""
    from PIL import ImageColor

    text = str(value).strip()
    if text.isascii() and text.isdigit():
        found: tuple[int, ...] = (int(text),) * 3 if len(text) < 4 and int(text) <= 255 else ()
    else:
        try:
            found = ImageColor.getrgb(text)
        except ValueError:
            found = ()
    if len(found) != 3:
        raise UsageError(
            f"no colour '{text}'. Expected a name such as white or black, #rrggbb, or a gray from 0 to 255."
        )
    red, green, blue = found
    return red, green, blue


def as_gray8(image: Image) -> Image:
    """`image` as uint8 `H×W×1`: BT.601 luma (0.299, 0.587, 0.114) of its RGB form, Pillow's to the bit."""
    from PIL import Image as PillowImage

    rgb = as_rgb8(image)
    if image.shape[2] == 1:
        return rgb[:, :, :1]
    return np.array(PillowImage.fromarray(np.ascontiguousarray(rgb)).convert("L"))[:, :, None]
