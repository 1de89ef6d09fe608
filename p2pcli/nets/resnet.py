"""The ResNet generator of Johnson et al. 2016 as CycleGAN uses it (1703.10593, section 7.1)."""

from __future__ import annotations

from torch import Tensor, nn

from p2pcli.nets.blocks import Dropout, Network, Norm, SizeNeeds, has_bias, make_norm
from p2pcli.nets.convolution import Conv2d
from p2pcli.nets.upsampling import Upsampling, upsampling_layers


class ResNet(Network):
    """Two down-samplings, residual blocks, two up-samplings: (B, C, H, W) → (B, C', H, W) in [-1, 1].

    State-dict keys and shapes are those of the published PyTorch implementation (resnet_9blocks is
    `blocks=9`); with dropout the second convolution of a block is `conv_block.6` instead of `.5`. `bias`
    overrides the published rule (a bias under instance norm only); `upsampling` other than "deconv" avoids
    checkerboards and keeps every other key.
    """

    size_needs = SizeNeeds(multiple_of=4, minimum=8)

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        dropout: bool = False,
        bias: bool | None = None,
        upsampling: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        norm_layer = make_norm(norm)
        bias = has_bias(norm) if bias is None else bias
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            Conv2d(input_channels, channels, 7, bias=bias),
            norm_layer(channels),
            nn.ReLU(inplace=True),
        ]
        for width in (channels, channels * 2):
            layers += [
                Conv2d(width, width * 2, 3, 2, 1, bias=bias),
                norm_layer(width * 2),
                nn.ReLU(inplace=True),
            ]
        layers += [_Block(channels * 4, norm=norm, dropout=dropout, bias=bias) for _ in range(blocks)]
        for width in (channels * 4, channels * 2):
            layers += [
                *upsampling_layers(width, width // 2, kind=upsampling, bias=bias),
                norm_layer(width // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), Conv2d(channels, output_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, input_channels, H, W) in [-1, 1]."""
        result: Tensor = self.model(x)
        return result


class _Block(nn.Module):
    """Reflection-padded conv-norm-ReLU-conv-norm, added to its input without a ReLU after."""

    def __init__(self, channels: int, *, norm: Norm, dropout: bool, bias: bool) -> None:
        super().__init__()
        norm_layer = make_norm(norm)
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3, bias=bias),
            norm_layer(channels),
            nn.ReLU(inplace=True),
        ]
        if dropout:
            layers.append(Dropout(0.5))
        layers += [
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3, bias=bias),
            norm_layer(channels),
        ]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.conv_block(x)
        return x + inside
