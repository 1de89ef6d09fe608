"""A translator whose resolution doubles while it trains (Karras et al. 2018, 1710.10196, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets.blocks import Network, Norm, SizeNeeds
from p2pcli.nets.growth import Down, Growth, convolution, entered, level_widths


class ProgressiveGenerator(Network):
    """Encoder-decoder with skips: (B, input_channels, H, W) → (B, output_channels, H, W) in [-1, 1].

    `growth` says how much of it takes part: at level of detail l it maps pictures of 1/2^l of the whole size,
    through the levels from l inwards; so a network of any level translates by itself, and keys never change.
    Level i has `channels` · 2^i channels, 8 · `channels` at most (64 gives the paper's widths at 256 px,
    table 2), `depth` levels halve the size.

    After the paper: two 3×3 convolutions a level, nearest-neighbour up-sampling, average pooling, leaky ReLU
    of 0.2, 1×1 convolutions from and to pictures at each level that is ever the outermost, linear fading.
    Otherwise: an encoder with skips in the place of the noise (as in the U-Net of 1611.07004), a norm in that
    of pixelwise normalisation and equalised learning rates, and tanh at the end.
    """

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 64,
        depth: int = 6,
        growths: int = 2,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        if not growths < depth:
            raise ValueError(f"a depth of {depth} has room for {depth - 1} growths, not {growths}")
        self.depth = depth
        # The innermost level keeps 2 px: instance norm makes nothing of one.
        self.size_needs = SizeNeeds(multiple_of=2**depth, minimum=2 ** (depth + 1))
        widths = level_widths(channels, depth)
        self.growth = Growth(growths)
        self.from_picture = nn.ModuleList(nn.Conv2d(input_channels, w, 1) for w in widths[: growths + 1])
        self.down = nn.ModuleList(Down(widths[i], widths[i + 1], norm=norm) for i in range(depth))
        self.bottom = convolution(widths[depth], widths[depth], norm=norm)
        self.up = nn.ModuleList(_Up(widths[i + 1], widths[i], norm=norm) for i in range(depth))
        self.to_picture = nn.ModuleList(nn.Conv2d(w, output_channels, 1) for w in widths[: growths + 1])

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, input_channels, H, W) in [-1, 1]."""
        outer = self.growth.level
        skip, features = self.down[outer](entered(self.from_picture[outer], x))
        if self.growth.is_fading:
            before = entered(self.from_picture[outer + 1], F.avg_pool2d(x, 2))
            features = self.growth.blend(before, features)
        skips = [skip]
        for level in range(outer + 1, self.depth):
            skip, features = self.down[level](features)
            skips.append(skip)
        features = self.bottom(features)
        for level in range(self.depth - 1, outer, -1):
            features = self.up[level](features, skips[level - outer])
        picture: Tensor = self.to_picture[outer](self.up[outer](features, skips[0]))
        if self.growth.is_fading:
            picture = self.growth.blend(_doubled(self.to_picture[outer + 1](features)), picture)
        return picture.tanh()


class _Up(nn.Module):
    """One level outwards, with the skip of that level."""

    def __init__(self, entering: int, leaving: int, *, norm: Norm) -> None:
        super().__init__()
        self.narrower = convolution(entering + leaving, leaving, norm=norm)
        self.outer = convolution(leaving, leaving, norm=norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        result: Tensor = self.outer(self.narrower(torch.cat([_doubled(x), skip], 1)))
        return result


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
