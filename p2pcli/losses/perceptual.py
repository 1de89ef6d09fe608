"""Distances between feature maps: those of a discriminator (feature matching) and of VGG19 (perceptual)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HD_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
HD_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of pix2pixHD's and SPADE's published code; the paper states 1/M_i of layer i (1711.11585, section 4)."""

SRGAN_LAYERS = ("relu5_4",)
SRGAN_FEATURE_SCALE = 1 / 12.75
"""VGG feature maps are rescaled so (SRGAN, 1609.04802, section 3.2)."""


def feature_matching(
    fake: Sequence[Sequence[Tensor]],
    real: Sequence[Sequence[Tensor]],
    *,
    weighting: Literal["pix2pixhd", "spade"] = "pix2pixhd",
) -> Tensor:
    """L1 between D's feature maps of the fake and of the real image (1711.11585, equation 4).

    `fake` and `real` are what a multi-scale discriminator returns: scale → maps, the last of which are the
    logits and do not count. pix2pixHD weighs each map by 4 / number of maps that count, SPADE by 1; both
    divide by the number of scales. No gradient flows into `real`.
    """
    total = torch.zeros((), device=fake[0][0].device)
    for fake_maps, real_maps in zip(fake, real, strict=True):
        counted = list(zip(fake_maps[:-1], real_maps[:-1], strict=True))
        # The published 4 / (n_layers + 1) is over the maps that count: n_layers + 1 of n_layers + 2.
        weight = 4 / len(counted) if weighting == "pix2pixhd" and counted else 1.0
        for of_fake, of_real in counted:
            total = total + weight * F.l1_loss(of_fake.float(), of_real.detach().float())
    return total / len(fake)


def perceptual(
    extractor: nn.Module,
    result: Tensor,
    target: Tensor,
    *,
    weights: Sequence[float] = HD_WEIGHTS,
    norm: Literal["l1", "l2"] = "l1",
    feature_scale: float = 1.0,
) -> Tensor:
    """Σ weight_i · distance of the extractor's i-th maps (Johnson et al. 2016; weights of pix2pixHD).

    `extractor` maps (B, 3, H, W) to a list of maps, such as `nets.vgg.VGG19Features`. pix2pixHD and SPADE:
    L1, [-1, 1] fed as it is. SRGAN: `norm="l2"`, weights (1,), `feature_scale=SRGAN_FEATURE_SCALE`.
    """
    distance = F.l1_loss if norm == "l1" else F.mse_loss
    with torch.no_grad():
        wanted = extractor(target)
    total = torch.zeros((), device=result.device)
    for weight, found, real in zip(weights, extractor(result), wanted, strict=True):
        total = total + weight * distance(found.float() * feature_scale, real.float() * feature_scale)
    return total
