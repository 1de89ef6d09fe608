"""From an array to the bytes of a file, by suffix. What a format cannot hold is refused."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.image import Image


@dataclass(frozen=True)
class Format:
    """What a file format can hold, by Pillow's name for it."""

    name: str
    channels: tuple[int, ...] = (1, 3, 4)
    holds_16_bit: bool = False
    holds_icc: bool = False


_PNG = Format("PNG", holds_16_bit=True, holds_icc=True)
_JPEG = Format("JPEG", channels=(1, 3), holds_icc=True)
_TIFF = Format("TIFF", holds_16_bit=True, holds_icc=True)
_WEBP = Format("WEBP", channels=(1, 3, 4), holds_icc=True)
_GRAYMAP = Format("PPM", channels=(1,), holds_16_bit=True)
_PIXMAP = Format("PPM", channels=(3,), holds_16_bit=True)
_ANYMAP = Format("PPM", channels=(1, 3), holds_16_bit=True)
_JPEG2000 = Format("JPEG2000")

ENCODABLE: dict[str, Format] = {
    ".png": _PNG,
    ".apng": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Format("BMP", channels=(1, 3)),
    ".gif": Format("GIF"),
    ".tga": Format("TGA"),
    ".qoi": Format("QOI", channels=(3, 4)),
    ".jp2": _JPEG2000,
    ".j2k": _JPEG2000,
    ".avif": Format("AVIF", channels=(1, 3, 4), holds_icc=True),
    ".pgm": _GRAYMAP,
    ".ppm": _PIXMAP,
    ".pnm": _ANYMAP,
}
"""Suffix → format of every file that `encode` can write."""


def encode(
    image: Image,
    suffix: str,
    *,
    quality: int = 95,
    icc: bytes | None = None,
    png_compression: int | None = 3,
    webp_lossless: bool = True,
) -> bytes:
    """The bytes of a file with this suffix, such as ".png". The same arguments give the same bytes.

    `image` is (H, W, 1|3|4), uint8 or uint16, RGB order. All formats keep every pixel but three: JPEG
    (4:4:4) and AVIF lose by `quality`, 1 to 100, as WebP does where `webp_lossless` is False; GIF is cut to
    256 colours. WebP, AVIF and QOI store gray as RGB. `png_compression` is 0 to 9, or None for
    what is fastest: half the time of level 1, files about as large. `icc` is embedded as it is, without
    conversion.
    Raises `UsageError` for an unknown suffix, and for depth, alpha or a profile that the format cannot hold.
    """
    form = format_of(suffix)
    _require_held(image, form, suffix, icc)
    if form.name == "TIFF" and image.dtype == np.uint16:
        return _tiff16(image, icc)
    if icc is None and (encoded := _with_opencv(image, form, suffix.lower(), quality, png_compression)):
        return encoded
    if image.dtype == np.uint16:
        raise UsageError(
            f"a 16-bit '{suffix}' cannot carry an ICC profile here. Convert the image to sRGB, or to 8 bit."
        )
    options: dict[str, dict[str, Any]] = {
        # `exact` keeps the colours below full transparency. Lossless quality is effort: 75 is libwebp's own.
        "WEBP": {"lossless": webp_lossless, "exact": True, "quality": 75 if webp_lossless else quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "TIFF": {"compression": "tiff_lzw"},
        "JPEG2000": {"irreversible": False},
        "JPEG": {"quality": quality, "subsampling": 0},
        "PNG": {"compress_level": 3 if png_compression is None else png_compression},
    }
    return _with_pillow(image, form, options.get(form.name, {}), icc)


def format_of(suffix: str) -> Format:
    """The format that a suffix such as ".jpg" stands for. Raises `UsageError` for an unknown one."""
    form = ENCODABLE.get(suffix.lower())
    if form is None:
        hint = did_you_mean(suffix.lower(), ENCODABLE)
        raise UsageError(f"images cannot be written as '{suffix}'. {hint}")
    return form


def can_hold(image: Image, suffix: str) -> bool:
    """True where `encode` would write `image` under this suffix."""
    form = ENCODABLE.get(suffix.lower())
    return form is not None and not _objection(image, form)


def _require_held(image: Image, form: Format, suffix: str, icc: bytes | None) -> None:
    objection = _objection(image, form)
    if not objection and icc is not None and not form.holds_icc:
        objection = "an ICC profile"
    if objection:
        raise UsageError(
            f"'{suffix}' cannot hold {objection}. Write PNG or TIFF instead, or convert it first."
        )


def _objection(image: Image, form: Format) -> str:
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.dtype not in (np.uint8, np.uint16):
        raise AssertionError(f"not an image: shape {image.shape}, dtype {image.dtype}")
    if image.dtype == np.uint16 and not form.holds_16_bit:
        return "16 bit a channel"
    if image.shape[2] not in form.channels:
        return {1: "gray alone", 3: "colour", 4: "transparency"}[image.shape[2]]
    return ""


def _with_pillow(image: Image, form: Format, options: dict[str, Any], icc: bytes | None) -> bytes:
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2) if form.name in ("WEBP", "AVIF", "QOI") else image[:, :, 0]
    buffer = io.BytesIO()
    profile = {} if icc is None else {"icc_profile": icc}
    PillowImage.fromarray(np.ascontiguousarray(image)).save(buffer, form.name, **options, **profile)
    return buffer.getvalue()


