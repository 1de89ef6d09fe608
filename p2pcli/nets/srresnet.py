"""SRResNet and the SRGAN discriminator (Ledig et al. 2017, 1609.04802, section 2.1, figure 4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, PReLU, SizeNeeds, make_norm
from p2pcli.nets.convolution import Conv2d


class _Residual(nn.Module):
    """k3n64 norm PReLU k3n64 norm, summed with the input."""

    def __init__(self, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv2d(channels, channels, 3, padding=1),
            make_norm(norm)(channels),
            PReLU(),
            Conv2d(channels, channels, 3, padding=1),
            make_norm(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class SRResNet(Network):
    """(B, input_channels, H, W) → (B, output_channels, scale·H, scale·W), both nominally in [-1, 1].

    The paper feeds [0, 1] and predicts [-1, 1]; here both sides have the range of every other network. No
    activation at the end, as in the paper: values may leave the range a little.

    `adds_to_bicubic` is a deviation (after VDSR, Kim et al. 2016, 1511.04587): the network learns what the
    input enlarged by bicubic lacks, and so begins there. Keys and shapes are the same.
    """

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 64,
        blocks: int = 16,
        scale: int = 4,
        norm: Norm = "batch",
        adds_to_bicubic: bool = False,
    ) -> None:
        super().__init__()
        if scale not in (2, 4, 8):
            raise ValueError(f"scale {scale}: expected 2, 4 or 8")
        if adds_to_bicubic and input_channels not in (1, output_channels):
            raise ValueError(f"adds_to_bicubic: {input_channels} channels in, {output_channels} out")
        self.size_needs = SizeNeeds(multiple_of=1, minimum=1)
        self.scale, self.adds_to_bicubic = scale, adds_to_bicubic
        self.head = nn.Sequential(Conv2d(input_channels, channels, 9, padding=4), PReLU())
        self.body = nn.Sequential(*(_Residual(channels, norm=norm) for _ in range(blocks)))
        self.fuse = nn.Sequential(Conv2d(channels, channels, 3, padding=1), make_norm(norm)(channels))
        stages = [
            nn.Sequential(Conv2d(channels, channels * 4, 3, padding=1), nn.PixelShuffle(2), PReLU())
            for _ in range(scale.bit_length() - 1)
        ]
        self.upscale = nn.Sequential(*stages)
        self.tail = Conv2d(channels, output_channels, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge `x` (B, input_channels, H, W) in [-1, 1]."""
        shallow = self.head(x)
        result: Tensor = self.tail(self.upscale(shallow + self.fuse(self.body(shallow))))
        if not self.adds_to_bicubic:
            return result
        # "antialias" has a = −0.5, as Pillow has it; a sum in bfloat16 would come in steps of 1/256.
        size = x.shape[2] * self.scale, x.shape[3] * self.scale
        return F.interpolate(x.float(), size, mode="bicubic", antialias=True) + result.float()


class SRGANDiscriminator(Network):
    """(B, input_channels, H, W) → logits (B, 1, 1, 1).

    The paper's two dense layers (1024, 1) see a fixed 96 px crop; here the features are first averaged to
    6 × 6, which leaves 96 px crops unchanged and lets any size in. No sigmoid: losses work on logits.
    """

    def __init__(self, *, input_channels: int = 3, channels: int = 64, norm: Norm = "batch") -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=16)
        layers: list[nn.Module] = [Conv2d(input_channels, channels, 3, padding=1), nn.LeakyReLU(0.2)]
        width = channels
        for doubling in range(4):
            wider = channels << doubling
            if doubling:
                layers += _step(width, wider, stride=1, norm=norm)
            layers += _step(wider, wider, stride=2, norm=norm)
            width = wider
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.AdaptiveAvgPool2d(6), Conv2d(width, 1024, 6), nn.LeakyReLU(0.2), Conv2d(1024, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        logits: Tensor = self.judge(self.features(x))
        return logits


def _step(entering: int, leaving: int, *, stride: int, norm: Norm) -> list[nn.Module]:
    convolution = Conv2d(entering, leaving, 3, stride=stride, padding=1)
    return [convolution, make_norm(norm)(leaving), nn.LeakyReLU(0.2)]
