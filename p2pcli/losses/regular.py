"""Penalties that keep a network well-behaved: gradient penalties on D, the VAE's divergence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from p2pcli.losses.adversarial import Verdict


def wgan_gp(
    discriminator: Callable[[Tensor], Verdict],
    real: Tensor,
    fake: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """E[(‖∇D(x̂)‖₂ − 1)²] with x̂ uniform on the line between real and fake (1704.00028, equation 3).

    `real` and `fake` are (B, C, H, W), with the condition concatenated where there is one. The paper's weight
    is 10.
    """
    share = torch.rand(real.shape[0], 1, 1, 1, generator=generator, device=real.device, dtype=real.dtype)
    mixed = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_(True)
    gradient = _gradient_of(discriminator, mixed)
    distance: Tensor = gradient.flatten(1).norm(dim=1) - 1
    return distance.square().mean()


def r1(discriminator: Callable[[Tensor], Verdict], real: Tensor) -> Tensor:
    """½·E[‖∇D(x)‖²] on real images (Mescheder et al. 2018, 1801.04406, equation 9); γ: the term's weight."""
    point = real.detach().requires_grad_(True)
    return _gradient_of(discriminator, point).flatten(1).square().sum(dim=1).mean() / 2


def kld(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)), summed over all entries (Kingma & Welling 2014, 1312.6114, appendix B).

    Also summed over the batch, as SPADE's published weight of 0.05 expects.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


def _gradient_of(discriminator: Callable[[Tensor], Verdict], point: Tensor) -> Tensor:
    verdict = discriminator(point)
    logits = [verdict] if isinstance(verdict, Tensor) else [maps[-1] for maps in verdict]
    total = torch.stack([tensor.float().sum() for tensor in logits]).sum()
    (gradient,) = torch.autograd.grad(total, point, create_graph=True)
    return gradient.float()