def _with_opencv(
    image: Image, form: Format, suffix: str, quality: int, png_compression: int | None
) -> bytes | None:
    """JPEG and PNG, where OpenCV is faster, and 16-bit PPM, which Pillow lacks. Else None."""
    if form.name == "JPEG":
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        parameters = [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]
    elif form.name == "PNG":
        suffix = ".png"
        parameters = (
            _fast_png(image) if png_compression is None else [cv2.IMWRITE_PNG_COMPRESSION, png_compression]
        )
    elif image.dtype == np.uint16:  # PPM
        parameters = []
    else:
        return None
    if image.shape[2] > 1:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, encoded = cv2.imencode(".jpg" if form.name == "JPEG" else suffix, image, parameters)
    if not done:
        raise AssertionError(f"OpenCV could not encode {form.name}")
    return bytes(encoded)


def _fast_png(image: Image) -> list[int]:
    """OpenCV's parameters for the quickest PNG that is not larger than its own default's, nearly.

    Its default (filter Sub, runs) suits graphics. Photos hold no runs worth looking for: Huffman codes alone
    take a tenth less time. Lines are runs already, which a filter only breaks up.
    """
    rows, channels = image[::16], image.shape[2]
    values = rows.reshape(len(rows), -1)
    pairs = values[:, channels:] == values[:, :-channels]
    repeated = np.count_nonzero(pairs) / max(pairs.size, 1)
    if repeated < 0.3:
        strategy, row_filter = cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY, cv2.IMWRITE_PNG_FILTER_AVG
    elif channels == 1 and repeated > 0.7:
        strategy, row_filter = cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER_NONE
    else:
        return []
    chosen = [cv2.IMWRITE_PNG_STRATEGY, strategy, cv2.IMWRITE_PNG_FILTER, row_filter]
    return [cv2.IMWRITE_PNG_COMPRESSION, 1, *chosen]


def _tiff16(image: Image, icc: bytes | None) -> bytes:
    """A TIFF 6.0 of one deflated strip: Pillow has no 16-bit colour, OpenCV does not mark alpha as such."""
    height, width, channels = image.shape
    strip = zlib.compress(np.ascontiguousarray(image.astype("<u2")).tobytes(), 6)
    shorts, longs, undefined = "H", "I", "B"
    fields: list[tuple[int, str, tuple[int, ...] | bytes]] = [
        (256, longs, (width,)),
        (257, longs, (height,)),
        (258, shorts, (16,) * channels),
        (259, shorts, (8,)),  # compression: deflate
        (262, shorts, (1 if channels == 1 else 2,)),  # photometric: black is zero, or RGB
        (273, longs, (8,)),  # the strip follows the header
        (277, shorts, (channels,)),
        (278, longs, (height,)),
        (279, longs, (len(strip),)),
    ]
    if channels == 4:
        fields.append((338, shorts, (2,)))  # the fourth is alpha, not multiplied in
    if icc is not None:
        fields.append((34675, undefined, icc))
    body = bytearray(struct.pack("<2sHI", b"II", 42, 8 + len(strip) + len(strip) % 2) + strip)
    body += bytes(len(body) % 2)
    directory, beyond = struct.pack("<H", len(fields)), b""
    start = len(body) + 2 + 12 * len(fields) + 4
    for tag, kind, values in fields:
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{kind}", *values)
        entry = struct.pack("<HHI", tag, {"H": 3, "I": 4, "B": 7}[kind], len(values))
        if len(data) > 4:
            directory += entry + struct.pack("<I", start + len(beyond))
            beyond += data + bytes(len(data) % 2)
        else:
            directory += entry + data.ljust(4, b"\0")
    return bytes(body) + directory + bytes(4) + beyond
