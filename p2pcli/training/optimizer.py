"""The optimizer of the published step: Adam, fused into one pass over the memory where torch can."""

from __future__ import annotations

import torch
from torch import nn


def make_adam(
    network: nn.Module, *, learning_rate: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999)
) -> torch.optim.Adam:
    """Adam over the parameters of `network`, which must already be where it trains (`Precision.place`)."""
    parameters = list(network.parameters())
    fused = all(p.device.type in ("cpu", "cuda", "mps") for p in parameters)
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=fused)
