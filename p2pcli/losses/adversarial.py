"""Adversarial objectives: what D and G make of logits. Every term is a float32 mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Verdict = Tensor | Sequence[Sequence[Tensor]]
"""What a discriminator returns: logits, or for each scale its maps with the logits last."""


@dataclass(frozen=True)
class Objective:
    """An adversarial objective in three pieces, each from logits of any shape to a scalar."""

    real: Callable[[Tensor], Tensor]
    """D's loss on logits of real images."""
    fake: Callable[[Tensor], Tensor]
    """D's loss on logits of generated images."""
    generator: Callable[[Tensor], Tensor]
    """G's loss on D's logits of generated images."""
    threshold: float | None
    """Logits above it mean "real"; None where they are no verdicts."""


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


def _minus_mean(logits: Tensor) -> Tensor:
    return -logits.float().mean()


def _mean(logits: Tensor) -> Tensor:
    return logits.float().mean()


OBJECTIVES: dict[str, Objective] = {
    # Goodfellow et al. 2014 with the non-saturating generator loss, as pix2pix uses it (section 3.3).
    "bce": Objective(real=_bce_real, fake=_bce_fake, generator=_bce_real, threshold=0.0),
    # Mao et al. 2017, 1611.04076, equation 9 with targets 0 and 1 (without its factor 1/2).
    "lsgan": Objective(real=_lsgan_real, fake=_lsgan_fake, generator=_lsgan_real, threshold=0.5),
    # Lim and Ye 2017, 1705.02894; Miyato et al. 2018, 1802.05957, equations 16 and 17.
    "hinge": Objective(real=_hinge_real, fake=_hinge_fake, generator=_minus_mean, threshold=0.0),
    # Arjovsky et al. 2017, 1701.07875, algorithm 1; D needs a penalty beside it (`wgan_gp` or `r1`).
    "wgan": Objective(real=_minus_mean, fake=_mean, generator=_minus_mean, threshold=None),
}


def over_scales(
    term: Callable[[Tensor], Tensor], verdict: Verdict, *, reduction: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """`term` on the logits of every scale: pix2pixHD adds them up, SPADE takes their mean.

    `verdict` is what a discriminator returns: logits, or for each scale its maps with the logits last.
    """
    if isinstance(verdict, Tensor):
        return term(verdict)
    terms = torch.stack([term(maps[-1]) for maps in verdict])
    return terms.sum() if reduction == "sum" else terms.mean()


@torch.no_grad()
def accuracy(objective: Objective, fake: Verdict, real: Verdict) -> dict[str, Tensor]:
    """ "fake" and "real": the share of right verdicts, the mean over scales; empty for a critic."""
    threshold = objective.threshold
    if threshold is None:
        return {}
    return {
        "fake": over_scales(lambda logits: (logits < threshold).float().mean(), fake, reduction="mean"),
        "real": over_scales(lambda logits: (logits > threshold).float().mean(), real, reduction="mean"),
    }
