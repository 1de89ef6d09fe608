"""How YUV becomes RGB and back: matrix, range, primaries and transfer, always named, never a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from numpy.typing import NDArray

from p2pcli.image import Image
from p2pcli.io.video.matrices import OWN_MATRICES, by_own_matrix
from p2pcli.io.video.wide import as_bt709

Matrix = Literal[
    "bt601", "bt709", "bt2020", "smpte240m", "fcc", "rgb", "gbr", "ycgco", "ycgco-re", "ycgco-ro", "bt2020-cl"
]
"""How three samples make a colour. "rgb": the format has R, G and B; "gbr": it calls them Y, Cb and Cr."""
Range = Literal["limited", "full"]

UNSPECIFIED = 2
"""What H.273 writes for a matrix, primaries or transfer that nobody named."""

BT470BG = 5
"""The number of PAL's matrix, which differs from NTSC's (6) in name alone."""
PAL_LINES = (288, 576)
"""Heights of PAL pictures: BT.601's 625-line primaries are theirs where a film names none."""

MATRICES: dict[int, Matrix] = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
    10: "bt2020-cl",
    16: "ycgco-re",
    17: "ycgco-ro",
}
"""H.273 matrix coefficients → the conversion used."""

UNCONVERTED = {
    11: "Y'D'zD'x (SMPTE ST 2085)",
    12: "YCbCr derived from its primaries",
    13: "YCbCr derived from its primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
}
"""H.273 matrix coefficients that are refused by name; any other number is taken for none."""

DERIVED: dict[int, Matrix] = {1: "bt709", 9: "bt2020"}
"""Primaries → what matrix 12 comes to with them."""

SCALER_MATRICES: dict[Matrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
    "smpte240m": Colorspace.SMPTE240M,
    "fcc": Colorspace.FCC,
}

HDR_TRANSFERS = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})
WIDE_PRIMARIES = frozenset(
    {int(ColorPrimaries.BT2020), int(ColorPrimaries.SMPTE431), int(ColorPrimaries.SMPTE432)}
)

READ_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
WRITE_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


@dataclass(frozen=True)
class Colour:
    """What the samples of a stream mean. `primaries` and `transfer` are H.273 numbers (2: unspecified)."""

    matrix: Matrix
    range: Range
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    guessed: bool = False
    """True where the stream names no matrix and `guess_matrix` decided."""
    unknown_matrix: int | None = None
    """The number that the stream names, where it means nothing: `guess_matrix` decided."""

    @property
    def is_hdr(self) -> bool:
        """True for the PQ and HLG transfers."""
        return self.transfer in HDR_TRANSFERS

    @property
    def is_wide(self) -> bool:
        """True where reading converts the pixels to BT.709: HDR, or BT.2020 or P3 primaries."""
        return self.is_hdr or self.primaries in WIDE_PRIMARIES


def guess_matrix(width: int, height: int) -> Matrix:
    """The matrix of a stream that names none: BT.709 from 720 lines or 1280 columns on, else BT.601."""
    return "bt709" if height >= 720 or width >= 1280 else "bt601"


def colour_of(frame: VideoFrame) -> Colour:
    """The colour description of a decoded frame, completed by the guessing rule.

    A range that is not named is limited, except for the "yuvj" formats, and RGB and gray formats.
    """
    if frame.format.is_rgb or frame.format.name == "pal8":
        return Colour("rgb", "full", int(frame.color_primaries), int(frame.color_trc))
    is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    is_named = frame.color_range != ColorRange.UNSPECIFIED
    if frame.format.name.startswith(("gray", "mono")) and not is_named:
        is_full = True
    named, primaries = int(frame.colorspace), int(frame.color_primaries)
    # JPEG's full range goes with the same number, whatever the primaries.
    is_pal = (named == BT470BG and not is_full) or (named == UNSPECIFIED and frame.height in PAL_LINES)
    if primaries == UNSPECIFIED and is_pal:
        primaries = int(ColorPrimaries.BT470BG)
    matrix = DERIVED.get(primaries) if named == 12 else MATRICES.get(named)
    return Colour(
        matrix or guess_matrix(frame.width, frame.height),
        "full" if is_full else "limited",
        primaries,
        int(frame.color_trc),
        guessed=matrix is None,
        unknown_matrix=None if matrix or named == UNSPECIFIED else named,
    )


def refusal(frame: VideoFrame) -> str | None:
    """Why the colours of `frame` cannot be read, or None where they can."""
    named = int(frame.colorspace)
    if frame.format.is_rgb or (named == 12 and int(frame.color_primaries) in DERIVED):
        return None
    what = UNCONVERTED.get(named)
    if named in (10, 14) and int(frame.color_trc) in HDR_TRANSFERS:
        what = what or "BT.2020 with constant luminance in HDR"
    if named in (16, 17) and frame.color_range != ColorRange.JPEG:
        what = "reversible YCgCo in limited range"
    if named == 0 and (frame.format.chroma_width(frame.width), frame.format.chroma_height(frame.height)) != (
        frame.width,
        frame.height,
    ):
        what = "R, G and B of unequal sizes"
    return what


