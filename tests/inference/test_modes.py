"""What a network does while it translates."""

from __future__ import annotations

import pytest
import torch

from p2pcli.inference.modes import inference_mode
from p2pcli.nets import UNet, init_weights


@pytest.fixture
def network() -> UNet:
    net = UNet(channels=4, depth=6)
    init_weights(net, gain=0.2)
    net(torch.rand(2, 3, 64, 64))
    return net


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("statistics", ["sample", "running"])
def test_everything_is_put_back_afterwards(network: UNet, statistics: str, dropout: bool) -> None:
    next(network.children()).eval()
    before = [
        (m.training, getattr(m, "statistics", ""), getattr(m, "active_in_eval", ""))
        for m in network.modules()
    ]
    with pytest.raises(RuntimeError), inference_mode(network, statistics=statistics, dropout=dropout):  # type: ignore[arg-type]
        raise RuntimeError
    after = [
        (m.training, getattr(m, "statistics", ""), getattr(m, "active_in_eval", ""))
        for m in network.modules()
    ]
    assert after == before


def test_sample_statistics_give_the_same_result_for_any_batch_size(network: UNet) -> None:
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    with inference_mode(network):
        together, alone = network(x), torch.cat([network(one[None]) for one in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_modes_differ(network: UNet) -> None:
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    results = []
    for statistics, dropout in (("sample", False), ("running", False), ("sample", True)):
        with inference_mode(network, statistics=statistics, dropout=dropout):  # type: ignore[arg-type]
            results.append(network(x))
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_without_dropout_two_runs_are_equal(network: UNet) -> None:
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with inference_mode(network):
        assert torch.equal(network(x), network(x))


def test_no_gradient_is_recorded(network: UNet) -> None:
    with inference_mode(network):
        assert not network(torch.rand(1, 3, 64, 64)).requires_grad
