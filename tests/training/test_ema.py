"""The averaged copy."""

from __future__ import annotations

import torch
from torch import nn

from p2pcli.training.ema import averaged_copy, update_average


def moved(decay: float, step: int) -> float:
    network = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    average = averaged_copy(network)
    nn.init.constant_(network.weight, 2.0)
    update_average(average, network, decay=decay, step=step)
    return float(average.weight)


def test_an_old_average_moves_by_one_minus_decay() -> None:
    assert abs(moved(0.9, 10_000) - 1.1) < 1e-6


def test_a_young_average_forgets_faster() -> None:
    assert abs(moved(0.999, 1) - (1 + 10 / 11)) < 1e-6


def test_buffers_are_copied() -> None:
    network = nn.BatchNorm2d(2)
    average = averaged_copy(network)
    network(torch.randn(4, 2, 3, 3))
    update_average(average, network, decay=0.99, step=1)
    assert torch.equal(average.running_mean, network.running_mean)
