"""SPADE (Park et al. 2019, 1903.07291): generator, style encoder, multi-scale discriminator.

Written from the paper; state-dict keys equal the published ones, so trained weights load.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2pcli.nets.blocks import BatchNorm2d, InstanceNorm2d, Network, SizeNeeds, make_norm
from p2pcli.nets.convolution import Conv2d
from p2pcli.nets.pix2pixhd import half_size
from p2pcli.nets.spectral import conv2d

Doublings = Literal["normal", "more", "most"]
"""How often the generator doubles its size: 5, 6 or 7 times."""

FreeNorm = Literal["batch", "instance"]
"""The norm without parameters inside SPADE."""

JudgeNorm = Literal["instance", "batch", "none"]
"""The norm after convolutions of the discriminator and the encoder."""

_DOUBLINGS: dict[str, int] = {"normal": 5, "more": 6, "most": 7}
STYLE_SIZE = 256
"""Length of the style vector z."""


class SPADE(nn.Module):
    """Spatially-adaptive normalisation of x (B, C, H, W) by labels (B, L, h, w).

    Section 3, equation 1, with 1 + γ in place of γ, as the published weights expect.
    """

    def __init__(
        self,
        channels: int,
        *,
        label_channels: int,
        norm: FreeNorm = "batch",
        kernel_size: int = 3,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.param_free_norm = _free_norm(norm, channels)
        self.mlp_shared = nn.Sequential(
            Conv2d(label_channels, hidden, kernel_size, padding=padding), nn.ReLU(inplace=True)
        )
        self.mlp_gamma = Conv2d(hidden, channels, kernel_size, padding=padding)
        self.mlp_beta = Conv2d(hidden, channels, kernel_size, padding=padding)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W), then scale and shift each pixel by what `labels` say there."""
        shared = self.mlp_shared(F.interpolate(labels, size=x.shape[2:], mode="nearest"))
        result: Tensor = self.param_free_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
        return result


