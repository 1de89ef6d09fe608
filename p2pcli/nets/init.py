"""How weights begin: the published initialisations, drawn from a seed of their own."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from p2pcli.nets.blocks import AffineInstanceNorm2d
from p2pcli.nets.spectral import SpectralConv2d

Init = Literal["normal", "xavier", "kaiming", "orthogonal"]


def init_weights(net: nn.Module, *, kind: Init = "normal", gain: float = 0.02, seed: int = 0) -> None:
    """Draw the weights of every layer of `net` (on the CPU) from `seed`; biases become 0.

    Convolutions and linear layers: N(0, gain), Xavier normal times gain, Kaiming normal (fan in, gain
    unused) or orthogonal times gain. Batch-norm scales: N(1, gain), for every kind, as published. Where the
    published code leaves a network's biases as torch draws them (`Network.draws_biases`), so they are here.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | SpectralConv2d):
            if kind == "normal":
                nn.init.normal_(module.weight, 0.0, gain, generator=generator)
            elif kind == "xavier":
                nn.init.xavier_normal_(module.weight, gain=gain, generator=generator)
            elif kind == "kaiming":
                nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in", generator=generator)
            else:
                nn.init.orthogonal_(module.weight, gain=gain, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | AffineInstanceNorm2d) and getattr(module, "affine", True):
            nn.init.normal_(module.weight, 1.0, gain, generator=generator)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, SpectralConv2d):
            module.draw_vectors(generator=generator)
    if getattr(net, "draws_biases", False):
        _draw_biases(net, generator=generator)


def _draw_biases(net: nn.Module, *, generator: torch.Generator) -> None:
    """Torch's own biases of convolutions: uniform within ± 1/√(fan in)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | SpectralConv2d) and module.bias is not None:
            bound = module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
