"""HDR and wide-gamut pictures as BT.709: BT.2100 transfers, BT.2408 reference white, a Möbius shoulder."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.image import Image

REFERENCE_WHITE_NITS = 203.0
"""BT.2408: what HDR pictures call white, and SDR pictures show as 1."""
PEAK_NITS = 1000.0
"""Highlights up to here keep their order; above, they clip. HLG's nominal peak; common PQ masters'."""
SHOULDER_START = 0.3
"""Below this linear light, of SDR white, nothing changes."""
HLG_GAMMA = 1.2

BT2020_TO_BT709 = (
    (1.660491, -0.587641, -0.072850),
    (-0.124550, 1.132900, -0.008349),
    (-0.018151, -0.100579, 1.118730),
)
P3_TO_BT709 = (
    (1.224940, -0.224940, 0.0),
    (-0.042057, 1.042057, 0.0),
    (-0.019638, -0.078636, 1.098274),
)


def as_bt709(image: Image, *, transfer: int, is_p3: bool) -> Image:
    """`image`, uint16 RGB (H, W, 3) in `transfer` and BT.2020 or P3 primaries, as BT.709, uint16.

    `transfer` 16 is PQ and 18 HLG (H.273); both are tone-mapped on the largest channel, which keeps hues. Any
    other is taken for SDR: the gamut changes and nothing else.
    """
    light: NDArray[Any] = _linear_table(transfer)[image]
    if transfer == 18:
        # BT.2100 table 5: the OOTF scales by scene luminance.
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
        gain = np.maximum(luminance, 1e-6) ** (HLG_GAMMA - 1) * (PEAK_NITS / REFERENCE_WHITE_NITS)
        light = light * gain[:, :, None]
    matrix = np.array(P3_TO_BT709 if is_p3 else BT2020_TO_BT709, dtype=np.float32)
    light = np.maximum(np.asarray(cv2.transform(light, matrix), dtype=np.float32), 0)
    if transfer in (16, 18):
        brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
        light = light * (_shoulder(brightest) / brightest)
    coded = _encoded_table()[(np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)]
    return np.asarray(coded)


def _shoulder(light: NDArray[Any]) -> NDArray[Any]:
    """Linear light with a smooth roll-off: the identity up to `SHOULDER_START`, and the peak comes to 1."""
    peak, start = PEAK_NITS / REFERENCE_WHITE_NITS, SHOULDER_START
    a = -(start**2) * (peak - 1) / (start**2 - 2 * start + peak)
    b = (start**2 - 2 * start * peak + peak) / (peak - 1)
    rolled = (b * b + 2 * b * start + start * start) / (b - a) * (light + a) / (light + b)
    return np.where(light <= start, light, rolled).astype(np.float32)


@functools.cache
def _linear_table(transfer: int) -> NDArray[np.float32]:
    """16-bit code → linear light: of SDR white for PQ and SDR, of the scene's peak for HLG."""
    code = np.arange(65536, dtype=np.float64) / 65535
    table: NDArray[Any]
    if transfer == 16:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        table = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) / REFERENCE_WHITE_NITS
    elif transfer == 18:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        table = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        table = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)


@functools.cache
def _encoded_table() -> NDArray[np.uint16]:
    """16-bit linear light → 16-bit sRGB code."""
    light = np.arange(65536, dtype=np.float64) / 65535
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 65535 + 0.5).astype(np.uint16)
