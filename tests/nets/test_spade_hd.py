"""SPADE's --netG pix2pixhd: recognised, and the same function as pix2pixHD's own generator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from p2pcli.nets.detect import detect


class Residual(nn.Module):
    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        pad = nn.ReflectionPad2d(1)
        self.conv_block = nn.Sequential(pad, one, nn.ReLU(), nn.ReflectionPad2d(1), other)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.conv_block(x)
        return result


def normed(convolution: nn.Module, width: int, norm: str) -> nn.Module:
    """A convolution as SPADE's code wraps it: "spectralinstance", "instance", "spectralbatch", "spectral"."""
    kind = norm.removeprefix("spectral")
    if norm.startswith("spectral"):
        convolution = spectral_norm(convolution)
    if not kind:
        return convolution
    convolution.register_parameter("bias", None)
    return nn.Sequential(
        convolution, nn.InstanceNorm2d(width) if kind == "instance" else nn.BatchNorm2d(width)
    )


def generator(norm: str, *, downsamplings: int, blocks: int = 2, ngf: int = 2) -> nn.Module:
    layers = [nn.ReflectionPad2d(3), normed(nn.Conv2d(4, ngf, 7), ngf, norm), nn.ReLU()]
    width = ngf
    for _ in range(downsamplings):
        layers += [normed(nn.Conv2d(width, 2 * width, 3, 2, 1), 2 * width, norm), nn.ReLU()]
        width *= 2
    for _ in range(blocks):
        layers += [Residual(*(normed(nn.Conv2d(width, width, 3), width, norm) for _ in range(2)))]
    for _ in range(downsamplings):
        up = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1)
        layers += [normed(up, width // 2, norm), nn.ReLU()]
        width //= 2
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("downsamplings", [2, 3, 4])
@pytest.mark.parametrize("norm", ["spectralinstance", "instance", "spectralbatch", "spectral"])
def test_spades_pix2pixhd_generator_gives_the_same_picture(norm: str, downsamplings: int) -> None:
    torch.manual_seed(0)
    published = nn.ModuleDict({"model": generator(norm, downsamplings=downsamplings)})
    x = torch.rand(2, 4, 32, 32) * 2 - 1
    with torch.no_grad():
        for _ in range(3):
            published["model"](x)
        expected = published.eval()["model"](x)
        found = detect(published.state_dict())
        result = found.build().eval()(x)
    assert found.network == ("resnet" if downsamplings == 2 else "pix2pixhd_global")
    assert (result - expected).abs().max() < 1e-5
    assert any("--netG pix2pixhd" in quirk for quirk in found.quirks)