def as_rgb(
    frame: VideoFrame,
    colour: Colour,
    *,
    reformatter: VideoReformatter,
    width: int,
    height: int,
    deep: bool = False,
    threads: int = 1,
) -> Image:
    """`frame` as RGB (height, width, 3), uint8, or uint16 where `deep`.

    More than 8 bits are converted at 16 and rounded, not cut. Wide colour is mapped to BT.709, and HDR
    tone-mapped.
    """
    if colour.matrix in OWN_MATRICES:
        image = by_own_matrix(
            frame,
            colour.matrix,
            is_full=colour.range == "full",
            reformatter=reformatter,
            width=width,
            height=height,
            interpolation=READ_FLAGS,
            threads=threads,
        )
    else:
        image = _by_scaler(
            frame, colour, reformatter=reformatter, width=width, height=height, deep=deep, threads=threads
        )
    if colour.is_wide:
        is_p3 = colour.primaries in (ColorPrimaries.SMPTE431, ColorPrimaries.SMPTE432)
        image = as_bt709(image, transfer=colour.transfer, is_p3=is_p3)
    if deep or image.dtype == np.uint8:
        return image
    wide = image.astype(np.uint32)
    return ((wide * 255 + 32767) // 65535).astype(np.uint8)


def _by_scaler(
    frame: VideoFrame,
    colour: Colour,
    *,
    reformatter: VideoReformatter,
    width: int,
    height: int,
    deep: bool,
    threads: int,
) -> Image:
    is_deep = frame.format.components[0].bits > 8
    converted = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb48le" if is_deep or deep or colour.is_wide else "rgb24",
        src_colorspace=SCALER_MATRICES.get(colour.matrix),
        src_color_range=ColorRange.JPEG if colour.range == "full" else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=READ_FLAGS,
        threads=threads,
    )
    image: Image = converted.to_ndarray()
    if image.dtype == np.uint16:
        # libswscale's white is 255 × 256 there.
        image = np.minimum(image + (image >> 8).astype(np.uint32), 65535).astype(np.uint16)
    return image


@dataclass(frozen=True)
class Tags:
    """The H.273 numbers, and the range, that a stream carries."""

    matrix: int
    range: int
    primaries: int
    transfer: int


def written_colour(source: Colour) -> Colour:
    """The colour a film is written with: the source's if it is SDR BT.601 or 709, else BT.709 limited."""
    if source.is_wide or source.matrix not in ("bt601", "bt709"):
        return Colour("bt709", "limited", int(ColorPrimaries.BT709), int(ColorTrc.BT709))
    is_hd = source.matrix == "bt709"
    primaries = ColorPrimaries.BT709 if is_hd else ColorPrimaries.SMPTE170M
    transfer = ColorTrc.BT709 if is_hd else ColorTrc.SMPTE170M
    return Colour(
        source.matrix,
        source.range,
        int(primaries) if source.primaries == UNSPECIFIED else source.primaries,
        int(transfer) if source.transfer == UNSPECIFIED else source.transfer,
    )


def tags_of(colour: Colour) -> Tags:
    """What to write into a stream of `colour`."""
    matrix = {"bt709": 1, "bt601": 5 if colour.primaries == ColorPrimaries.BT470BG else 6}[colour.matrix]
    is_full = colour.range == "full"
    return Tags(
        matrix, int(ColorRange.JPEG if is_full else ColorRange.MPEG), colour.primaries, colour.transfer
    )


def as_yuv(
    image: Image, colour: Colour, *, reformatter: VideoReformatter, pix_fmt: str, threads: int = 1
) -> VideoFrame:
    """`image`, RGB (H, W, 3) uint8, as a frame of `pix_fmt` in `colour`'s matrix and range, tagged so."""
    tags = tags_of(colour)
    is_even = image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0
    if pix_fmt == "yuv444p" or (pix_fmt == "yuv420p" and is_even):
        frame = VideoFrame.from_ndarray(
            _planes(image, colour, is_halved=pix_fmt == "yuv420p"), format=pix_fmt
        )
    else:
        frame = reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
            format=pix_fmt,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=SCALER_MATRICES[colour.matrix],
            dst_color_range=tags.range,
            interpolation=WRITE_FLAGS,
            threads=threads,
        )
    frame.colorspace = tags.matrix
    frame.color_range = tags.range
    frame.color_primaries = tags.primaries
    frame.color_trc = tags.transfer
    return frame


def _planes(image: Image, colour: Colour, *, is_halved: bool) -> NDArray[np.uint8]:
    """Y, Cb, Cr as the array that PyAV takes: (3, H, W), or (3H/2, W) for 4:2:0.

    Done here, since libswscale puts chroma between the columns where H.264 players expect it on the even
    ones, and rounds full-range chroma down.
    """
    planes = cv2.split(cv2.transform(np.ascontiguousarray(image), _coefficients(colour)))
    if not is_halved:
        return np.stack(planes).astype(np.uint8)
    across, down = np.array([0.25, 0.5, 0.25]), np.array([0, 0.5, 0.5])
    small = [
        cv2.sepFilter2D(plane, -1, across, down, borderType=cv2.BORDER_REPLICATE)[::2, ::2].ravel()
        for plane in planes[1:]
    ]
    height, width = planes[0].shape
    return np.concatenate([planes[0].ravel(), *small]).reshape(height * 3 // 2, width).astype(np.uint8)


def _coefficients(colour: Colour) -> NDArray[np.float64]:
    """RGB in 0..255 → Y, Cb, Cr codes (ITU-R BT.601-7 2.5, BT.709-6 3.2 to 3.5), as a 3×4 matrix."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[colour.matrix]
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 - 2 * blue)
    cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 - 2 * red)
    is_full = colour.range == "full"
    luma_scale, chroma_scale, black = (1.0, 1.0, 0.0) if is_full else (219 / 255, 224 / 255, 16.0)
    return np.array(
        [[*(luma * luma_scale), black], [*(cb * chroma_scale), 128.0], [*(cr * chroma_scale), 128.0]]
    )
