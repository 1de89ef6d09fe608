"""CIE Lab under D65 and the 2° observer, from and to sRGB: the formulas behind published colourisation."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

# sRGB's primaries and white (IEC 61966-2-1), rounded as the published preprocessing has them.
_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
_LINEAR_BELOW = 0.008856
_SLOPE = 7.787
_OFFSET = 16 / 116


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """`rgb` uint8 (B, H, W, 3) as float32 (B, 3, H, W): L in [0, 100], a and b in about [-110, 110]."""
    xyz = torch.einsum("bhwc,dc->bdhw", _linear(rgb.device)[rgb.int()], _matrix(rgb.device))
    xyz = xyz / _white(rgb.device)
    f = torch.where(xyz > _LINEAR_BELOW, xyz.clamp(min=_LINEAR_BELOW) ** (1 / 3), _SLOPE * xyz + _OFFSET)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """`lab` (B, 3, H, W) as sRGB in [0, 1], (B, 3, H, W); colours that no screen has are clipped."""
    lightness, a, b = lab.float().unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, (y - b / 200).clamp(min=0)], 1)
    above = _LINEAR_BELOW ** (1 / 3)
    xyz = torch.where(f > above, f**3, (f - _OFFSET) / _SLOPE)
    xyz = xyz * _white(lab.device)
    linear = torch.einsum("bdhw,cd->bchw", xyz, _inverse(lab.device))
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, 12.92 * linear).clamp(0, 1)


# Made once for a device: a copy to a GPU waits for what the GPU has to do before.
@functools.cache
def _white(device: torch.device) -> Tensor:
    return torch.tensor(_WHITE, device=device)[:, None, None]


@functools.cache
def _matrix(device: torch.device) -> Tensor:
    return torch.tensor(_TO_XYZ, device=device)


@functools.cache
def _inverse(device: torch.device) -> Tensor:
    inverse: Tensor = torch.linalg.inv(torch.tensor(_TO_XYZ)).to(device)
    return inverse


@functools.cache
def _linear(device: torch.device) -> Tensor:
    """Byte → linear light, float32 (256,)."""
    value = torch.arange(256, dtype=torch.float64) / 255
    linear = torch.where(value > 0.04045, ((value + 0.055) / 1.055) ** 2.4, value / 12.92)
    return linear.to(device, torch.float32)
