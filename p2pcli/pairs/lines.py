"""What is done to lines after detection: thinning, and removal of specks."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from p2pcli.image import Image

# Weights of the eight neighbours P2 … P9 of Zhang & Suen, clockwise from the north.
_NEIGHBOUR_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], dtype=np.float32)


def drop_short(lines: Image, min_length: int) -> Image:
    """`lines` (H, W) uint8, 0 or 255, without 8-connected components of fewer than `min_length` pixels."""
    if min_length <= 1:
        return lines
    count, labels = cv2.connectedComponents(lines, connectivity=8, ltype=cv2.CV_32S)
    # Lines are sparse: counting them alone takes a third of what statistics of all components take.
    # NumPy searches booleans several times faster than bytes.
    on = np.flatnonzero(lines != 0)
    component = labels.reshape(-1).take(on)
    is_short = np.bincount(component, minlength=count) < min_length
    cleaned = lines.copy()
    cleaned.reshape(-1)[on[is_short[component]]] = 0
    return cleaned


def thin_lines(lines: Image) -> Image:
    """`lines` (H, W) uint8, 0 or 255, thinned to one pixel; connections stay.

    Zhang & Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984. Beyond the
    border everything is background.
    """
    on: Image = (lines > 0).astype(np.uint8)
    tables = _deletion_tables()
    while True:
        before = int(on.sum())
        for table in tables:
            bits = cv2.filter2D(on, cv2.CV_8U, _NEIGHBOUR_BITS, borderType=cv2.BORDER_CONSTANT)
            on = on & np.asarray(cv2.LUT(bits, table))
        if int(on.sum()) == before:
            return on * np.uint8(255)


@functools.cache
def _deletion_tables() -> tuple[Image, Image]:
    """For each of the two sub-iterations: neighbour bits → 0 where the pixel goes, 1 where it stays."""
    first, second = np.ones(256, dtype=np.uint8), np.ones(256, dtype=np.uint8)
    for code in range(256):
        p2, p3, p4, p5, p6, p7, p8, p9 = ring = [code >> bit & 1 for bit in range(8)]
        rises = sum(a == 0 and b == 1 for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
        if not 2 <= sum(ring) <= 6 or rises != 1:
            continue
        del p3, p5, p7, p9
        first[code] = 0 if p2 * p4 * p6 == 0 and p4 * p6 * p8 == 0 else 1
        second[code] = 0 if p2 * p4 * p8 == 0 and p2 * p6 * p8 == 0 else 1
    return first, second
