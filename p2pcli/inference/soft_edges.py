"""Soft edges: how the colours of a picture with alpha come out of a network that saw it over a background.

A network sees a·c + (1 − a)·b. What it makes of a soft pixel is a mixture again, of the colour that it makes
of c and of what it makes of the background, which it may paint otherwise. That is looked up where nothing but
background is, and taken out.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.image import Colour, Image, resize

Network = Callable[[Image], Image]
"""(H, W, 3) → (H·scale, W·scale, 1 or 3), of the same dtype."""

_REACH_PX = 4
"""The background at a pixel is the mean over so many px around the nearest one that shows nothing else."""
_TRUSTED = 0.05
"""A network's own enlargement of an alpha plane may differ by so much of the range where alpha changes."""
_STRIP_PX = 1 << 20
_PLAIN_PX = 64
_SAMPLED = 100_000


def with_alpha(made: Image, source: Image, *, background: Colour, network: Network | None) -> Image:
    """`made` (h, w, 1 or 3), the network's picture of `source` (H, W, 4) over `background`, as (h, w, 4).

    Alpha is the source's. Where it is enlarged, the network enlarges it as a gray picture, so that its edges
    lie where those of the colours do; where it makes something else of it, bicubic does. Colours are
    un-mixed, those under alpha 0 the source's own, those under full alpha as `made`.
    """
    colours = np.repeat(made, 3, axis=2) if made.shape[2] == 1 else made.copy()
    alpha = _alpha_at(source[:, :, 3:], made.shape[0], made.shape[1], network)
    _unmix(colours, alpha[:, :, 0], background, network)
    clear = alpha[:, :, 0] == 0
    if clear.any():
        own = resize(source[:, :, :3], made.shape[1], made.shape[0], kernel="nearest")
        colours[clear] = own[clear]
    return np.concatenate([colours, alpha], axis=2)


def _unmix(colours: Image, alpha: Image, background: Colour, network: Network | None) -> None:
    """Take the background out of the soft pixels of `colours` (H, W, 3), in place; `alpha` is (H, W)."""
    top = np.iinfo(colours.dtype).max
    soft = (alpha > 0) & (alpha < top)
    if not soft.any():
        return
    behind = _Behind(colours, alpha, soft) if (alpha == 0).any() else None
    plain = None if behind else _plain_behind(colours, alpha, soft, background, network)
    # In strips: a large picture as floats would take several times its memory.
    rows = max(1, _STRIP_PX // colours.shape[1])
    for first in range(0, colours.shape[0], rows):
        part = slice(first, first + rows)
        here = soft[part]
        back = behind.at(part, here) if behind else plain
        unmixed = _without(colours[part][here], back, alpha[part][here], top)
        colours[part][here] = unmixed.round().clip(0, top)


def _without(mixed: Image, back: NDArray[np.float32] | None, alpha: Image, top: int) -> NDArray[np.float32]:
    """Colours (N, 3) whose mixture with `back` is `mixed`; may lie beyond the range."""
    assert back is not None
    found: NDArray[np.float32] = back + (mixed - back) * (np.float32(top) / alpha[:, None].astype(np.float32))
    return found


class _Behind:
    """What a network made of the background, at each soft pixel: as at the nearest pixel of alpha 0."""

    def __init__(self, colours: Image, alpha: Image, soft: NDArray[np.bool_]) -> None:
        clear = alpha == 0
        _, self._labels = cv2.distanceTransformWithLabels(
            (~clear).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        asked = np.zeros(int(self._labels.max()) + 1, bool)
        asked[self._labels[soft]] = True
        ys, xs = np.nonzero(clear & asked[self._labels])
        self._means = np.zeros((len(asked), 3), np.float32)
        self._means[self._labels[ys, xs]] = _means_around(colours, clear, ys, xs)

    def at(self, part: slice, here: NDArray[np.bool_]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._means[self._labels[part][here]]
        return found


def _means_around(
    colours: Image, clear: NDArray[np.bool_], ys: NDArray[np.intp], xs: NDArray[np.intp]
) -> NDArray[np.float32]:
    """The mean of `colours` over the clear pixels around each of the points, (N, 3)."""
    height, width = clear.shape
    # Sums of whole numbers, so that one colour all around has itself as its mean.
    sums, counts = np.zeros((len(ys), 3), np.float64), np.zeros((len(ys), 1), np.float64)
    for down in range(-_REACH_PX, _REACH_PX + 1):
        for right in range(-_REACH_PX, _REACH_PX + 1):
            y, x = ys + down, xs + right
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            y, x = y.clip(0, height - 1), x.clip(0, width - 1)
            counted = (inside & clear[y, x])[:, None]
            sums += colours[y, x] * counted
            counts += counted
    return (sums / counts).astype(np.float32)


def _plain_behind(
    colours: Image, alpha: Image, soft: NDArray[np.bool_], background: Colour, network: Network | None
) -> NDArray[np.float32]:
    """The background where no pixel shows it alone: as it is, or as the network makes it of a plain picture.

    That one is taken which leaves more of the colours inside their range. (1, 3).
    """
    top = np.iinfo(colours.dtype).max
    given = (np.array([background], np.float64) * (top / 255)).astype(np.float32)
    if network is None:
        return given
    plain = np.broadcast_to(given.round().astype(colours.dtype), (_PLAIN_PX, _PLAIN_PX, 3))
    drawn = network(np.ascontiguousarray(plain))
    made = np.median(drawn.reshape(-1, drawn.shape[2]), axis=0).astype(np.float32)
    candidates = [given, np.broadcast_to(made, (1, 3)).copy()]
    # A sample of the picture decides as well as all of it.
    step = max(1, int(np.count_nonzero(soft)) // _SAMPLED)
    mixed, shares = colours[soft][::step], alpha[soft][::step]

    def excess(back: NDArray[np.float32]) -> float:
        found = _without(mixed, back, shares, top)
        return float(np.abs(found - found.clip(0, top)).mean())

    return min(candidates, key=excess)


def _alpha_at(alpha: Image, height: int, width: int, network: Network | None) -> Image:
    """`alpha` (H, W, 1) at the size of the result; see `with_alpha`."""
    if alpha.shape[:2] == (height, width):
        return alpha
    if alpha.min() == alpha.max():
        return np.full((height, width, 1), alpha.flat[0])
    smooth = resize(alpha, width, height, kernel="bicubic")
    scale = height // alpha.shape[0]
    if network is None or scale < 2 or (alpha.shape[0] * scale, alpha.shape[1] * scale) != (height, width):
        return smooth
    drawn = network(np.repeat(alpha, 3, axis=2))
    if drawn.shape[2] == 3:
        drawn = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGB2GRAY))[:, :, None]
    around = np.ones((3, 3), np.uint8)
    is_flat = cv2.erode(alpha[:, :, 0], around) == cv2.dilate(alpha[:, :, 0], around)
    # What is whole or empty stays so to the last step.
    flat = is_flat.repeat(scale, axis=0).repeat(scale, axis=1)
    drawn[flat] = alpha.repeat(scale, axis=0).repeat(scale, axis=1)[flat]
    back = resize(drawn, alpha.shape[1], alpha.shape[0], kernel="area").astype(np.float32)
    error = np.abs(back - alpha)[~is_flat].mean() / np.iinfo(alpha.dtype).max
    return drawn if error <= _TRUSTED else smooth
