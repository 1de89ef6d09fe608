"""The PatchGAN discriminator (pix2pix, 1611.07004, section 6.1.2) and its 1 px variant."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, has_bias, make_norm
from p2pcli.nets.spectral import conv2d

STRIDED_LAYERS = {9 * 2**count - 2: count for count in range(1, 11)}
"""Receptive field in px → how many 4×4 convolutions lie before the last, as the published option n_layers
counts. 3072 px are the least that ten of them judge."""


class PatchGAN(Network):
    """Logits for overlapping patches: (B, input_channels, H, W) → (B, 1, h, w); 256² → 30² at 70 px.

    There is no sigmoid at the end: the objective takes logits. State-dict keys are those of the published
    PyTorch implementation: `model.*`, and `net.*` for the receptive field of 1 px. `bias` overrides the
    published rule that convolutions before a norm have one under instance norm only. `widens=False`, with a
    receptive field of 16 px, leaves the second layer as wide as the first: the published n_layers 0.
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
        widens: bool = True,
    ) -> None:
        super().__init__()
        if not widens and receptive_field != 16:
            raise ValueError(
                f"a PatchGAN of {receptive_field} px always widens; widens=False goes with 16 px"
            )
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
            widths = [channels * min(2**index, 8) for index in range(1, strided + 1)]
            self.model = _patch_layers(
                input_channels,
                channels,
                widths=widths if widens else [channels],
                norm=norm,
                bias=biased,
                spectral_norm=spectral_norm,
            )

    def forward(self, x: Tensor) -> Tensor:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        layers = self.net if self.receptive_field == 1 else self.model
        logits: Tensor = layers(x)
        return logits


def _patch_layers(
    input_channels: int,
    channels: int,
    *,
    widths: Sequence[int],
    norm: Norm,
    bias: bool,
    spectral_norm: bool,
) -> nn.Sequential:
    norm_layer = make_norm(norm)
    layers: list[nn.Module] = [
        conv2d(input_channels, channels, kernel_size=4, stride=2, padding=1, spectral_norm=spectral_norm),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    width = channels
    for index, wider in enumerate(widths, start=1):
        stride = 2 if index < len(widths) else 1
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
