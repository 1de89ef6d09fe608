"""How far a result is from its target, pixel by pixel: L1, L2, Charbonnier, SSIM, frequencies.

Images are float (B, C, H, W) in [-1, 1]; every term is a float32 scalar, 0 where both are equal.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pcli.metrics import ssim as ssim_of


def l1(result: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference (pix2pix, 1611.07004, equation 3)."""
    return F.l1_loss(result.float(), target.float())


def l2(result: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference: SRResNet's own loss (1609.04802, equation 4)."""
    return F.mse_loss(result.float(), target.float())


def charbonnier(result: Tensor, target: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Mean of √(d² + ε²) − ε (Charbonnier et al. 1994; Lai et al. 2017, 1704.03915, section 3.3).

    The papers leave out − ε; with it equal images give 0, and gradients are the same.
    """
    difference = result.float() - target.float()
    return ((difference.square() + epsilon**2).sqrt() - epsilon).mean()


def ssim(result: Tensor, target: Tensor) -> Tensor:
    """1 − SSIM (Wang et al. 2004; as a loss Zhao et al. 2017, 1511.08861, equation 7). Sides from 11 px."""
    return 1 - ssim_of(result, target).mean()


def focal_frequency(result: Tensor, target: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Focal frequency loss (Jiang et al. 2021, 2012.12821, equations 5–8).

    The mean over the orthonormal 2-D spectrum of w·|F_result − F_target|², where w = |F_result − F_target|^α,
    divided by its largest value in each channel's spectrum and held constant for the gradient.
    """
    difference = torch.fft.fft2(result.float(), norm="ortho") - torch.fft.fft2(target.float(), norm="ortho")
    power = difference.real.square() + difference.imag.square()
    with torch.no_grad():
        weight = power.pow(alpha / 2)
        largest = weight.amax(dim=(-2, -1), keepdim=True)
        weight = torch.where(largest > 0, weight / largest.clamp_min(torch.finfo(weight.dtype).tiny), weight)
    focused: Tensor = (weight * power).mean()
    return focused


def total_variation(result: Tensor) -> Tensor:
    """Mean absolute difference between neighbours, down plus right (anisotropic; Rudin et al. 1992)."""
    image = result.float()
    down = (image[:, :, 1:, :] - image[:, :, :-1, :]).abs().mean()
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().mean()
    return down + right
