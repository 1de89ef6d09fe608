"""Colour matrices that libswscale lacks, as ITU-T H.273 defines them: YCgCo, its reversible kinds, planes
of R, G and B under the names of Y, Cb and Cr, and BT.2020 with constant luminance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from p2pcli.image import Image

Planes = NDArray[Any]
"""(3, H, W): codes as the film stores them; or luma 0…1 and colour differences -0.5…0.5; or R, G, B 0…1."""

_ALPHA, _BETA = 1.09929682680944, 0.018053968510807
"""BT.2020 table 4."""


def by_own_matrix(
    frame: VideoFrame,
    matrix: str,
    *,
    is_full: bool,
    reformatter: VideoReformatter,
    width: int,
    height: int,
    interpolation: Interpolation,
    threads: int,
) -> Image:
    """`frame` as RGB (height, width, 3), uint16, by a matrix of `OWN_MATRICES`."""
    bits = frame.format.components[0].bits
    colour_range = ColorRange.JPEG if is_full else ColorRange.MPEG
    wide = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="yuv444p16le",
        # One matrix and range on both sides: the codes stay as they are, in the upper bits.
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=colour_range,
        dst_color_range=colour_range,
        interpolation=interpolation,
        threads=threads,
    )
    codes = np.moveaxis(wide.to_ndarray(), 2, 0).astype(np.float32) / (1 << (16 - bits))
    rgb = OWN_MATRICES[matrix](codes, bits, is_full)
    rgb = cv2.merge([np.ascontiguousarray(plane, dtype=np.float32) for plane in rgb])
    return (np.clip(rgb, 0, 1) * 65535 + 0.5).astype(np.uint16)


def _differences(codes: Planes, bits: int, is_full: bool) -> Planes:
    half, unit = float(1 << (bits - 1)), float(1 << (bits - 8))
    if is_full:
        scale = np.array([1, 1, 1], dtype=np.float32) * ((1 << bits) - 1)
        black = np.array([0, half, half], dtype=np.float32)
    else:
        scale = np.array([219, 224, 224], dtype=np.float32) * unit
        black = np.array([16 * unit, half, half], dtype=np.float32)
    planes: Planes = (codes - black[:, None, None]) / scale[:, None, None]
    return planes


def _identity(codes: Planes, bits: int, is_full: bool) -> Planes:
    unit = float(1 << (bits - 8))
    planes = codes / ((1 << bits) - 1) if is_full else (codes - 16 * unit) / (219 * unit)
    green, blue, red = planes
    return np.stack([red, green, blue])


def _ycgco(codes: Planes, bits: int, is_full: bool) -> Planes:
    luma, green, orange = _differences(codes, bits, is_full)
    rest = luma - green
    return np.stack([rest + orange, luma + green, rest - orange])


def _reversible(extra_bits: int) -> Callable[[Planes, int, bool], Planes]:
    def convert(codes: Planes, bits: int, is_full: bool) -> Planes:
        luma, green, orange = np.rint(codes).astype(np.int32)
        green, orange = green - (1 << (bits - 1)), orange - (1 << (bits - 1))
        rest = luma - (green >> 1)
        blue = rest - (orange >> 1)
        # The colour differences need the bits that they have beside those of R, G and B.
        largest = (1 << (bits - extra_bits)) - 1
        planes: Planes = np.stack([blue + orange, rest + green, blue]) / np.float32(largest)
        return planes

    return convert


def _constant_luminance(codes: Planes, bits: int, is_full: bool) -> Planes:
    luma, to_blue, to_red = _differences(codes, bits, is_full)
    blue = luma + to_blue * np.where(to_blue <= 0, 1.9404, 1.5816)
    red = luma + to_red * np.where(to_red <= 0, 1.7184, 0.9936)
    light = (_linear(luma) - 0.2627 * _linear(red) - 0.0593 * _linear(blue)) / 0.6780
    return np.stack([red, _coded(light), blue])


def _linear(coded: Planes) -> Planes:
    coded = np.clip(coded, 0, 1)
    light: Planes = np.where(coded < 4.5 * _BETA, coded / 4.5, ((coded + _ALPHA - 1) / _ALPHA) ** (1 / 0.45))
    return light


def _coded(light: Planes) -> Planes:
    light = np.clip(light, 0, 1)
    coded: Planes = np.where(light < _BETA, 4.5 * light, _ALPHA * light**0.45 - (_ALPHA - 1))
    return coded


OWN_MATRICES: dict[str, Callable[[Planes, int, bool], Planes]] = {
    "gbr": _identity,
    "ycgco": _ycgco,
    "ycgco-re": _reversible(2),
    "ycgco-ro": _reversible(1),
    "bt2020-cl": _constant_luminance,
}
"""Name → (codes (3, H, W), bits, is_full) → R, G, B in 0…1."""
