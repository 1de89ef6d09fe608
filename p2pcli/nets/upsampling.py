"""Three ways of doubling a feature map: transposed convolution, resize-convolution, pixel shuffle."""

from __future__ import annotations

from typing import Literal

from torch import nn

from p2pcli.nets.convolution import Conv2d, ConvTranspose2d

Upsampling = Literal["deconv", "resize", "shuffle"]
"""deconv: as published. resize: nearest ×2, then a 3×3 convolution (Odena et al. 2016, "Deconvolution and
checkerboard artifacts"). shuffle: sub-pixel convolution (Shi et al. 2016, 1609.05158)."""


def upsampling_layers(
    input_channels: int, output_channels: int, *, kind: Upsampling, bias: bool, kernel_size: Literal[3, 4] = 3
) -> list[nn.Module]:
    """Modules that turn (B, input_channels, H, W) into (B, output_channels, 2H, 2W).

    "deconv" is one module, so that the keys after it stay as published; the others are one `Sequential` with
    the convolution at index 1 (resize) or 0 (shuffle). `kernel_size` is that of the transposed convolution.
    """
    if kind == "deconv":
        # So that the size doubles exactly.
        margin = 4 - kernel_size
        return [
            ConvTranspose2d(
                input_channels,
                output_channels,
                kernel_size,
                stride=2,
                padding=1,
                output_padding=margin,
                bias=bias,
            )
        ]
    if kind == "resize":
        convolution = Conv2d(input_channels, output_channels, 3, padding=1, bias=bias)
        return [nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution)]
    convolution = Conv2d(input_channels, output_channels * 4, 3, padding=1, bias=bias)
    return [nn.Sequential(convolution, nn.PixelShuffle(2))]
