"""From a loaded Pillow picture of any mode to an array of 1, 3 or 4 channels, 8 or 16 bit."""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from p2pcli.errors import ItemError, NotFiniteError
from p2pcli.image import Image
from p2pcli.io import colour

_SIXTEEN_BIT_GRAY = ("I;16", "I;16B", "I;16L", "I;16N")
_ASSOCIATED_ALPHA = 1
"""TIFF ExtraSamples: the colours are multiplied by alpha."""


def has_alpha(picture: PillowImage.Image) -> bool:
    """True where the picture has an alpha channel, or a transparent palette entry or colour."""
    return picture.has_transparency_data


def bit_depth(picture: PillowImage.Image) -> int:
    """Bits per channel as stored. Pillow's mode hides it: 16-bit RGB has the mode RGB."""
    if picture.mode == "1":
        return 1
    if picture.mode in _SIXTEEN_BIT_GRAY:
        return 16
    if picture.format == "TIFF":
        bits = getattr(picture, "tag_v2", {}).get(258, (8,))
        return max(bits) if isinstance(bits, tuple) and bits else 8
    if picture.mode in ("I", "F"):
        return 16 if picture.format in ("PNG", "PPM") else 32
    return 16 if ";16" in _raw_mode(picture) or _largest_argument(picture) > 255 else 8


def needs_opencv(picture: PillowImage.Image, bits: int) -> bool:
    """True for 16-bit colour (or gray with transparency), which Pillow would cut to 8."""
    colourful = picture.mode in ("RGB", "RGBA", "LA", "RGBX") or (
        picture.format == "PNG" and picture.mode in _SIXTEEN_BIT_GRAY and has_alpha(picture)
    )
    return bits == 16 and colourful and picture.format in ("PNG", "TIFF", "PPM")


def decode_sixteen_bit(data: bytes, picture: PillowImage.Image) -> Image | None:
    """uint16 RGB or RGBA of `data`, or None where OpenCV reads something else than Pillow announced."""
    decoded = None
    with contextlib.suppress(cv2.error):
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        return None
    if decoded.shape[:2] != (picture.height, picture.width) or decoded.shape[2] not in (3, 4):
        return None
    code = cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    image: Image = np.asarray(cv2.cvtColor(decoded, code))
    if picture.format == "TIFF" and _ASSOCIATED_ALPHA in getattr(picture, "tag_v2", {}).get(338, ()):
        return _unmultiplied(image)
    return image


def to_array(picture: PillowImage.Image, profile: bytes | None) -> Image:
    """The pixels of a loaded picture in sRGB, (H, W, 1|3|4), uint8, or uint16 where Pillow has it.

    Raises `ItemError` for 32-bit values outside what 16 bit can hold.
    """
    if picture.mode in _SIXTEEN_BIT_GRAY:
        gray = np.asarray(picture).astype(np.uint16)[:, :, None]
        return gray if profile is None else colour.array_to_srgb(gray, profile)
    if picture.mode in ("I", "F"):
        return _from_32_bit(picture)
    picture = _with_known_mode(picture)
    if profile is not None:
        picture = colour.pillow_to_srgb(picture, profile)
    if picture.mode == "LAB":
        picture = _lab_to_srgb(picture)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def _with_known_mode(picture: PillowImage.Image) -> PillowImage.Image:
    """As L, RGB, RGBA, CMYK or LAB, without loss."""
    if has_alpha(picture):
        return picture if picture.mode == "RGBA" else picture.convert("RGBA")
    if picture.mode in ("L", "RGB", "CMYK", "LAB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _from_32_bit(picture: PillowImage.Image) -> Image:
    values: NDArray[np.float32] | NDArray[np.int32] = np.asarray(picture)
    low, high = values.min(), values.max()
    if picture.mode == "F":
        if not (np.isfinite(low) and np.isfinite(high)):
            count = values.size - int(np.isfinite(values).sum())
            raise NotFiniteError(
                f"32-bit float values from {low:g} to {high:g}, {count} of {values.size} NaN or infinite; "
                "expected 0 to 1. Repair it, or leave it out."
            )
        if low < 0 or high > 1:
            raise ItemError(
                f"32-bit float values from {low:g} to {high:g}; expected 0 to 1. "
                "Rescale and save as 16-bit PNG."
            )
        return (values * 65535 + 0.5).astype(np.uint16)[:, :, None]
    if low < 0 or high > 65535:
        raise ItemError(
            f"32-bit integer values from {low} to {high}; expected 0 to 65535. "
            "Rescale and save as 16-bit PNG."
        )
    return values.astype(np.uint16)[:, :, None]


def _lab_to_srgb(picture: PillowImage.Image) -> PillowImage.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    return ImageCms.applyTransform(picture, transform) or picture.convert("RGB")


def _unmultiplied(image: Image) -> Image:
    alpha = np.maximum(image[:, :, 3:].astype(np.uint32), 1)
    straight = (image[:, :, :3].astype(np.uint32) * 65535 + alpha // 2) // alpha
    return np.concatenate([np.minimum(straight, 65535).astype(np.uint16), image[:, :, 3:]], axis=2)


def _raw_mode(picture: PillowImage.Image) -> str:
    """How the file's own bytes are laid out, as Pillow calls it: "RGB;16B"."""
    return next((text for text in _decoder_arguments(picture) if isinstance(text, str)), "")


def _largest_argument(picture: PillowImage.Image) -> int:
    """The maximum value of a PPM, which its decoder is told; 255 where it is told none."""
    if picture.format != "PPM":
        return 255
    return max((value for value in _decoder_arguments(picture) if isinstance(value, int)), default=255)


def _decoder_arguments(picture: PillowImage.Image) -> tuple[object, ...]:
    tiles = getattr(picture, "tile", [])
    arguments = tiles[0].args if tiles else ()
    return arguments if isinstance(arguments, tuple) else (arguments,)
