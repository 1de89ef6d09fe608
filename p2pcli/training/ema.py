"""An exponential moving average of a network's weights: a second copy that trails the trained one."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

_Network = TypeVar("_Network", bound=nn.Module)


def averaged_copy(network: _Network) -> _Network:
    """A frozen copy of `network` for `update_average` to move."""
    average = copy.deepcopy(network)
    average.requires_grad_(False)
    return average


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move `average` towards `network` after step `step` (from 1): average ← d·average + (1 − d)·network.

    d is min(decay, step / (step + 10)), so that a young average forgets the initial weights. Buffers
    (running statistics, counters) are copied: they are averages already.
    """
    weight = 1.0 - min(decay, step / (step + 10))
    ours: list[torch.Tensor] = list(average.parameters())
    theirs: list[torch.Tensor] = list(network.parameters())
    torch._foreach_lerp_(ours, theirs, weight)
    for mine, other in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(other)
