"""From a loaded Pillow picture of any mode to an array of 1, 3 or 4 channels, 8 or 16 bit."""

from __future__ import annotations

import contextlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from p2pcli.errors import ItemError, NotFiniteError
from p2pcli.image import Image
from p2pcli.io import colour, png

_SIXTEEN_BIT_GRAY = ("I;16", "I;16B", "I;16L", "I;16N")


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
    return 16 if ";16" in _raw_mode(picture) or largest_value(picture, 8) > 255 else 8


def needs_opencv(picture: PillowImage.Image, bits: int) -> bool:
    """True for 16-bit colour (or gray with alpha) that Pillow would cut to 8, in PNG and PPM."""
    return bits == 16 and picture.mode in ("RGB", "RGBA", "LA") and picture.format in ("PNG", "PPM")


def decode_sixteen_bit(data: bytes, picture: PillowImage.Image, *, largest: int) -> Image:
    """uint16 RGB or RGBA of a PNG or PPM, whose samples go up to `largest`.

    Raises `ItemError` where OpenCV reads something else than Pillow announced.
    """
    decoded = None
    if picture.format == "PNG":
        # Of an animation OpenCV would give a frame that it has not filled.
        data = png.pixels_alone(data)
    with contextlib.suppress(cv2.error):
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if (
        decoded is None
        or decoded.dtype != np.uint16
        or decoded.ndim != 3
        or decoded.shape[:2] != (picture.height, picture.width)
        or decoded.shape[2] not in (3, 4)
    ):
        raise ItemError(
            f"a {picture.format} of 16-bit {picture.mode} that is not read here. Save it with 8 bits, or as "
            "another PNG."
        )
    code = cv2.COLOR_BGR2RGB if decoded.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    image: Image = np.asarray(cv2.cvtColor(decoded, code))
    if largest == 65535:
        return image
    wide = (image.astype(np.uint32) * 65535 + largest // 2) // largest
    return np.minimum(wide, 65535).astype(np.uint16)


def to_array(picture: PillowImage.Image, profile: bytes | None) -> Image:
    """The pixels of a loaded picture in sRGB, (H, W, 1|3|4), uint8, or uint16 where Pillow has it.

    Raises `ItemError` for 32-bit values outside what 16 bit can hold.
    """
    if picture.mode in _SIXTEEN_BIT_GRAY:
        gray = np.asarray(picture).astype(np.uint16)[:, :, None]
        image = gray if profile is None else colour.array_to_srgb(gray, profile)
        transparent = picture.info.get("transparency")
        if not isinstance(transparent, int):
            return image
        alpha = np.where(gray == transparent, 0, 65535).astype(np.uint16)
        if image.dtype == np.uint8:
            alpha = (alpha >> 8).astype(np.uint8)
        return np.concatenate([image, image, image, alpha], axis=2)
    if picture.mode in ("I", "F"):
        return checked(np.asarray(picture))[:, :, None]
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


def checked(values: NDArray[Any]) -> Image:
    """uint16 from floats of 0 to 1, or from integers of 0 to 65535, of any width; the shape stays.

    Raises `ItemError` for values outside, `NotFiniteError` for NaN and infinity.
    """
    low, high = values.min(), values.max()
    bits = values.dtype.itemsize * 8
    if values.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)):
            count = values.size - int(np.isfinite(values).sum())
            raise NotFiniteError(
                f"{bits}-bit float values from {low:g} to {high:g}, {count} of {values.size} NaN or "
                "infinite; expected 0 to 1. Repair it, or leave it out."
            )
        if low < 0 or high > 1:
            raise ItemError(
                f"{bits}-bit float values from {low:g} to {high:g}; expected 0 to 1. "
                "Rescale and save as 16-bit PNG."
            )
        # In 16 bits a half would be lost above 2048.
        return (values.astype(np.promote_types(values.dtype, np.float32)) * 65535 + 0.5).astype(np.uint16)
    if low < 0 or high > 65535:
        raise ItemError(
            f"{bits}-bit integer values from {low} to {high}; expected 0 to 65535. "
            "Rescale and save as 16-bit PNG."
        )
    return values.astype(np.uint16)


def _lab_to_srgb(picture: PillowImage.Image) -> PillowImage.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    return ImageCms.applyTransform(picture, transform) or picture.convert("RGB")


def unmultiplied(image: Image) -> Image:
    """`image` (H, W, 4), uint8 or uint16, whose colours are multiplied by alpha, with plain colours."""
    most = int(np.iinfo(image.dtype).max)
    alpha = np.maximum(image[:, :, 3:].astype(np.uint32), 1)
    straight = (image[:, :, :3].astype(np.uint32) * most + alpha // 2) // alpha
    return np.concatenate([np.minimum(straight, most).astype(image.dtype), image[:, :, 3:]], axis=2)


def _raw_mode(picture: PillowImage.Image) -> str:
    """How the file's own bytes are laid out, as Pillow calls it: "RGB;16B"."""
    return next((text for text in _decoder_arguments(picture) if isinstance(text, str)), "")


def largest_value(picture: PillowImage.Image, bits: int) -> int:
    """The value that means white, as the file has it; asked for before the picture is loaded.

    A PPM names it, and its decoder is told.
    """
    if picture.format != "PPM":
        return (1 << bits) - 1
    return max((value for value in _decoder_arguments(picture) if isinstance(value, int)), default=255)


def place_transparency(picture: PillowImage.Image) -> None:
    """Let the transparent gray of a PNG of 2 or 4 bits be of 8 bits, as Pillow makes its pixels."""
    bits = {"L;2": 2, "L;4": 4}.get(_raw_mode(picture))
    transparent = picture.info.get("transparency")
    if picture.format == "PNG" and bits and isinstance(transparent, int):
        picture.info["transparency"] = (transparent & (1 << bits) - 1) * 255 // ((1 << bits) - 1)


def _decoder_arguments(picture: PillowImage.Image) -> tuple[object, ...]:
    tiles = getattr(picture, "tile", [])
    arguments = tiles[0].args if tiles else ()
    return arguments if isinstance(arguments, tuple) else (arguments,)
