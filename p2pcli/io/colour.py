"""ICC profiles: what a picture's numbers mean, and its way to sRGB.

8 bit goes through LittleCMS; 16-bit RGB and gray with a matrix profile are computed here, since Pillow's
binding has no 16-bit RGB.
"""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from p2pcli.image import Image

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Colour space of a profile → the Pillow mode whose numbers it explains."""

_ROWS = 256
"""Rows converted at a time in 16 bit: float32 copies of a whole 200-megapixel picture would not fit."""

# XYZ of the profile connection space (D50) to linear sRGB: the inverse of the D50-adapted sRGB primaries
# (ICC sRGB profile, rXYZ, gXYZ and bXYZ).
_SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]], dtype=np.float64
)


@dataclass(frozen=True)
class Profile:
    """An ICC profile as far as we need it. `mode` is the Pillow mode it explains, or None."""

    name: str
    mode: str | None
    is_srgb: bool


@functools.lru_cache(maxsize=64)
def describe(data: bytes) -> Profile:
    """Name, colour space and whether the profile means sRGB to within one step of 255.

    A profile that cannot be read has the name "unreadable" and explains nothing.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = (profile.profile.profile_description or "unnamed").strip() or "unnamed"
        mode = _SPACES.get(profile.profile.xcolor_space)
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError, SyntaxError):
        return Profile("unreadable", None, False)
    return Profile(name, mode, mode in ("RGB", "L") and _means_srgb(data, mode))


def pillow_to_srgb(picture: PillowImage.Image, data: bytes) -> PillowImage.Image:
    """`picture` (mode L, RGB, RGBA, LAB or CMYK, 8 bit) in sRGB: L stays L, RGBA keeps its alpha, others RGB.

    A profile that does not explain the picture's mode is left aside, as browsers do.
    """
    profile = describe(data)
    if picture.mode == "RGBA" and profile.mode == "L":
        return _gray_with_alpha(picture, data)
    base = "RGB" if picture.mode == "RGBA" else picture.mode
    if profile.mode != base or profile.is_srgb:
        return picture
    transform = _transform(data, base)
    if transform is None:
        return picture
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    converted = ImageCms.applyTransform(picture.convert("RGB") if alpha else picture, transform)
    if converted is None:
        return picture
    if base == "L":
        return converted.getchannel("G")
    if alpha:
        converted.putalpha(alpha)
    return converted


def array_to_srgb(image: Image, data: bytes) -> Image:
    """`image` (H, W, 1|3|4), uint8 or uint16, in sRGB; alpha stays.

    uint16 stays uint16 where the profile is a matrix or gray profile, else it becomes uint8.
    """
    channels = image.shape[2]
    profile = describe(data)
    if channels == 4 and profile.mode == "L" and (image[:, :, :1] == image[:, :, 1:3]).all():
        gray = array_to_srgb(np.ascontiguousarray(image[:, :, :1]), data)
        alpha = image[:, :, 3:] if gray.dtype == image.dtype else (image[:, :, 3:] >> 8).astype(np.uint8)
        return np.concatenate([gray, gray, gray, alpha], axis=2)
    if profile.is_srgb or profile.mode != ("L" if channels == 1 else "RGB"):
        return image
    if image.dtype == np.uint16:
        curves = _read_curves(data, channels)
        if curves is not None:
            return _convert16(image, curves)
        image = ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    picture = PillowImage.fromarray(image[:, :, 0] if channels == 1 else image)
    return np.asarray(pillow_to_srgb(picture, data)).reshape(image.shape)


def _gray_with_alpha(picture: PillowImage.Image, data: bytes) -> PillowImage.Image:
    """Gray with alpha arrives as RGBA with three equal planes; else the profile is not the picture's."""
    red, green, blue, alpha = picture.split()
    if not np.array_equal(np.asarray(red), np.asarray(green)) or red.tobytes() != blue.tobytes():
        return picture
    gray = pillow_to_srgb(red, data)
    return PillowImage.merge("RGBA", (gray, gray, gray, alpha))


def _means_srgb(data: bytes, mode: str) -> bool:
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    if mode == "L":
        probe = steps[None, :, None]
        picture = PillowImage.fromarray(probe[:, :, 0])
    else:
        probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        picture = PillowImage.fromarray(probe)
    transform = _transform(data, mode)
    converted = ImageCms.applyTransform(picture, transform) if transform else None
    if converted is None:
        return False
    return int(np.abs(np.asarray(converted).astype(int) - probe.astype(int)).max()) <= 1


