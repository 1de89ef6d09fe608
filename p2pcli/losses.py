"""Loss terms of image translation: adversarial objectives on logits, and L1. All reduce to a float32 mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Objective:
    """An adversarial objective in three pieces, each from logits of any shape to a scalar."""

    real: Callable[[Tensor], Tensor]
    """D's loss on logits of real images."""
    fake: Callable[[Tensor], Tensor]
    """D's loss on logits of generated images."""
    generator: Callable[[Tensor], Tensor]
    """G's loss on D's logits of generated images."""


def l1(result: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference (pix2pix, 1611.07004, equation 3)."""
    return F.l1_loss(result.float(), target.float())


def _bce_real(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.ones_like(logits, dtype=torch.float32))


def _bce_fake(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.zeros_like(logits, dtype=torch.float32))


def _lsgan_real(logits: Tensor) -> Tensor:
    return (logits.float() - 1).square().mean()


def _lsgan_fake(logits: Tensor) -> Tensor:
    return logits.float().square().mean()


def _hinge_real(logits: Tensor) -> Tensor:
    return F.relu(1 - logits.float()).mean()


def _hinge_fake(logits: Tensor) -> Tensor:
    return F.relu(1 + logits.float()).mean()


def _hinge_generator(logits: Tensor) -> Tensor:
    return -logits.float().mean()


OBJECTIVES: dict[str, Objective] = {
    # Goodfellow et al. 2014 with the non-saturating generator loss, as pix2pix uses it (section 3.3).
    "bce": Objective(real=_bce_real, fake=_bce_fake, generator=_bce_real),
    # Mao et al. 2017, 1611.04076, equation 9 with targets 0 and 1 (without its factor 1/2).
    "lsgan": Objective(real=_lsgan_real, fake=_lsgan_fake, generator=_lsgan_real),
    # Lim and Ye 2017, 1705.02894; Miyato et al. 2018, 1802.05957, equations 16 and 17.
    "hinge": Objective(real=_hinge_real, fake=_hinge_fake, generator=_hinge_generator),
}
