"""pix2pixHD (Wang et al. 2018, 1711.11585): coarse-to-fine generator and instance feature encoder.

State-dict keys equal the published ones. Discriminator: `multiscale`; losses: `p2pcli.losses`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2pcli.nets.blocks import Network, Norm, SizeNeeds, make_norm
from p2pcli.nets.convolution import Conv2d
from p2pcli.nets.upsampling import Upsampling, upsampling_layers


def instance_mean(features: Tensor, instances: Tensor) -> Tensor:
    """Each pixel's feature replaced by the mean over its instance (section 3.4).

    `features` (B, C, H, W); `instances` (B, 1, H, W) of any integer ids, each sample's ids its own.
    """
    batch, channels, height, width = features.shape
    result = torch.empty_like(features)
    for index in range(batch):
        _, places = torch.unique(instances[index], return_inverse=True)
        places = places.flatten()
        count = int(places.max()) + 1
        flat = features[index].flatten(1)
        sums = flat.new_zeros(channels, count).index_add(1, places, flat)
        areas = torch.bincount(places, minlength=count).to(flat.dtype)
        result[index] = (sums / areas)[:, places].view(channels, height, width)
    return result


def half_size(x: Tensor) -> Tensor:
    """`x` at half its size by the 3×3 average that the published pyramids use."""
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


def _stem(input_channels: int, channels: int, *, norm: Norm) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), Conv2d(input_channels, channels, 7), *_norm_relu(norm, channels)]


def _down(channels: int, *, norm: Norm) -> list[nn.Module]:
    convolution = Conv2d(channels, channels * 2, 3, stride=2, padding=1)
    return [convolution, *_norm_relu(norm, channels * 2)]


def _up(channels: int, *, norm: Norm, upsampling: Upsampling) -> list[nn.Module]:
    layers = upsampling_layers(channels, channels // 2, kind=upsampling, bias=True)
    return [*layers, *_norm_relu(norm, channels // 2)]


def _head(channels: int, output_channels: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), Conv2d(channels, output_channels, 7), nn.Tanh()]


def _norm_relu(norm: Norm, channels: int) -> list[nn.Module]:
    return [make_norm(norm)(channels), nn.ReLU(inplace=True)]


def _trunk(
    input_channels: int, *, channels: int, downsamplings: int, blocks: int, norm: Norm, upsampling: Upsampling
) -> list[nn.Module]:
    """The global generator up to its last three modules: `channels` feature maps at full size."""
    widest = channels << downsamplings
    layers = _stem(input_channels, channels, norm=norm)
    for level in range(downsamplings):
        layers += _down(channels << level, norm=norm)
    layers += [_ResidualBlock(widest, norm=norm) for _ in range(blocks)]
    for level in range(downsamplings):
        layers += _up(widest >> level, norm=norm, upsampling=upsampling)
    return layers


class _ResidualBlock(nn.Module):
    """Reflection-padded conv-norm-ReLU-conv-norm, added to its input without a ReLU after."""

    def __init__(self, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3),
            make_norm(norm)(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            Conv2d(channels, channels, 3),
            make_norm(norm)(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.conv_block(x)
        return x + inside


class GlobalGenerator(Network):
    """G1, the global generator (section 3.2): (B, input_channels, H, W) → (B, output_channels, H, W).

    The result is in [-1, 1]. `channels` doubles at each of `downsamplings`. Every convolution has a bias,
    also before a norm, as published.
    """

    draws_biases = True

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 64,
        downsamplings: int = 4,
        blocks: int = 9,
        norm: Norm = "instance",
        upsampling: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1 << downsamplings, minimum=max(8, 2 << downsamplings))
        layers = _trunk(
            input_channels,
            channels=channels,
            downsamplings=downsamplings,
            blocks=blocks,
            norm=norm,
            upsampling=upsampling,
        )
        self.model = nn.Sequential(*layers, *_head(channels, output_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, input_channels, H, W): an image in [-1, 1], or one-hot labels and boundaries."""
        result: Tensor = self.model(x)
        return result


class LocalEnhancer(Network):
    """G2 around G1 (section 3.2, figure 3): (B, input_channels, H, W) → (B, output_channels, H, W).

    The result is in [-1, 1]. `channels` is the outermost enhancer's width; each of `enhancers` doubles the
    size and halves the width, and the global generator inside (`model`, without its last three modules) has
    `channels << enhancers`. The enhancer's features and those of the smaller generator are summed, as in the
    paper.
    """

    draws_biases = True

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 32,
        downsamplings: int = 4,
        blocks: int = 9,
        enhancers: int = 1,
        local_blocks: int = 3,
        norm: Norm = "instance",
        upsampling: Upsampling = "deconv",
    ) -> None:
        super().__init__()
        smallest = downsamplings + enhancers
        self.size_needs = SizeNeeds(multiple_of=1 << smallest, minimum=max(8, 2 << smallest))
        self.enhancers = enhancers
        trunk = _trunk(
            input_channels,
            channels=channels << enhancers,
            downsamplings=downsamplings,
            blocks=blocks,
            norm=norm,
            upsampling=upsampling,
        )
        self.model = nn.Sequential(*trunk)
        for number in range(1, enhancers + 1):
            width = channels << (enhancers - number)
            entry = _stem(input_channels, width, norm=norm) + _down(width, norm=norm)
            exit_: list[nn.Module] = [_ResidualBlock(width * 2, norm=norm) for _ in range(local_blocks)]
            exit_ += _up(width * 2, norm=norm, upsampling=upsampling)
            if number == enhancers:
                exit_ += _head(width, output_channels)
            self.add_module(f"model{number}_1", nn.Sequential(*entry))
            self.add_module(f"model{number}_2", nn.Sequential(*exit_))

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, input_channels, H, W): an image in [-1, 1], or one-hot labels and boundaries."""
        pyramid = [x]
        for _ in range(self.enhancers):
            pyramid.append(half_size(pyramid[-1]))
        result: Tensor = self.model(pyramid[-1])
        for number in range(1, self.enhancers + 1):
            entry = self.get_submodule(f"model{number}_1")
            exit_ = self.get_submodule(f"model{number}_2")
            result = exit_(entry(pyramid[self.enhancers - number]) + result)
        return result


class FeatureEncoder(Network):
    """E, the instance feature encoder (section 3.4): image (B, 3, H, W) in [-1, 1] → (B, 3, H, W) in [-1, 1].

    Inside an instance all pixels carry the same feature; the generator takes them as extra input channels.
    """

    draws_biases = True

    def __init__(
        self,
        *,
        input_channels: int = 3,
        output_channels: int = 3,
        channels: int = 16,
        downsamplings: int = 4,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.size_needs = SizeNeeds(multiple_of=1 << downsamplings, minimum=max(8, 2 << downsamplings))
        trunk = _trunk(
            input_channels,
            channels=channels,
            downsamplings=downsamplings,
            blocks=0,
            norm=norm,
            upsampling="deconv",
        )
        self.model = nn.Sequential(*trunk, *_head(channels, output_channels))

    def forward(self, image: Tensor, instances: Tensor) -> Tensor:
        """Features of `image` (B, 3, H, W), averaged over `instances` (B, 1, H, W) of integer ids."""
        return instance_mean(self.model(image), instances)
