"""Differentiable augmentation of what D sees (DiffAugment; Zhao et al. 2020, 2006.10738), for small data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Policy = Literal["color", "translation", "cutout"]
POLICIES: tuple[Policy, ...] = ("color", "translation", "cutout")

_SHIFT = 0.125
"""Largest translation, as a share of the side (section 4 of the paper)."""
_HOLE = 0.5
"""Side of the cut-out square, as a share of the side."""


@dataclass(frozen=True)
class Augmentation:
    """One draw for a batch: the same for an input and its target, so that they stay aligned.

    Per sample: `brightness` added, `saturation` and `contrast` factors, (B, 1, 1, 1) each; `shift` and `hole`
    (B, 2) as (rows, columns) in shares of the side. None where the policy leaves it out.
    """

    brightness: Tensor | None = None
    saturation: Tensor | None = None
    contrast: Tensor | None = None
    shift: Tensor | None = None
    hole: Tensor | None = None


def draw_augmentation(
    batch: int, *, policies: Sequence[Policy] = POLICIES, generator: torch.Generator | None = None
) -> Augmentation:
    """Random numbers for `batch` samples, drawn on the CPU, so that every device sees the same."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator)

    color = "color" in policies
    return Augmentation(
        brightness=uniform(1, 1, 1) - 0.5 if color else None,
        saturation=uniform(1, 1, 1) * 2 if color else None,
        contrast=uniform(1, 1, 1) + 0.5 if color else None,
        shift=(uniform(2) * 2 - 1) * _SHIFT if "translation" in policies else None,
        hole=uniform(2) if "cutout" in policies else None,
    )


def augment(x: Tensor, drawn: Augmentation, *, is_image: bool = True) -> Tensor:
    """`x` (B, C, H, W) under `drawn`; gradients flow through.

    Brightness adds to every pixel; saturation scales around the pixel's mean over channels, contrast around
    the image's mean; what a translation uncovers and what a cut-out hides becomes 0. Label maps and masks
    have no colour to change: `is_image=False`.
    """
    if is_image:
        x = _recolor(x, drawn)
    if drawn.shift is not None:
        x = _translate(x, drawn.shift)
    if drawn.hole is not None:
        x = _cut_out(x, drawn.hole)
    return x


def _recolor(x: Tensor, drawn: Augmentation) -> Tensor:
    if drawn.brightness is not None:
        x = x + drawn.brightness.to(x, non_blocking=True)
    if drawn.saturation is not None:
        gray = x.mean(dim=1, keepdim=True)
        x = (x - gray) * drawn.saturation.to(x, non_blocking=True) + gray
    if drawn.contrast is not None:
        middle = x.mean(dim=(1, 2, 3), keepdim=True)
        x = (x - middle) * drawn.contrast.to(x, non_blocking=True) + middle
    return x


def _translate(x: Tensor, shift: Tensor) -> Tensor:
    """Whole pixels, by indexing into a copy with a border of zeros."""
    batch, _, height, width = x.shape
    reach_rows, reach_columns = int(height * _SHIFT + 0.5), int(width * _SHIFT + 0.5)
    padded = F.pad(x, (reach_columns, reach_columns, reach_rows, reach_rows))
    moved = []
    for index in range(batch):
        top = reach_rows - round(float(shift[index, 0]) * height)
        left = reach_columns - round(float(shift[index, 1]) * width)
        top, left = min(max(top, 0), 2 * reach_rows), min(max(left, 0), 2 * reach_columns)
        moved.append(padded[index, :, top : top + height, left : left + width])
    return torch.stack(moved)


def _cut_out(x: Tensor, hole: Tensor) -> Tensor:
    """The square's centre lies anywhere in the picture, so that a part of the square may lie outside."""
    batch, _, height, width = x.shape
    rows, columns = int(height * _HOLE + 0.5), int(width * _HOLE + 0.5)
    mask = torch.ones(batch, 1, height, width, dtype=x.dtype)
    for index in range(batch):
        top = int(float(hole[index, 0]) * height) - rows // 2
        left = int(float(hole[index, 1]) * width) - columns // 2
        mask[index, :, max(0, top) : max(0, top + rows), max(0, left) : max(0, left + columns)] = 0
    return x * mask.to(x.device, non_blocking=True)
