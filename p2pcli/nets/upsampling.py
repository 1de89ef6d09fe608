"""Three ways of doubling a feature map: transposed convolution, resize-convolution, pixel shuffle."""

from __future__ import annotations

from typing import Literal

from torch import nn

from p2pcli.nets.convolution import Conv2d, ConvTranspose2d

Upsampling = Literal["deconv", "resize", "shuffle"]
"""deconv: as published. resize: nearest ×2, then a 3×3 convolution (Odena et al. 2016, "Deconvolution and
checkerboard artifacts"). shuffle: sub-pixel convolution (Shi et al. 2016, 1609.05158)."""


def upsampling_layers(
    input_channels: int, output_channels: int, *, kind: Upsampling, bias: bool
) -> list[nn.Module]:
    """Modules that turn (B, input_channels, H, W) into (B, output_channels, 2H, 2W).

    "deconv" is one module, so that the keys after it stay as published; the others are one `Sequential` with
    the convolution at index 1 (resize) or 0 (shuffle).
    """
    if kind == "deconv":
        return [
            ConvTranspose2d(
                input_channels, output_channels, 3, stride=2, padding=1, output_padding=1, bias=bias
            )
        ]
    if kind == "resize":
        convolution = Conv2d(input_channels, output_channels, 3, padding=1, bias=bias)
        return [nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution)]
    convolution = Conv2d(input_channels, output_channels * 4, 3, padding=1, bias=bias)
    return [nn.Sequential(convolution, nn.PixelShuffle(2))]
