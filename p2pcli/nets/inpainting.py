"""Patch-based inpainting (Demir & Unal 2018, 1803.07422): dilated generator, global + patch discriminator.

No weights were published: keys are our own. The image with its hole and the mask enter as four channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, make_norm
from p2pcli.nets.convolution import Conv2d
from p2pcli.nets.spectral import conv2d
from p2pcli.nets.upsampling import Upsampling, upsampling_layers


class _DilatedBlock(nn.Module):
    """Residual block whose first convolution is dilated: a wider view at the same size and cost."""

    def __init__(self, channels: int, *, dilation: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(dilation),
            Conv2d(channels, channels, 3, dilation=dilation),
            make_norm(norm)(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3),
            make_norm(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class InpaintingGenerator(Network):
    """(B, input_channels, H, W) → (B, output_channels, H, W) in [-1, 1] (section 3.1).

    Down-samplings, residual blocks with dilation, as many up-samplings. The paper's "interpolated
    convolution" is `upsampling="resize"`. Deviation: one `dilation` for every block.
    """

    def __init__(
        self,
        *,
        input_channels: int = 4,
        output_channels: int = 3,
        channels: int = 64,
        downsamplings: int = 2,
        blocks: int = 9,
        dilation: int = 2,
        norm: Norm = "instance",
        upsampling: Upsampling = "resize",
    ) -> None:
        super().__init__()
        factor = 1 << downsamplings
        self.size_needs = SizeNeeds(multiple_of=factor, minimum=max(8, factor * (dilation + 1)))
        self.entry = nn.Sequential(
            nn.ReflectionPad2d(3),
            Conv2d(input_channels, channels, 7),
            make_norm(norm)(channels),
            nn.ReLU(inplace=True),
        )
        widest = channels << downsamplings
        self.down = nn.Sequential(*(_down(channels << level, norm=norm) for level in range(downsamplings)))
        self.body = nn.Sequential(
            *(_DilatedBlock(widest, dilation=dilation, norm=norm) for _ in range(blocks))
        )
        self.up = nn.Sequential(
            *(_up(widest >> level, norm=norm, upsampling=upsampling) for level in range(downsamplings))
        )
        self.exit = nn.Sequential(nn.ReflectionPad2d(3), Conv2d(channels, output_channels, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Fill `x` (B, input_channels, H, W): the picture in [-1, 1] and, last, the mask."""
        result: Tensor = self.exit(self.up(self.body(self.down(self.entry(x)))))
        return result


class GlobalPatchDiscriminator(Network):
    """One trunk, two verdicts (section 3.2): [[global logits (B, 1, 1, 1)], [patch logits (B, 1, h, w)]].

    The form is that of a multi-scale discriminator: a list for each verdict, whose last entry is the logits.
    The global path averages its features to 4 × 4 before the dense layer, so that any size can enter.
    """

    def __init__(
        self,
        *,
        input_channels: int = 3,
        channels: int = 64,
        layers: int = 3,
        norm: Norm = "instance",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=4 << layers)
        trunk: list[nn.Module] = []
        width = channels
        for level in range(layers):
            entering = input_channels if level == 0 else width
            width = channels * min(8, 1 << level)
            trunk += _strided(entering, width, norm=norm if level else "none", spectral_norm=spectral_norm)
        self.trunk = nn.Sequential(*trunk)
        last = channels * 8
        self.patch_path = nn.Sequential(
            conv2d(width, last, kernel_size=4, padding=1, spectral_norm=spectral_norm),
            make_norm(norm)(last),
            nn.LeakyReLU(0.2),
            conv2d(last, 1, kernel_size=4, padding=1, spectral_norm=spectral_norm),
        )
        self.global_path = nn.Sequential(
            *_strided(width, last, norm=norm, spectral_norm=spectral_norm),
            nn.AdaptiveAvgPool2d(4),
            conv2d(last, 1, kernel_size=4, spectral_norm=spectral_norm),
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        shared = self.trunk(x)
        return [[self.global_path(shared)], [self.patch_path(shared)]]


def _down(channels: int, *, norm: Norm) -> nn.Sequential:
    convolution = Conv2d(channels, channels * 2, 3, stride=2, padding=1)
    return nn.Sequential(convolution, make_norm(norm)(channels * 2), nn.ReLU(inplace=True))


def _up(channels: int, *, norm: Norm, upsampling: Upsampling) -> nn.Sequential:
    layers = upsampling_layers(channels, channels // 2, kind=upsampling, bias=True)
    return nn.Sequential(*layers, make_norm(norm)(channels // 2), nn.ReLU(inplace=True))


def _strided(entering: int, leaving: int, *, norm: Norm, spectral_norm: bool) -> list[nn.Module]:
    convolution = conv2d(entering, leaving, kernel_size=4, stride=2, padding=1, spectral_norm=spectral_norm)
    return [convolution, make_norm(norm)(leaving), nn.LeakyReLU(0.2)]
