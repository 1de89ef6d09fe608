"""How near a result is to its target: L1, PSNR and SSIM, one number per sample.

Images are float (B, C, H, W) in [-1, 1], so the data range is 2. PSNR and SSIM are what the same pictures
have in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DATA_RANGE = 2.0
FORMULAS = 2
"""Another number wherever a metric of the same pictures becomes another: stored ones then do not compare."""
_WINDOW_PX = 11
_WINDOW_SIGMA = 1.5


def l1(result: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of each sample, (B,), on the scale of [-1, 1] as in the training loss."""
    return (result.float() - target.float()).abs().mean(dim=(1, 2, 3))


def psnr(result: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each sample in dB, (B,); infinite where both are equal."""
    mean_square = (result.float() - target.float()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(DATA_RANGE**2 / mean_square)


def ssim(result: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each sample, (B,), in [-1, 1]; 1 where both are equal.

    Wang et al. 2004: Gaussian window 11×11 with σ 1.5, K1 0.01, K2 0.03, windows that lie wholly inside,
    averaged over channels. Sides of at least 11 px. The luminance term is that of values from 0 upwards: it
    is no similarity where means may have two signs.
    """
    a, b = result.float(), target.float()
    if min(a.shape[2:]) < _WINDOW_PX:
        raise ValueError(f"SSIM needs sides of at least {_WINDOW_PX} px, not {tuple(a.shape[2:])}")
    # Variances do not depend on where 0 is, and float32 tells small ones apart only around it.
    middle = ((a + b) / 2).mean(dim=(2, 3), keepdim=True).detach()
    a, b = a - middle, b - middle
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a.square()
    variance_b = _blur(b * b) - mean_b.square()
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    # From black, which is −1.
    level_a, level_b = mean_a + middle + 1, mean_b + middle + 1
    luminance = (2 * level_a * level_b + c1) / (level_a.square() + level_b.square() + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


METRICS = {"l1": l1, "psnr": psnr, "ssim": ssim}


def _blur(x: Tensor) -> Tensor:
    """`x` under the Gaussian window, without the border where it would not fit."""
    channels = x.shape[1]
    offsets = torch.arange(_WINDOW_PX, device=x.device, dtype=torch.float32) - _WINDOW_PX // 2
    line = torch.exp(-offsets.square() / (2 * _WINDOW_SIGMA**2))
    line = (line / line.sum()).expand(channels, 1, 1, _WINDOW_PX)
    # Losses are computed under autocast too, where bfloat16 would leave nothing of a small variance.
    with torch.autocast(x.device.type, enabled=False):
        x = F.conv2d(x, line, groups=channels)
        return F.conv2d(x, line.transpose(2, 3), groups=channels)
