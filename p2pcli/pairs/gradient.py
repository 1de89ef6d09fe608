"""Gradients, Canny and its parts, in whole numbers: the same picture gives the same lines on any thread.

OpenCV's own Canny gives other lines with two threads than with one, and its float magnitude differs in the
last bit from call to call; a dataset must not depend on either. On one thread OpenCV's is used, for speed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from p2pcli.image import Image
from p2pcli.pairs.lines import drop_short

UNIT = {3: 1, 5: 12}
"""Sobel aperture → its response to an edge, relative to aperture 3."""

# A gradient this small (a step of 6 grey levels under Sobel 3×3) is sensor noise or JPEG blocking; an
# automatic threshold never falls below it, or flat pictures would fill with lines.
NOISE_GRADIENT = 24.0


_SAMPLE_STEP, _SAMPLE_MARGIN = 16, 0.04


class Gradient(NamedTuple):
    """Sobel responses (H, W) int16, and the strength int32 in their unit, squared where `is_squared`."""

    dx: Image
    dy: Image
    strength: Image
    is_squared: bool
    aperture: int

    def level(self, value: float) -> float:
        """`value` in gradient units of aperture 3, as it compares with `strength`."""
        scaled = value * UNIT[self.aperture]
        return scaled * scaled if self.is_squared else scaled

    def quantile(self, share: float) -> float:
        """Just below the strength, in gradient units, that `share` of the pixels stay under."""
        index = min(self.strength.size - 1, int(share * self.strength.size))
        # Half a step below: pixels that equal it, all edges of a flat graphic, are strong, whatever rounding
        # does to the square.
        value = max(0.0, float(_sorted_value(self.strength, index)) - 0.5)
        return (math.sqrt(value) if self.is_squared else value) / UNIT[self.aperture]


def gradient(gray: Image, *, sigma: float, aperture: int, l2: bool = True) -> Gradient:
    """The gradient of `gray` (H, W) uint8 after a Gaussian blur; `l2` False takes |dx| + |dy|."""
    if sigma > 0:
        gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), sigma))
    if aperture == 3:
        # Both of cv2.Sobel's responses in one pass.
        dx, dy = (np.asarray(response) for response in cv2.spatialGradient(gray))
    else:
        dx = np.asarray(cv2.Sobel(gray, cv2.CV_16S, 1, 0, ksize=aperture))
        dy = np.asarray(cv2.Sobel(gray, cv2.CV_16S, 0, 1, ksize=aperture))
    return Gradient(dx, dy, _strength(dx, dy, l2=l2), l2, aperture)


def _sorted_value(values: Image, index: int) -> int:
    """What stands at `index` of the sorted `values`; fast where that is among the last."""
    flat = values.reshape(-1)
    sample = flat[::_SAMPLE_STEP]
    # A sixteenth tells about where the value lies, and all that is surely below need no sorting.
    rank = int(sample.size * (index / flat.size - _SAMPLE_MARGIN))
    if rank > 0:
        candidates = flat[flat >= np.partition(sample, rank)[rank]]
        left = index - (flat.size - candidates.size)
        if left >= 0:
            return int(np.partition(candidates, left)[left])
    return int(np.partition(flat, index)[index])


def _strength(dx: Image, dy: Image, *, l2: bool) -> Image:
    across, along = dx.astype(np.int32), dy.astype(np.int32)
    if not l2:
        return np.abs(across) + np.abs(along)
    # In place: fresh arrays of this size cost more than the arithmetic.
    across *= across
    along *= along
    across += along
    return across


def automatic_high(found: Gradient, detail: float) -> float:
    """The high threshold that a share `detail` of the pixels exceeds, in gradient units (more among equals).

    Contrast and brightness cancel out, so dark, bright and hazy photos get about as many lines as any other;
    but never less than the level of noise, so that an empty sky stays empty.
    """
    return max(found.quantile(1.0 - detail), NOISE_GRADIENT)


def canny(found: Gradient, low: float, high: float, *, min_length: int = 0) -> Image:
    """Lines (H, W) uint8, 0 or 255: Canny 1986, equal to OpenCV's on one thread.

    Crests above `low` that are connected to one above `high`, in components of `min_length` pixels or more.
    """
    weak, strong = math.floor(found.level(low)), math.floor(found.level(high))
    if cv2.getNumThreads() == 1:
        lines = _opencv_canny(found, weak, strong)
        return drop_short(lines, min_length)
    crests = crest_positions(found, above=weak)
    lines = np.zeros(found.strength.shape, dtype=np.uint8)
    lines.reshape(-1)[crests] = 255
    count, labels = cv2.connectedComponents(lines, connectivity=8, ltype=cv2.CV_32S)
    component = labels.reshape(-1)[crests]
    is_strong = found.strength.reshape(-1)[crests] > strong
    kept = np.bincount(component[is_strong], minlength=count) > 0
    lines.reshape(-1)[crests[~kept[component]]] = 0
    return drop_short(lines, min_length)


def _opencv_canny(found: Gradient, weak: int, strong: int) -> Image:
    # OpenCV squares and floors its thresholds; half a step above the whole number survives both.
    low, high = weak + 0.5, strong + 0.5
    if found.is_squared:
        low, high = math.sqrt(low), math.sqrt(high)
    lines: Image = np.asarray(cv2.Canny(found.dx, found.dy, low, high, L2gradient=found.is_squared))
    return lines


def crest_positions(found: Gradient, *, above: int) -> Image:
    """Flat positions whose strength exceeds `above` and that of both neighbours along the gradient.

    The gradient's direction goes in 45° steps. Along an axis one of two equal neighbours stays.
    """
    height, width = found.strength.shape
    # A frame of zeros makes every neighbour exist.
    framed = np.zeros((height + 2, width + 2), dtype=np.int32)
    framed[1:-1, 1:-1] = found.strength
    strength = framed.reshape(-1)
    # Two searches cost less than one and the divisions that lead from one to the other.
    chosen = np.flatnonzero(found.strength > above)
    place = np.flatnonzero(strength > above)
    dx = found.dx.reshape(-1)[chosen].astype(np.int32)
    dy = found.dy.reshape(-1)[chosen].astype(np.int32)
    across, along = np.abs(dx), np.abs(dy) << 15
    # tan 22.5° = 13573 / 2^15; tan 67.5° = tan 22.5° + 2.
    flat = along < across * 13573
    steep = along > across * (13573 + (2 << 15))
    diagonal = np.where((dx ^ dy) < 0, width + 1, width + 3)
    step = np.where(flat, 1, np.where(steep, width + 2, diagonal))
    here = strength[place]
    behind, ahead = strength[place - step], strength[place + step]
    keeps = (here > behind) & ((here > ahead) | ((here == ahead) & (flat | steep)))
    positions: Image = chosen[keeps]
    return positions
