"""SPADE's networks with each norm that its options name."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from p2pcli.nets.detect import detect
from p2pcli.nets.spade import SPADEGenerator, StyleEncoder, style_grid_for


def wrapped(convolution: nn.Module, width: int, norm: str) -> nn.Module:
    """A convolution as the published code wraps it: with a bias only where no norm follows."""
    kind = norm.removeprefix("spectral")
    if norm.startswith("spectral"):
        convolution = spectral_norm(convolution)
    if kind in ("", "none"):
        return convolution
    convolution.register_parameter("bias", None)
    return nn.Sequential(
        convolution, nn.InstanceNorm2d(width) if kind == "instance" else nn.BatchNorm2d(width)
    )


NORMS = ["spectralinstance", "spectralbatch", "spectral", "instance", "batch", "none"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("norm", NORMS)
def test_a_discriminator_of_any_norm_judges_as_it_did(norm: str) -> None:
    torch.manual_seed(0)
    judge = nn.Sequential()
    judge.add_module("model0", nn.Sequential(nn.Conv2d(5, 2, 4, 2, 2), nn.LeakyReLU(0.2)))
    for index, stride in ((1, 2), (2, 1)):
        convolution = nn.Conv2d(2**index, 2 ** (index + 1), 4, stride, 2)
        stage = nn.Sequential(wrapped(convolution, 2 ** (index + 1), norm), nn.LeakyReLU(0.2))
        judge.add_module(f"model{index}", stage)
    judge.add_module("model3", nn.Sequential(nn.Conv2d(8, 1, 4, 1, 2)))
    published = nn.ModuleDict({"discriminator_0": judge})
    x = torch.rand(2, 5, 32, 32)
    with torch.no_grad():
        judge(x)
        expected = published.eval()["discriminator_0"](x)
        found = detect(published.state_dict())
        result = found.build().eval()(x)[0][-1]
    assert found.options["norm"] == (norm.removeprefix("spectral") or "none")
    assert found.options["spectral_norm"] == norm.startswith("spectral")
    assert torch.allclose(result, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("norm", NORMS)
def test_an_encoder_of_any_norm_gives_the_style_that_it_gave(norm: str) -> None:
    torch.manual_seed(0)
    published = nn.Module()
    widths = [3, 1, 2, 4, 8, 8, 8]
    for number in range(1, 7):
        convolution = nn.Conv2d(widths[number - 1], widths[number], 3, 2, 1)
        published.add_module(f"layer{number}", wrapped(convolution, widths[number], norm))
    published.fc_mu, published.fc_var = nn.Linear(128, 256), nn.Linear(128, 256)
    x = torch.rand(1, 3, 256, 256) * 2 - 1
    published.eval()
    with torch.no_grad():
        y = x
        for number in range(1, 7):
            layer = published.get_submodule(f"layer{number}")
            y = layer(y if number == 1 else nn.functional.leaky_relu(y, 0.2))
        expected = published.fc_mu(nn.functional.leaky_relu(y, 0.2).flatten(1))
        network = detect(published.state_dict()).build()
        assert isinstance(network, StyleEncoder)
        result = network.eval()(x)[0]
    assert torch.allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(("cells", "grid"), [(6, (2, 3)), (12, (3, 4)), (7, (1, 7)), (1, (1, 1))])
def test_cells_of_no_square_are_taken_as_near_to_one_as_they_can_be(
    cells: int, grid: tuple[int, int]
) -> None:
    assert style_grid_for(cells) == grid


def test_a_style_grid_can_be_told_where_its_cells_are_as_many() -> None:
    network = SPADEGenerator(input_channels=2, channels=1, hidden=2, style_grid=(3, 4))
    state = network.state_dict()
    assert detect(state).options["style_grid"] == (3, 4)
    assert detect(state, overrides={"style_grid": (2, 6)}).options["style_grid"] == (2, 6)
    assert detect(state, overrides={"style_grid": (5, 5)}).options["style_grid"] == (3, 4)