class SPADEResnetBlock(nn.Module):
    """Residual block with SPADE (appendix A, figure 11); the skip is learned where the width changes."""

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        spade: Callable[[int], SPADE],
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        middle = min(input_channels, output_channels)
        self.learned_skip = input_channels != output_channels
        self.conv_0 = conv2d(input_channels, middle, kernel_size=3, padding=1, spectral_norm=spectral_norm)
        self.conv_1 = conv2d(middle, output_channels, kernel_size=3, padding=1, spectral_norm=spectral_norm)
        self.norm_0 = spade(input_channels)
        self.norm_1 = spade(middle)
        if self.learned_skip:
            self.conv_s = conv2d(
                input_channels, output_channels, kernel_size=1, bias=False, spectral_norm=spectral_norm
            )
            self.norm_s = spade(input_channels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(B, input_channels, H, W) and labels (B, L, h, w) → (B, output_channels, H, W)."""
        skip = self.conv_s(self.norm_s(x, labels)) if self.learned_skip else x
        inner = self.conv_0(_activate(self.norm_0(x, labels)))
        result: Tensor = skip + self.conv_1(_activate(self.norm_1(inner, labels)))
        return result


class SPADEGenerator(Network):
    """SPADE generator (appendix A, figure 12): labels (B, input_channels, H, W) → (B, 3, H, W) in [-1, 1].

    `labels` holds one-hot classes and, where the recipe has one, the instance-boundary channel. Without a
    style vector the smallest feature map is the label map itself. `style_grid` (rows, columns) is the size at
    which a style vector enters; it fixes the picture's size, and None means no style input. `hidden` channels
    lie between the label map and its γ and β.
    """

    def __init__(
        self,
        *,
        input_channels: int = 36,
        output_channels: int = 3,
        channels: int = 64,
        doublings: Doublings = "normal",
        norm: FreeNorm = "batch",
        spectral_norm: bool = True,
        kernel_size: int = 3,
        hidden: int = 128,
        style_grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.doublings, self.channels, self.style_grid = doublings, channels, style_grid
        factor = 1 << _DOUBLINGS[doublings]
        exact = None if style_grid is None else (style_grid[0] * factor, style_grid[1] * factor)
        self.size_needs = SizeNeeds(multiple_of=factor, minimum=2 * factor, exact=exact)
        widest = channels * 16

        spade = partial(
            SPADE, label_channels=input_channels, norm=norm, kernel_size=kernel_size, hidden=hidden
        )

        def block(entering: int, leaving: int) -> SPADEResnetBlock:
            return SPADEResnetBlock(entering, leaving, spade=spade, spectral_norm=spectral_norm)

        self.fc: nn.Module
        if style_grid is None:
            self.fc = Conv2d(input_channels, widest, 3, padding=1)
        else:
            self.fc = nn.Linear(STYLE_SIZE, widest * style_grid[0] * style_grid[1])
        self.head_0 = block(widest, widest)
        self.G_middle_0 = block(widest, widest)
        self.G_middle_1 = block(widest, widest)
        ups = 5 if doublings == "most" else 4
        for index in range(ups):
            self.add_module(f"up_{index}", block(widest >> index, widest >> (index + 1)))
        self.ups = ups
        self.conv_img = Conv2d(widest >> ups, output_channels, 3, padding=1)

    def forward(self, labels: Tensor, style: Tensor | None = None) -> Tensor:
        """`style` (B, 256), only with `style_grid`; None draws nothing and uses zeros, the prior's mean."""
        x = self.head_0(self._smallest(labels, style), labels)
        x = self.G_middle_0(_double(x), labels)
        if self.doublings != "normal":
            x = _double(x)
        x = self.G_middle_1(x, labels)
        for index in range(self.ups):
            x = self.get_submodule(f"up_{index}")(_double(x), labels)
        return torch.tanh(self.conv_img(_activate(x)))

    def _smallest(self, labels: Tensor, style: Tensor | None) -> Tensor:
        if self.style_grid is None:
            factor = 1 << _DOUBLINGS[self.doublings]
            rows, columns = labels.shape[2] // factor, labels.shape[3] // factor
            small: Tensor = self.fc(F.interpolate(labels, size=(rows, columns), mode="nearest"))
            return small
        if style is None:
            style = labels.new_zeros(labels.shape[0], STYLE_SIZE)
        expanded: Tensor = self.fc(style)
        return expanded.view(-1, self.channels * 16, *self.style_grid)


class StyleEncoder(Network):
    """Image encoder of the VAE (appendix A, figure 14): (B, 3, H, W) → mean and log variance, (B, 256) each.

    Pictures are first brought to 256 × 256 px. Instance norms have no parameters.
    """

    def __init__(
        self,
        *,
        input_channels: int = 3,
        channels: int = 64,
        norm: JudgeNorm = "instance",
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=1)
        widths = [channels * min(8, 1 << level) for level in range(6)]
        for number, width in enumerate(widths, start=1):
            entering = input_channels if number == 1 else widths[number - 2]
            layer = _normed(
                entering, width, kernel_size=3, stride=2, padding=1, norm=norm, spectral_norm=spectral_norm
            )
            self.add_module(f"layer{number}", layer)
        self.layers = len(widths)
        self.fc_mu = nn.Linear(widths[-1] * 16, STYLE_SIZE)
        self.fc_var = nn.Linear(widths[-1] * 16, STYLE_SIZE)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the style of `image` (B, 3, H, W) in [-1, 1]."""
        if image.shape[2:] != (256, 256):
            image = F.interpolate(image, size=(256, 256), mode="bilinear")
        x: Tensor = self.get_submodule("layer1")(image)
        for number in range(2, self.layers + 1):
            x = self.get_submodule(f"layer{number}")(_activate(x))
        x = _activate(x).flatten(1)
        return self.fc_mu(x), self.fc_var(x)


class SPADEDiscriminator(Network):
    """Multi-scale patch discriminator (appendix A, figure 13), full size first.

    (B, input_channels, H, W) → for each scale the list of its feature maps, the last one the logits. `layers`
    counts as the published option does: 4 has the geometry of pix2pixHD's 3.
    """

    def __init__(
        self,
        *,
        input_channels: int = 39,
        channels: int = 64,
        layers: int = 4,
        scales: int = 2,
        norm: JudgeNorm = "instance",
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1, minimum=8 << (scales - 1))
        self.scales, self.layers = scales, layers
        for scale in range(scales):
            stages = _patch_stages(
                input_channels, channels=channels, layers=layers, norm=norm, spectral_norm=spectral_norm
            )
            judge = nn.Sequential()
            for index, stage in enumerate(stages):
                judge.add_module(f"model{index}", stage)
            self.add_module(f"discriminator_{scale}", judge)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Judge `x` (B, input_channels, H, W); positive logits mean "real"."""
        results = []
        for scale in range(self.scales):
            current, maps = x, []
            for stage in self.get_submodule(f"discriminator_{scale}").children():
                current = stage(current)
                maps.append(current)
            results.append(maps)
            if scale + 1 < self.scales:
                x = half_size(x)
        return results


def sample_style(mean: Tensor, log_variance: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """z = μ + σ·ε, ε ~ N(0, 1) (Kingma & Welling 2014, section 2.4)."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + noise * torch.exp(0.5 * log_variance)


def style_grid_for(cells: int) -> tuple[int, int]:
    """(rows, columns) of a style grid with so many cells, which do not tell them.

    Square, else twice as wide as high (Cityscapes), else as near to a square as they can be, not upright.
    """
    side = math.isqrt(cells)
    if side * side == cells > 0:
        return side, side
    rows = math.isqrt(cells // 2)
    if rows * rows * 2 == cells > 0:
        return rows, rows * 2
    rows = next((rows for rows in range(side, 0, -1) if cells % rows == 0), 1)
    return rows, cells // rows


def _free_norm(norm: FreeNorm, channels: int) -> nn.Module:
    return BatchNorm2d(channels, affine=False) if norm == "batch" else InstanceNorm2d(channels)


def _patch_stages(
    input_channels: int, *, channels: int, layers: int, norm: JudgeNorm, spectral_norm: bool
) -> list[nn.Sequential]:
    first = Conv2d(input_channels, channels, 4, stride=2, padding=2)
    stages = [nn.Sequential(first, nn.LeakyReLU(0.2))]
    width = channels
    for index in range(1, layers):
        entering, width = width, min(width * 2, 512)
        stride = 1 if index == layers - 1 else 2
        normalised = _normed(
            entering, width, kernel_size=4, stride=stride, padding=2, norm=norm, spectral_norm=spectral_norm
        )
        stages.append(nn.Sequential(normalised, nn.LeakyReLU(0.2)))
    return [*stages, nn.Sequential(Conv2d(width, 1, 4, padding=2))]


def _normed(
    entering: int,
    width: int,
    *,
    kernel_size: int,
    stride: int,
    padding: int,
    norm: JudgeNorm,
    spectral_norm: bool,
) -> nn.Module:
    """A convolution and its norm, in which a bias would be lost; without one the convolution alone."""
    convolution = conv2d(
        entering,
        width,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        bias=norm == "none",
        spectral_norm=spectral_norm,
    )
    return convolution if norm == "none" else nn.Sequential(convolution, make_norm(norm)(width))


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
