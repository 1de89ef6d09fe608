"""The full-image discriminator: one verdict for the whole picture (pix2pix, 1611.07004, section 4.4)."""

from __future__ import annotations

from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, make_norm
from p2pcli.nets.spectral import conv2d


class ImageDiscriminator(Network):
    """(B, input_channels, H, W) → logits (B, 1, 1, 1).

    4×4 convolutions of stride 2 (`layers` of them, widths doubling up to 8 × `channels`), then the mean over
    the picture and a 1×1 convolution. The paper's ImageGAN is its 286 px patch judged and averaged; here the
    features are averaged before the verdict, so that it depends on the picture as a whole.
    """

    def __init__(
        self,
        *,
        input_channels: int = 6,
        channels: int = 64,
        layers: int = 4,
        norm: Norm = "batch",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=2 << layers)
        stack: list[nn.Module] = []
        width = channels
        for level in range(layers):
            entering = input_channels if level == 0 else width
            width = channels * min(8, 1 << level)
            stack.append(
                conv2d(entering, width, kernel_size=4, stride=2, padding=1, spectral_norm=spectral_norm)
            )
            if level:
                stack.append(make_norm(norm)(width))
            stack.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*stack)
        self.judge = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), conv2d(width, 1, kernel_size=1, spectral_norm=spectral_norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge `x` (B, input_channels, H, W) in [-1, 1]; positive logits mean "real"."""
        logits: Tensor = self.judge(self.features(x))
        return logits
