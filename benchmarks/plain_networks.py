"""The networks of the family in torch's own layers, as anyone would write them: what p2p's are timed against.

Keys are those of `p2pcli.nets`, so that weights of one load into the other. One form of each: the recipe's.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def spectral(convolution: nn.Conv2d) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wrapped: nn.Module = nn.utils.spectral_norm(convolution)
    return wrapped


def norm_relu(channels: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


class Residual(nn.Module):
    def __init__(self, channels: int, *, name: str, dilation: int = 1) -> None:
        super().__init__()
        self.name = name
        layers = [
            nn.ReflectionPad2d(dilation),
            nn.Conv2d(channels, channels, 3, dilation=dilation),
            *norm_relu(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        ]
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.get_submodule(self.name)(x)
        return x + inside


class ResNetGenerator(nn.Module):
    """CycleGAN's and pix2pixHD's global generator: they differ in how often they halve the size."""

    def __init__(self, input_channels: int, *, channels: int, downsamplings: int, blocks: int) -> None:
        super().__init__()
        widths = [channels << level for level in range(downsamplings)]
        widest = channels << downsamplings
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(input_channels, channels, 7), *norm_relu(channels)]
        for width in widths:
            layers += [nn.Conv2d(width, width * 2, 3, stride=2, padding=1), *norm_relu(width * 2)]
        layers += [Residual(widest, name="conv_block") for _ in range(blocks)]
        for width in reversed(widths):
            up = nn.ConvTranspose2d(width * 2, width, 3, stride=2, padding=1, output_padding=1)
            layers += [up, *norm_relu(width)]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(channels, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.model(x)
        return result


class PatchDiscriminator(nn.Module):
    """The 70 px PatchGAN of CycleGAN."""

    def __init__(self, input_channels: int, *, channels: int) -> None:
        super().__init__()
        layers = [
            nn.Conv2d(input_channels, channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for level in range(3):
            width, wider, stride = channels << level, channels << (level + 1), 2 if level < 2 else 1
            layers += [
                nn.Conv2d(width, wider, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(wider),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.model = nn.Sequential(*layers, nn.Conv2d(channels * 8, 1, 4, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits


class HDDiscriminator(nn.Module):
    """pix2pixHD's two scales, full size first."""

    def __init__(self, input_channels: int, *, channels: int) -> None:
        super().__init__()
        for scale in range(2):
            width = input_channels
            for layer, (wider, stride) in enumerate(
                ((channels, 2), (channels * 2, 2), (channels * 4, 2), (channels * 8, 1))
            ):
                stage: list[nn.Module] = [nn.Conv2d(width, wider, 4, stride=stride, padding=2)]
                stage += [nn.InstanceNorm2d(wider)] if layer else []
                self.add_module(
                    f"scale{scale}_layer{layer}", nn.Sequential(*stage, nn.LeakyReLU(0.2, inplace=True))
                )
                width = wider
            self.add_module(f"scale{scale}_layer4", nn.Sequential(nn.Conv2d(width, 1, 4, padding=2)))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        results = []
        for scale in (1, 0):
            maps = [x]
            for layer in range(5):
                maps.append(self.get_submodule(f"scale{scale}_layer{layer}")(maps[-1]))
            results.append(maps[1:])
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return results


