"""The pix2pix U-Net (Isola et al. 2017, 1611.07004, section 6.1.1), of any depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2pcli.nets.blocks import Dropout, Network, Norm, SizeNeeds, has_bias, make_norm
from p2pcli.nets.convolution import Conv2d
from p2pcli.nets.upsampling import Upsampling, upsampling_layers


class UNet(Network):
    """Encoder-decoder with skips: (B, input_channels, H, W) → (B, output_channels, H, W) in [-1, 1].

    State-dict keys and shapes are those of the published PyTorch implementation (unet_256 is depth 8). As
    there, and unlike the paper's Torch code, Dropout(0.5) sits on the inner decoder levels except the
    innermost, and convolutions have a bias under instance norm only ("none" has neither norm nor bias),
    unless `bias` says otherwise (files from before August 2017 have it under batch norm too).
    `skips=False` is the paper's encoder-decoder ablation (section 4.2). `upsampling` other than "deconv"
    avoids checkerboards.
    """

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 64,
        depth: int = 8,
        norm: Norm = "batch",
        dropout: bool = True,
        skips: bool = True,
        bias: bool | None = None,
        upsampling: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        has_biases = has_bias(norm) if bias is None else bias
        if depth < 5:
            raise ValueError(f"a U-Net has a depth of at least 5, not {depth}")
        self.depth = depth
        # Every level halves exactly.
        self.size_needs = SizeNeeds(multiple_of=2**depth, minimum=2**depth)
        # Channels of the levels from the outermost in: 1, 2, 4, then 8 times.
        widths = [channels * min(2**level, 8) for level in range(depth)]
        inner: nn.Module | None = None
        for level in range(depth - 1, 0, -1):
            drops = dropout and 4 <= level <= depth - 2
            inner = _Level(
                outer_channels=widths[level - 1],
                inner_channels=widths[level],
                inner=inner,
                norm=norm,
                dropout=drops,
                skip=skips,
                bias=has_biases,
                upsampling=upsampling,
            )
        assert inner is not None
        self.model = _Outermost(
            input_channels=input_channels,
            output_channels=output_channels,
            inner_channels=channels,
            inner=inner,
            bias=has_biases,
            skips=skips,
            upsampling=upsampling,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, input_channels, H, W) in [-1, 1]."""
        result: Tensor = self.model(x)
        return result


class _Outermost(nn.Module):
    def __init__(
        self,
        *,
        input_channels: int,
        output_channels: int,
        inner_channels: int,
        inner: nn.Module,
        bias: bool,
        skips: bool,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        from_inside = inner_channels * (2 if skips else 1)
        self.model = nn.Sequential(
            nn.Conv2d(input_channels, inner_channels, 4, 2, 1, bias=bias),
            inner,
            nn.ReLU(inplace=True),
            *upsampling_layers(from_inside, output_channels, kind=upsampling, bias=True, kernel_size=4),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.model(x)
        return result


class _Level(nn.Module):
    """One level: down, what lies inside (None at the bottleneck), up; beside it the skip."""

    def __init__(
        self,
        *,
        outer_channels: int,
        inner_channels: int,
        inner: nn.Module | None,
        norm: Norm,
        dropout: bool,
        skip: bool,
        bias: bool,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        down = Conv2d(outer_channels, inner_channels, 4, 2, 1, bias=bias)
        from_inside = inner_channels * (2 if skip and inner is not None else 1)
        up = upsampling_layers(from_inside, outer_channels, kind=upsampling, bias=bias, kernel_size=4)
        layers: list[nn.Module] = [nn.LeakyReLU(0.2, inplace=True), down]
        if inner is not None:
            layers += [make_norm(norm)(inner_channels), inner]
        layers += [nn.ReLU(inplace=True), *up, make_norm(norm)(outer_channels)]
        if dropout:
            layers.append(Dropout(0.5))
        self.model = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        # The first layer rectifies x in place, so the skip carries LeakyReLU(x), not x. Whoever reads it
        # begins with a ReLU, for which both are the same.
        inside: Tensor = self.model(x)
        if not self.skip:
            return inside
        if inside.requires_grad:
            inside.register_hook(_dense)  # type: ignore[no-untyped-call]
        return torch.cat([x, inside], 1)


def _dense(gradient: Tensor) -> Tensor:
    """`gradient` without gaps. What leaves a concatenation is a slice, and batch norm is slow on slices."""
    channels_last = gradient.stride(1) == 1 and gradient.shape[1] > 1
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return gradient.contiguous(memory_format=layout)
