"""Adam on a CPU: the published update for every memory layout."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from p2pcli.training.optimizer import make_adam, restore_adam

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 4), nn.ConvTranspose2d(8, 3, 4, bias=False), nn.Conv2d(3, 5, 1))


def updated(
    network: nn.Module, optimizer: torch.optim.Optimizer, layout: torch.memory_format
) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    for _ in range(4):
        optimizer.zero_grad()
        for parameter in network.parameters():
            gradient = torch.randn(parameter.shape, generator=draw)
            parameter.grad = gradient.contiguous(memory_format=layout) if gradient.dim() == 4 else gradient
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


def plain_updates() -> list[torch.Tensor]:
    plain = layers()
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=(0.5, 0.999), foreach=False)
    return updated(plain, adam, torch.contiguous_format)


@pytest.mark.parametrize(("weights", "gradients"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_fused_updates_equal_plain_adam_whatever_the_layouts(
    weights: torch.memory_format, gradients: torch.memory_format
) -> None:
    ours = layers().to(memory_format=weights)
    optimizer = make_adam(ours, learning_rate=1e-2, dtype=torch.bfloat16)
    for a, b in zip(updated(ours, optimizer, gradients), plain_updates(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(("weights", "gradients"), list(itertools.product(LAYOUTS, LAYOUTS)))
@pytest.mark.parametrize("block", [1 << 20, 64])
def test_float32_updates_are_those_of_plain_adam_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, weights: torch.memory_format, gradients: torch.memory_format, block: int
) -> None:
    monkeypatch.setattr("p2pcli.training.optimizer.BLOCK_NUMBERS", block)
    ours = layers().to(memory_format=weights)
    updates = updated(ours, make_adam(ours, learning_rate=1e-2), gradients)
    assert all(torch.equal(a, b) for a, b in zip(updates, plain_updates(), strict=True))


def test_a_weight_without_a_gradient_stays() -> None:
    network = layers()
    optimizer = make_adam(network)
    first, *others = network.parameters()
    before = [p.detach().clone() for p in others]
    first.grad = torch.ones_like(first)
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, others, strict=True))


def test_zero_grad_clears_the_gradients_of_the_weights() -> None:
    network = layers()
    optimizer = make_adam(network)
    network(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.zero_grad()
    assert all(p.grad is None for p in network.parameters())


DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_restored_optimizer_goes_on_bit_for_bit(layout: torch.memory_format, dtype: torch.dtype) -> None:
    through = layers().to(memory_format=layout)
    optimizer = make_adam(through, dtype=dtype)
    updated(through, optimizer, layout)
    again = layers().to(memory_format=layout)
    again.load_state_dict(through.state_dict())
    restored = make_adam(again, dtype=dtype)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for a, b in zip(updated(through, optimizer, layout), updated(again, restored, layout), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("before", "after"), [DTYPES, DTYPES[::-1]])
def test_a_run_resumed_in_another_format_updates_as_that_format_does(
    before: torch.dtype, after: torch.dtype
) -> None:
    network = layers()
    optimizer = make_adam(network, dtype=before)
    updated(network, optimizer, torch.contiguous_format)
    restored = make_adam(network, dtype=after)
    restored.load_state_dict(optimizer.state_dict())
    assert [group["fused"] for group in restored.param_groups] == [after != torch.float32]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("block", [1 << 20, 64])
def test_a_run_goes_on_with_the_adam_of_another_device_and_back(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, block: int
) -> None:
    monkeypatch.setattr("p2pcli.training.optimizer.BLOCK_NUMBERS", block)
    network, plain = (layers().to(memory_format=layout) for _ in range(2))
    plain_adam = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=(0.5, 0.999), foreach=False)
    here = make_adam(network, learning_rate=1e-2)
    updated(network, here, layout)
    # A GPU's optimizer is torch's own; what matters is the state that it is given and gives.
    there = torch.optim.Adam(network.parameters(), foreach=False)
    restore_adam(there, copy.deepcopy(here.state_dict()))
    updated(network, there, layout)
    back = make_adam(network)
    restore_adam(back, copy.deepcopy(there.state_dict()))
    assert back.param_groups[0]["lr"] == 1e-2
    updated(network, back, layout)
    for _ in range(3):
        updated(plain, plain_adam, layout)
    for a, b in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_of_other_weights_is_refused() -> None:
    state = make_adam(layers()).state_dict()
    with pytest.raises(ValueError, match="5 weights, not 2"):
        make_adam(nn.Conv2d(3, 8, 4)).load_state_dict(state)


def test_the_learning_rate_of_a_group_is_obeyed() -> None:
    network = layers()
    optimizer = make_adam(network)
    optimizer.param_groups[0]["lr"] = 0.0
    before = [p.detach().clone() for p in network.parameters()]
    assert all(
        torch.equal(a, b) for a, b in zip(before, updated(network, optimizer, LAYOUTS[0]), strict=True)
    )