class SPADENorm(nn.Module):
    def __init__(self, channels: int, *, label_channels: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, 128, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(128, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(128, channels, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        normalised = self.param_free_norm(x)
        shared = self.mlp_shared(F.interpolate(labels, size=x.shape[2:], mode="nearest"))
        gamma, beta = self.mlp_gamma(shared), self.mlp_beta(shared)
        result: Tensor = normalised * (1 + gamma) + beta
        return result


class SPADEBlock(nn.Module):
    def __init__(self, entering: int, leaving: int, *, label_channels: int) -> None:
        super().__init__()
        middle = min(entering, leaving)
        self.conv_0 = spectral(nn.Conv2d(entering, middle, 3, padding=1))
        self.conv_1 = spectral(nn.Conv2d(middle, leaving, 3, padding=1))
        self.norm_0 = SPADENorm(entering, label_channels=label_channels)
        self.norm_1 = SPADENorm(middle, label_channels=label_channels)
        self.learned_skip = entering != leaving
        if self.learned_skip:
            self.conv_s = spectral(nn.Conv2d(entering, leaving, 1, bias=False))
            self.norm_s = SPADENorm(entering, label_channels=label_channels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        skip = self.conv_s(self.norm_s(x, labels)) if self.learned_skip else x
        inner = self.conv_0(F.leaky_relu(self.norm_0(x, labels), 0.2))
        result: Tensor = skip + self.conv_1(F.leaky_relu(self.norm_1(inner, labels), 0.2))
        return result


class SPADEGenerator(nn.Module):
    def __init__(self, label_channels: int, *, channels: int) -> None:
        super().__init__()
        widest = channels * 16
        self.fc = nn.Conv2d(label_channels, widest, 3, padding=1)
        plan = [("head_0", widest, widest), ("G_middle_0", widest, widest), ("G_middle_1", widest, widest)]
        plan += [(f"up_{index}", widest >> index, widest >> (index + 1)) for index in range(4)]
        for name, entering, leaving in plan:
            self.add_module(name, SPADEBlock(entering, leaving, label_channels=label_channels))
        self.conv_img = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, labels: Tensor) -> Tensor:
        size = (labels.shape[2] // 32, labels.shape[3] // 32)
        x = self.head_0(self.fc(F.interpolate(labels, size=size, mode="nearest")), labels)
        x = self.G_middle_0(F.interpolate(x, scale_factor=2, mode="nearest"), labels)
        x = self.G_middle_1(x, labels)
        for index in range(4):
            doubled = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.get_submodule(f"up_{index}")(doubled, labels)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


class SPADEDiscriminator(nn.Module):
    def __init__(self, input_channels: int, *, channels: int) -> None:
        super().__init__()
        for scale in range(2):
            judge = nn.Sequential()
            first = nn.Conv2d(input_channels, channels, 4, stride=2, padding=2)
            judge.add_module("model0", nn.Sequential(first, nn.LeakyReLU(0.2)))
            for index in (1, 2, 3):
                width, stride = channels << (index - 1), 1 if index == 3 else 2
                convolution = nn.Conv2d(width, width * 2, 4, stride=stride, padding=2, bias=False)
                normalised = nn.Sequential(spectral(convolution), nn.InstanceNorm2d(width * 2))
                judge.add_module(f"model{index}", nn.Sequential(normalised, nn.LeakyReLU(0.2)))
            judge.add_module("model4", nn.Sequential(nn.Conv2d(channels * 8, 1, 4, padding=2)))
            self.add_module(f"discriminator_{scale}", judge)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        results = []
        for scale in range(2):
            maps = [x]
            for stage in self.get_submodule(f"discriminator_{scale}").children():
                maps.append(stage(maps[-1]))
            results.append(maps[1:])
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return results


class SRBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.PReLU()]
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.body(x)
        return result


class SRResNet(nn.Module):
    """Four times as large."""

    def __init__(self, *, channels: int, blocks: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(SRBlock(channels) for _ in range(blocks)))
        self.fuse = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        stages = [
            nn.Sequential(nn.Conv2d(channels, channels * 4, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())
            for _ in range(2)
        ]
        self.upscale = nn.Sequential(*stages)
        self.tail = nn.Conv2d(channels, 3, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        shallow = self.head(x)
        result: Tensor = self.tail(self.upscale(shallow + self.fuse(self.body(shallow))))
        return result


class SRGANDiscriminator(nn.Module):
    def __init__(self, *, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.2)]
        width = channels
        for wider, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            layers.append(nn.Conv2d(width, wider * channels, 3, stride=stride, padding=1))
            layers += [nn.BatchNorm2d(wider * channels), nn.LeakyReLU(0.2)]
            width = wider * channels
        self.features = nn.Sequential(*layers)
        dense = [nn.Conv2d(width, 1024, 6), nn.LeakyReLU(0.2), nn.Conv2d(1024, 1, 1)]
        self.judge = nn.Sequential(nn.AdaptiveAvgPool2d(6), *dense)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.judge(self.features(x))
        return logits


class InpaintingGenerator(nn.Module):
    def __init__(self, input_channels: int, *, channels: int, blocks: int) -> None:
        super().__init__()
        stem = nn.Conv2d(input_channels, channels, 7)
        self.entry = nn.Sequential(nn.ReflectionPad2d(3), stem, *norm_relu(channels))
        widths = [channels, channels * 2]
        self.down = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(w, w * 2, 3, stride=2, padding=1), *norm_relu(w * 2)) for w in widths)
        )
        self.body = nn.Sequential(*(Residual(channels * 4, name="body", dilation=2) for _ in range(blocks)))
        self.up = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(w * 2, w, 3, padding=1)),
                    *norm_relu(w),
                )
                for w in reversed(widths)
            )
        )
        self.exit = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(channels, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.exit(self.up(self.body(self.down(self.entry(x)))))
        return result


class GlobalPatchDiscriminator(nn.Module):
    def __init__(self, input_channels: int, *, channels: int) -> None:
        super().__init__()
        trunk: list[nn.Module] = [nn.Conv2d(input_channels, channels, 4, stride=2, padding=1), nn.Identity()]
        trunk.append(nn.LeakyReLU(0.2))
        for width in (channels, channels * 2):
            trunk += [nn.Conv2d(width, width * 2, 4, stride=2, padding=1), nn.InstanceNorm2d(width * 2)]
            trunk.append(nn.LeakyReLU(0.2))
        self.trunk = nn.Sequential(*trunk)
        wide = channels * 8
        self.patch_path = nn.Sequential(
            nn.Conv2d(channels * 4, wide, 4, padding=1),
            nn.InstanceNorm2d(wide),
            nn.LeakyReLU(0.2),
            nn.Conv2d(wide, 1, 4, padding=1),
        )
        self.global_path = nn.Sequential(
            nn.Conv2d(channels * 4, wide, 4, stride=2, padding=1),
            nn.InstanceNorm2d(wide),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(wide, 1, 4),
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        shared = self.trunk(x)
        return [[self.global_path(shared)], [self.patch_path(shared)]]


class VGG19(nn.Module):
    """Feature maps after the ReLUs at `indices` of torchvision's numbering."""

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.indices = indices
        layers: list[nn.Module] = []
        width = 3
        for wider, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
            for _ in range(count):
                layers += [nn.Conv2d(width, wider, 3, padding=1), nn.ReLU()]
                width = wider
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers[: max(indices) + 1])
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.indices:
                found.append(x)
        return found
