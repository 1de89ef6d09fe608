"""The discriminator that grows with a progressive generator (Karras et al. 2018, 1710.10196, section 2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets.blocks import Network, Norm, SizeNeeds
from p2pcli.nets.growth import Down, Growth, convolution, entered, level_widths
from p2pcli.nets.spectral import conv2d


class ProgressiveDiscriminator(Network):
    """Logits for overlapping patches: (B, input_channels, H, W) → (B, 1, H/2^layers - 1, W/2^layers - 1).

    The mirror image of the generator, as published: `growth` says which level is the outermost one, so that
    every resolution of a picture gives as many logits. With 3 layers one logit judges 76 px of whole-size
    pictures, about as many as pix2pix's patch, where the paper has one verdict and, for want of a condition,
    the deviation within a batch (section 3): here, as in 1611.07004, D sees the input beside the target.
    """

    def __init__(
        self,
        *,
        input_channels: int = 6,
        channels: int = 64,
        layers: int = 3,
        growths: int = 2,
        norm: Norm = "instance",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        if growths > layers:
            raise ValueError(f"{layers} layers have room for {layers} growths, not {growths}")
        self.layers = layers
        # 2 px are left: instance norm makes nothing of one.
        self.size_needs = SizeNeeds(multiple_of=1, minimum=2 << layers)
        widths = level_widths(channels, layers)
        self.growth = Growth(growths)
        self.from_picture = nn.ModuleList(
            conv2d(input_channels, width, kernel_size=1, spectral_norm=spectral_norm)
            for width in widths[: growths + 1]
        )
        self.down = nn.ModuleList(
            Down(widths[level], widths[level + 1], norm=norm, spectral_norm=spectral_norm)
            for level in range(layers)
        )
        self.bottom = convolution(widths[-1], widths[-1], norm=norm, spectral_norm=spectral_norm)
        self.judge = conv2d(widths[-1], 1, kernel_size=4, padding=1, spectral_norm=spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        outer = self.growth.level
        features = entered(self.from_picture[outer], x)
        for level in range(outer, self.layers):
            _, features = self.down[level](features)
            if level == outer and self.growth.is_fading:
                before = entered(self.from_picture[outer + 1], F.avg_pool2d(x, 2))
                features = self.growth.blend(before, features)
        logits: Tensor = self.judge(self.bottom(features))
        return logits
