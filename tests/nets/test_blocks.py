"""Norms with switchable statistics, and dropout that can stay on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from p2pcli.nets.blocks import (
    BatchNorm2d,
    Dropout,
    InstanceNorm2d,
    PReLU,
    make_norm,
    normalize_per_sample,
)


def trained_norm(channels: int = 4) -> BatchNorm2d:
    norm = BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1, 0.3)
    nn.init.normal_(norm.bias, 0, 0.3)
    norm(torch.randn(3, channels, 5, 5) + 2)
    return norm


def test_sample_statistics_equal_training_mode_at_batch_one() -> None:
    norm, x = trained_norm(), torch.randn(1, 4, 6, 7)
    published = norm(x)
    norm.eval().statistics = "sample"
    torch.testing.assert_close(norm(x), published, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sample_statistics_do_not_see_the_rest_of_the_batch(layout: torch.memory_format) -> None:
    norm, x = trained_norm().eval(), torch.randn(5, 4, 6, 7).contiguous(memory_format=layout)
    norm.statistics = "sample"
    alone = torch.cat([norm(x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(norm(x), alone, atol=1e-6, rtol=1e-5)


def test_sample_statistics_leave_the_running_ones_alone() -> None:
    norm = trained_norm().eval()
    norm.statistics = "sample"
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    norm(torch.randn(2, 4, 3, 3))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def test_statistics_do_not_matter_while_training() -> None:
    norm, x = trained_norm(), torch.randn(3, 4, 5, 5)
    norm.statistics = "sample"
    torch.testing.assert_close(norm(x), nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, True))


def test_running_statistics_are_plain_evaluation() -> None:
    norm, x = trained_norm().eval(), torch.randn(3, 4, 5, 5)
    expected = nn.functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_equals_the_definition(layout: torch.memory_format) -> None:
    x = (torch.randn(3, 4, 5, 6) * 3 + 1).contiguous(memory_format=layout)
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(InstanceNorm2d(4)(x), (x - mean) / (variance + 1e-5).sqrt())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_large_pictures_are_normalised_as_exactly_as_small_ones(layout: torch.memory_format) -> None:
    x = torch.randn(1, 4, 512, 512, generator=torch.Generator().manual_seed(0)) + 1
    variance, mean = torch.var_mean(x.double(), dim=(2, 3), correction=0, keepdim=True)
    expected = (x.double() - mean) / (variance + 1e-5).sqrt()
    with torch.no_grad():
        found = InstanceNorm2d(4)(x.contiguous(memory_format=layout))
    assert (found - expected).abs().max() < 5e-6


def test_one_pixel_normalises_to_the_bias() -> None:
    x, bias = torch.randn(2, 3, 1, 1), torch.tensor([1.0, 2.0, 3.0])
    y = normalize_per_sample(x, weight=torch.ones(3), bias=bias, eps=1e-5)
    # x − mean may be one rounding off 0, and 1/√eps makes that 316 times larger.
    torch.testing.assert_close(y, bias.reshape(1, 3, 1, 1).expand(2, 3, 1, 1), atol=1e-4, rtol=0)


def test_dropout_stays_on_in_evaluation_only_where_asked() -> None:
    layer, x = Dropout(0.5).eval(), torch.ones(1000)
    assert torch.equal(layer(x), x)
    layer.active_in_eval = True
    assert 300 < int((layer(x) == 0).sum()) < 700


@pytest.mark.parametrize("name", ["batch", "instance", "none"])
def test_every_norm_keeps_the_shape(name: str) -> None:
    assert make_norm(name)(4)(torch.randn(2, 4, 3, 3)).shape == (2, 4, 3, 3)  # type: ignore[arg-type]


def test_prelu_and_its_gradients_equal_torchs() -> None:
    x, found = torch.randn(2, 4, 5, 5), []
    for rectify in (PReLU(), nn.PReLU()):
        entering = x.clone().requires_grad_()
        y = rectify(entering)
        found.append([y, *torch.autograd.grad(y.square().sum(), (entering, rectify.weight))])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