@functools.lru_cache(maxsize=64)
def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From `mode` under this profile to sRGB, or None where LittleCMS refuses the profile.

    Perceptual intent with black point compensation is what browsers and Photoshop show.
    """
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(data)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError, ValueError):
        return None


@dataclass(frozen=True)
class _Curves:
    """Linear light for each of 65536 values, per channel (C, 65536), and the matrix to linear sRGB."""

    linear: NDArray[np.float32]
    matrix: NDArray[np.float32] | None


@functools.lru_cache(maxsize=8)
def _read_curves(data: bytes, channels: int) -> _Curves | None:
    """Tone curves and matrix of a matrix/TRC or gray profile (ICC.1:2010, 8.3 and 8.4), else None."""
    tags = _tags(data)
    try:
        if channels == 1:
            return _Curves(_safe_curve(tags[b"kTRC"])[None], None)
        if any(tag in tags for tag in (b"A2B0", b"A2B1")):
            return None
        linear = np.stack([_safe_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
        columns = [struct.unpack(">3i", tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (KeyError, ValueError, IndexError, struct.error):
        return None
    to_xyz = np.array(columns, dtype=np.float64).T / 65536
    return _Curves(linear, (np.linalg.inv(_SRGB_TO_XYZ) @ to_xyz).astype(np.float32))


def _tags(data: bytes) -> dict[bytes, bytes]:
    if len(data) < 132:
        return {}
    count = min(int.from_bytes(data[128:132], "big"), 128)
    tags = {}
    for index in range(count):
        entry = data[132 + 12 * index : 144 + 12 * index]
        if len(entry) == 12:
            name, offset, size = struct.unpack(">4sII", entry)
            tags[name] = data[offset : offset + size]
    return tags


def _safe_curve(tag: bytes) -> NDArray[np.float32]:
    """The curve of a tag within 0..1, whatever its parameters lead to."""
    with np.errstate(all="ignore"):
        return np.clip(np.nan_to_num(_curve(tag)), 0, 1)


def _curve(tag: bytes) -> NDArray[np.float32]:
    """Linear light (0..1) at 0..65535 of a `curv` or `para` tag (ICC.1:2010, 10.5 and 10.15)."""
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        count = int.from_bytes(tag[8:12], "big")
        if count == 0:
            return x.astype(np.float32)
        points = np.frombuffer(tag[12 : 12 + 2 * count], dtype=">u2").astype(np.float64)
        if count == 1:
            return np.asarray(np.power(x, points[0] / 256), dtype=np.float32)
        return np.asarray(np.interp(x, np.linspace(0, 1, len(points)), points / 65535), dtype=np.float32)
    if tag[:4] != b"para":
        raise ValueError("a tone curve of an unknown type")
    kind = int.from_bytes(tag[8:10], "big")
    count = (1, 3, 4, 5, 7)[kind]
    g, a, b, c, d, e, f = [
        value / 65536 for value in struct.unpack(f">{count}i", tag[12 : 12 + 4 * count])
    ] + [0.0] * (7 - count)
    if kind == 0:
        return np.asarray(np.power(x, g), dtype=np.float32)
    if kind in (1, 2):
        d, e, f, low = (
            (-b / a if a else 0.0),
            (c if kind == 2 else 0.0),
            0.0,
            np.full_like(x, c if kind == 2 else 0),
        )
    else:
        low = c * x + f
    power = np.power(np.maximum(a * x + b, 0), g) + e
    return np.asarray(np.where(x >= d, power, low), dtype=np.float32)


def _convert16(image: Image, curves: _Curves) -> Image:
    result = image.copy()
    colours = 1 if image.shape[2] == 1 else 3
    encoded = _srgb_encoding()
    for top in range(0, image.shape[0], _ROWS):
        rows = image[top : top + _ROWS, :, :colours]
        light = np.stack([curves.linear[c][rows[:, :, c]] for c in range(colours)], axis=-1)
        if curves.matrix is not None:
            light = light @ curves.matrix.T
        # 2^18 steps of linear light keep the error of this table below one step of 65535 but in deep shadow.
        index = (np.clip(light, 0, 1) * (len(encoded) - 1) + 0.5).astype(np.int32)
        result[top : top + _ROWS, :, :colours] = encoded[index]
    return result


@functools.lru_cache(maxsize=1)
def _srgb_encoding() -> NDArray[np.uint16]:
    """sRGB encoding (IEC 61966-2-1) of linear light in 2^20 steps, as 0..65535."""
    x = np.linspace(0, 1, 1 << 20)
    y = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1 / 2.4) - 0.055)
    return (y * 65535 + 0.5).astype(np.uint16)
