"""How a trained network behaves while it translates: which statistics norms use, whether dropout is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from p2pcli.nets.blocks import BatchNorm2d, Dropout, Statistics


def set_modes(network: nn.Module, *, statistics: Statistics, dropout: bool) -> None:
    """Let `network` evaluate from now on, under the given `statistics` and `dropout`."""
    network.eval()
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.statistics = statistics
        elif isinstance(module, Dropout):
            module.active_in_eval = dropout


@contextmanager
def inference_mode(
    network: nn.Module, *, statistics: Statistics = "sample", dropout: bool = False
) -> Iterator[nn.Module]:
    """Inside, `network` evaluates without gradients, under the given `statistics` and `dropout`.

    "sample" takes each image's own mean and variance: what published pix2pix does at batch 1, here the same
    for any batch size. Everything is put back afterwards, also when the body raises.
    """
    training = {module: module.training for module in network.modules()}
    norms = {m: m.statistics for m in network.modules() if isinstance(m, BatchNorm2d)}
    dropouts = {m: m.active_in_eval for m in network.modules() if isinstance(m, Dropout)}
    set_modes(network, statistics=statistics, dropout=dropout)
    try:
        with torch.no_grad():
            yield network
    finally:
        for module, was_training in training.items():
            module.training = was_training
        for norm, before in norms.items():
            norm.statistics = before
        for layer, was_active in dropouts.items():
            layer.active_in_eval = was_active
