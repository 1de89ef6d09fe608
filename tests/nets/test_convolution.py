"""The matrix form of deep convolutions: the same numbers as torch's own, in bfloat16 on a CPU only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.nets import convolution
from p2pcli.nets.convolution import Conv2d, ConvTranspose2d, convolve

Layer = Conv2d | ConvTranspose2d


@pytest.fixture(autouse=True)
def _small_layers_count_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_MANY_WEIGHTS", 1)


def layer(kind: type[Layer], *, channels_last: bool = True) -> Layer:
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return kind(24, 16, 4, 2, 1, bias=False).to(memory_format=layout)


def image(height: int, width: int, *, batch: int = 2) -> Tensor:
    x = torch.randn(batch, 24, height, width).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_()


def results(network: nn.Module, x: Tensor, *, bfloat16: bool) -> list[Tensor]:
    """Output, gradient of the input, gradient of the weights."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        y = network(x)
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    return [y.detach(), *torch.autograd.grad((y.float() * weights).sum(), (x, *network.parameters()))]


def takes_the_matrix_form(network: nn.Module, x: Tensor, *, bfloat16: bool = True) -> bool:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        name = type(network(x).grad_fn).__name__
    return name in ("_DownBackward", "_UpBackward")


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (16, 8)])
@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_output_and_gradients_equal_a_float32_convolution(kind: type[Layer], size: tuple[int, int]) -> None:
    network, x = layer(kind), image(*size)
    assert takes_the_matrix_form(network, x)
    for ours, exact in zip(
        results(network, x, bfloat16=True), results(network, x, bfloat16=False), strict=True
    ):
        assert ours.shape == exact.shape
        # bfloat16 has 8 bits of mantissa: 2^-8 is 0.4 %.
        assert (ours.float() - exact).norm() < 0.006 * exact.norm()


def test_one_pixel_becomes_four() -> None:
    network, x = layer(ConvTranspose2d), image(1, 1)
    exact = nn.ConvTranspose2d.forward(network, x)  # type: ignore[arg-type]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (network(x).float() - exact).norm() < 0.006 * exact.norm()


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_results_keep_the_channels_last_layout_and_gradients_the_dtypes(kind: type[Layer]) -> None:
    network, x = layer(kind), image(4, 4)
    y, of_x, of_weight = results(network, x, bfloat16=True)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert of_weight.is_contiguous(memory_format=torch.channels_last)
    assert (y.dtype, of_x.dtype, of_weight.dtype) == (torch.bfloat16, torch.float32, torch.float32)


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_the_output_may_be_changed_in_place(kind: type[Layer]) -> None:
    network, x = layer(kind), image(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = torch.relu_(network(x))
    y.float().sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_float32_and_other_layouts_and_large_images_stay_with_torch(kind: type[Layer]) -> None:
    assert not takes_the_matrix_form(layer(kind), image(4, 4), bfloat16=False)
    assert not takes_the_matrix_form(layer(kind, channels_last=False), image(4, 4))
    assert not takes_the_matrix_form(layer(kind), image(128, 64))


GEOMETRIES = [
    # kernel, stride, padding, dilation
    (3, 1, 0, 1),
    (3, 1, 1, 1),
    (3, 2, 1, 1),
    (4, 1, 2, 1),
    (4, 2, 2, 1),
    (3, 1, 2, 2),
    (6, 1, 0, 1),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_every_geometry_equals_a_float32_convolution(
    kernel: int, stride: int, padding: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    network = Conv2d(24, 16, kernel, stride, padding, dilation, bias=bias)
    assert_equals_float32(network.to(memory_format=torch.channels_last), image(9, 6))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "margin"), [(3, 2, 1, 1), (3, 1, 1, 0), (2, 2, 0, 0)]
)
def test_every_transposed_geometry_equals_a_float32_convolution(
    kernel: int, stride: int, padding: int, margin: int, bias: bool
) -> None:
    torch.manual_seed(0)
    network = ConvTranspose2d(24, 16, kernel, stride, padding, margin, bias=bias)
    assert_equals_float32(network.to(memory_format=torch.channels_last), image(5, 4))


def assert_equals_float32(network: nn.Module, x: Tensor) -> None:
    assert takes_the_matrix_form(network, x)
    rounded, exact = (results(network, x, bfloat16=bfloat16) for bfloat16 in (True, False))
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.shape == theirs.shape
        assert (ours.float() - theirs).norm() < 0.007 * theirs.norm()


@pytest.mark.parametrize("settings", [{"groups": 2}, {"padding_mode": "reflect"}, {"padding": (1, 0)}])
def test_layers_with_other_settings_stay_with_torch(settings: dict[str, Any]) -> None:
    network = Conv2d(24, 16, 3, **settings).to(memory_format=torch.channels_last)
    assert not takes_the_matrix_form(network, image(8, 8))


def test_weights_that_are_no_parameter_take_the_matrix_form_too() -> None:
    network, x = layer(Conv2d), image(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        free = convolve(x, network.weight * 1, None, stride=2, padding=1)
        assert type(free.grad_fn).__name__ == "_DownBackward"
        assert torch.equal(free, network(x))
