"""What growing networks share: how far they have grown, the fading in of what is new, their levels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets.blocks import Norm, has_bias, make_norm
from p2pcli.nets.spectral import conv2d

_SLOPE = 0.2
_WIDEST = 8


class Growth(nn.Module):
    """A network's level of detail as a number that its schedule sets and its state dict carries.

    As the published code counts it (Karras et al. 2018, 1710.10196): 0 is the whole resolution, 1 half of it,
    2 a quarter. In between the larger of two resolutions fades in: at 1.75 the half has a share of 0.25.
    New networks are fully grown.
    """

    lod: Tensor

    def __init__(self, growths: int) -> None:
        """`growths`: how often the resolution can double."""
        super().__init__()
        self.growths = growths
        self.register_buffer("lod", torch.zeros(()))
        # Beside the buffer, so that a forward pass need not ask the device which layers it takes.
        self.level, self.is_fading = 0, False
        self.register_load_state_dict_post_hook(_as_loaded)  # type: ignore[no-untyped-call]

    def set(self, lod: float) -> None:
        """Take `lod` from 0 to `growths`. Raises `ValueError` beyond."""
        if not 0 <= lod <= self.growths:
            raise ValueError(f"a level of detail is from 0 to {self.growths} here, not {lod}")
        self.lod.fill_(lod)
        self.level = int(lod)
        self.is_fading = lod != self.level

    def blend(self, smaller: Tensor, larger: Tensor) -> Tensor:
        """From `smaller`, the resolution before, to `larger`: section 2, figure 2."""
        # As a tensor, so that a compiled network need not be compiled anew for every step.
        alpha = 1 + self.level - self.lod
        return smaller + (larger - smaller) * alpha


def _as_loaded(growth: Growth, keys: Any) -> None:
    try:
        growth.set(float(growth.lod))
    except ValueError as error:
        raise RuntimeError(f"growth.lod: {error}") from None


def grow(networks: Iterable[nn.Module], lod: float) -> None:
    """Set the level of detail of all that grows in `networks`; what has no such level stays as it is."""
    for network in networks:
        for module in network.modules():
            if isinstance(module, Growth):
                module.set(lod)


def is_growing(network: nn.Module) -> bool:
    """True where a part of `network` has a level of detail."""
    return any(isinstance(module, Growth) for module in network.modules())


class Down(nn.Module):
    """One level inwards: two 3×3 convolutions, then the mean of every 2×2 pixels."""

    def __init__(self, entering: int, leaving: int, *, norm: Norm, spectral_norm: bool = False) -> None:
        super().__init__()
        self.inner = convolution(entering, entering, norm=norm, spectral_norm=spectral_norm)
        self.wider = convolution(entering, leaving, norm=norm, spectral_norm=spectral_norm)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x` (B, entering, H, W) → what a skip carries (B, entering, H, W), and (B, leaving, H/2, W/2)."""
        skip = self.inner(x)
        return skip, F.avg_pool2d(self.wider(skip), 2)


def level_widths(channels: int, depth: int) -> list[int]:
    """Channels of the levels from the whole size inwards: 1, 2, 4, then 8 times `channels`."""
    return [channels * min(2**level, _WIDEST) for level in range(depth + 1)]


def convolution(entering: int, leaving: int, *, norm: Norm, spectral_norm: bool = False) -> nn.Sequential:
    """A 3×3 convolution, its norm and a leaky ReLU."""
    biased = has_bias(norm)
    layer = conv2d(entering, leaving, kernel_size=3, padding=1, bias=biased, spectral_norm=spectral_norm)
    return nn.Sequential(layer, make_norm(norm)(leaving), nn.LeakyReLU(_SLOPE, inplace=True))


def entered(from_picture: nn.Module, picture: Tensor) -> Tensor:
    """Features (B, C, H, W) of a picture (B, K, H, W) at the level that is the outermost one."""
    return F.leaky_relu(from_picture(picture), _SLOPE)
