"""The PatchGAN discriminator (pix2pix, 1611.07004, section 6.1.2) and its 1 px variant."""

from __future__ import annotations

from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, has_bias, make_norm
from p2pcli.nets.spectral import conv2d

STRIDED_LAYERS = {16: 1, 34: 2, 70: 3, 142: 4, 286: 5, 574: 6}
"""Receptive field in px → how many of the 4×4 convolutions have stride 2."""


class PatchGAN(Network):
    """Logits for overlapping patches: (B, input_channels, H, W) → (B, 1, h, w); 256² → 30² at 70 px.

    There is no sigmoid at the end: the objective takes logits. State-dict keys are those of the published
    PyTorch implementation: `model.*`, and `net.*` for the receptive field of 1 px. `bias` overrides the
    published rule that convolutions before a norm have one under instance norm only.
    """

    def __init__(
        self,
        *,
        input_channels: int = 6,
        channels: int = 64,
        receptive_field: int = 70,
        norm: Norm = "batch",
        spectral_norm: bool = False,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        if receptive_field != 1 and receptive_field not in STRIDED_LAYERS:
            known = ", ".join(map(str, [1, *STRIDED_LAYERS]))
            raise ValueError(f"no PatchGAN with a receptive field of {receptive_field} px; known: {known}")
        self.receptive_field = receptive_field
        biased = has_bias(norm) if bias is None else bias
        # The smallest side that still gives one logit.
        minimum = 1 if receptive_field == 1 else 3 * 2 ** STRIDED_LAYERS[receptive_field]
        self.size_needs = SizeNeeds(multiple_of=1, minimum=minimum)
        if receptive_field == 1:
            self.net = _pixel_layers(
                input_channels, channels, norm=norm, bias=biased, spectral_norm=spectral_norm
            )
        else:
            strided = STRIDED_LAYERS[receptive_field]
            self.model = _patch_layers(
                input_channels, channels, strided=strided, norm=norm, bias=biased, spectral_norm=spectral_norm
            )

    def forward(self, x: Tensor) -> Tensor:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        layers = self.net if self.receptive_field == 1 else self.model
        logits: Tensor = layers(x)
        return logits


def _patch_layers(
    input_channels: int, channels: int, *, strided: int, norm: Norm, bias: bool, spectral_norm: bool
) -> nn.Sequential:
    norm_layer = make_norm(norm)
    layers: list[nn.Module] = [
        conv2d(input_channels, channels, kernel_size=4, stride=2, padding=1, spectral_norm=spectral_norm),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    width = channels
    for index in range(1, strided + 1):
        wider = channels * min(2**index, 8)
        stride = 2 if index < strided else 1
        layers += [
            conv2d(
                width, wider, kernel_size=4, stride=stride, padding=1, bias=bias, spectral_norm=spectral_norm
            ),
            norm_layer(wider),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        width = wider
    layers.append(conv2d(width, 1, kernel_size=4, padding=1, spectral_norm=spectral_norm))
    return nn.Sequential(*layers)


def _pixel_layers(
    input_channels: int, channels: int, *, norm: Norm, bias: bool, spectral_norm: bool
) -> nn.Sequential:
    return nn.Sequential(
        conv2d(input_channels, channels, kernel_size=1, spectral_norm=spectral_norm),
        nn.LeakyReLU(0.2, inplace=True),
        conv2d(channels, channels * 2, kernel_size=1, bias=bias, spectral_norm=spectral_norm),
        make_norm(norm)(channels * 2),
        nn.LeakyReLU(0.2, inplace=True),
        conv2d(channels * 2, 1, kernel_size=1, bias=bias, spectral_norm=spectral_norm),
    )
