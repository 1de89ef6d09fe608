"""Spectral normalisation against torch's own, in both memory layouts."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from p2pcli.nets.spectral import SpectralConv2d

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def both(layout: torch.memory_format) -> tuple[SpectralConv2d, nn.Module]:
    torch.manual_seed(0)
    ours = SpectralConv2d(6, 8, kernel_size=3, padding=1).to(memory_format=layout)  # type: ignore[call-overload]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs: nn.Module = nn.utils.spectral_norm(nn.Conv2d(6, 8, 3, padding=1))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def two_passes(network: nn.Module, layout: torch.memory_format) -> list[Tensor]:
    """Outputs of two passes, then gradients of input and weight, then the vectors."""
    x = torch.linspace(-1, 1, 6 * 49).view(1, 6, 7, 7).contiguous(memory_format=layout).requires_grad_()
    first, second = network(x), network(x * 0.5)
    (first.square().sum() + (second * x.detach()[:, :1]).sum()).backward()
    assert x.grad is not None
    state = network.state_dict()
    gradient = network.get_parameter("weight_orig").grad
    assert gradient is not None
    return [first.detach(), second.detach(), x.grad, gradient, state["weight_u"], state["weight_v"]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_outputs_gradients_and_vectors_equal_torchs(layout: torch.memory_format) -> None:
    ours, theirs = both(layout)
    for own, published in zip(two_passes(ours, layout), two_passes(theirs, layout), strict=True):
        assert (own - published).abs().max() < 1e-5 * published.abs().max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_autocast_leaves_the_power_iteration_in_float32(layout: torch.memory_format) -> None:
    exact, cast = both(layout)[0], both(layout)[0]
    exact(torch.zeros(1, 6, 4, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast(torch.zeros(1, 6, 4, 4))
    assert torch.equal(exact.weight_u, cast.weight_u)
    assert torch.equal(exact.weight_v, cast.weight_v)
