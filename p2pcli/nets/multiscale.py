"""Multi-scale PatchGAN discriminator of pix2pixHD (Wang et al. 2018, 1711.11585, section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, make_norm
from p2pcli.nets.pix2pixhd import half_size
from p2pcli.nets.spectral import conv2d

_KERNEL, _PADDING, _WIDEST = 4, 2, 512


def patch_stages(
    input_channels: int, *, channels: int, layers: int, norm: Norm, spectral_norm: bool
) -> list[list[nn.Module]]:
    """The `layers` + 2 stages of one scale: 4×4 convolutions with padding 2, every one with a bias."""
    stages: list[list[nn.Module]] = []
    width = channels
    for index in range(layers + 1):
        entering = input_channels if index == 0 else width
        width = channels if index == 0 else min(width * 2, _WIDEST)
        convolution = conv2d(
            entering,
            width,
            kernel_size=_KERNEL,
            stride=1 if index == layers else 2,
            padding=_PADDING,
            spectral_norm=spectral_norm,
        )
        normalised = [make_norm(norm)(width)] if index else []
        stages.append([convolution, *normalised, nn.LeakyReLU(0.2, inplace=True)])
    last = conv2d(width, 1, kernel_size=_KERNEL, padding=_PADDING, spectral_norm=spectral_norm)
    return [*stages, [last]]


class MultiscaleDiscriminator(Network):
    """The same patch discriminator at `scales` sizes, each half the one before.

    (B, input_channels, H, W) → for each scale, full size first, the list of its feature maps; the last one
    holds the logits (B, 1, h, w). Keys: `scale{i}_layer{j}`, where the full size has the highest `i`, as
    published; `features=False` keys one `layer{i}` per scale and returns the logits alone, as the published
    code does without feature matching.
    """

    draws_biases = True

    def __init__(
        self,
        *,
        input_channels: int = 6,
        channels: int = 64,
        layers: int = 3,
        scales: int = 2,
        norm: Norm = "instance",
        spectral_norm: bool = False,
        features: bool = True,
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=8 << (scales - 1))
        self.scales, self.layers, self.features = scales, layers, features
        for scale in range(scales):
            stages = patch_stages(
                input_channels, channels=channels, layers=layers, norm=norm, spectral_norm=spectral_norm
            )
            if features:
                for index, stage in enumerate(stages):
                    self.add_module(f"scale{scale}_layer{index}", nn.Sequential(*stage))
            else:
                self.add_module(
                    f"layer{scale}", nn.Sequential(*(module for stage in stages for module in stage))
                )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Judge `x` (B, input_channels, H, W); positive logits mean "real"."""
        results = []
        for scale in reversed(range(self.scales)):
            results.append(self._judge(x, scale))
            if scale:
                x = half_size(x)
        return results

    def _judge(self, x: Tensor, scale: int) -> list[Tensor]:
        if not self.features:
            logits: Tensor = self.get_submodule(f"layer{scale}")(x)
            return [logits]
        maps = []
        for index in range(self.layers + 2):
            x = self.get_submodule(f"scale{scale}_layer{index}")(x)
            maps.append(x)
        return maps
