"""Layers that give a picture the same bits alone and in any batch, on a CPU.

The libraries below torch choose how a layer adds up by the size of its whole batch: a transposed convolution
of three pictures may sum in another order than that of one, and a lone small picture may take another path
altogether. Which layers that concerns differs from processor to processor, so it is tried out. Norms take
each picture for itself already (`nets.blocks`), and everything else here is pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn
from torch.func import functional_call

Outcomes = dict[tuple[Hashable, ...], bool | None]
"""What trials said, by all that it depends on; None: a shape that was seen once, and not tried."""

_outcomes: Outcomes = {}
"""Of all models of this process: a processor sums alike for each of them."""

_CHANNELS_TO_CANCEL = 4
"""Fewer cancel each other at once, whatever the order."""

_ENOUGH_VALUES, _ENOUGH_UNCANCELLED = 1 << 10, 1 << 18
"""Values that tell, with channels that cancel each other and without."""

_MOST_PICTURES = 16
"""Pictures in one trial; a layer so small that these make too few values goes one by one."""

_LARGEST_BYTES = 256 << 20
"""Above this a batch gains nothing, and a trial would need as much again twice."""

_DIFFERENT_ROWS = 16
"""Output channels with weights of their own in a trial; the others repeat them."""


def batch_invariant(network: nn.Module, *, outcomes: Outcomes = _outcomes) -> nn.Module:
    """`network` (its layers are replaced) such that each picture of a batch comes out as it does alone.

    For use without gradients, from one thread at a time. `outcomes` of trials are looked up and added.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                setattr(module, name, BatchInvariant(child, outcomes))
    return network


class BatchInvariant(nn.Module):
    """A convolution or linear layer that takes a batch at once only where that gives the bits of one by one.

    The first batch of a shape goes one by one, as there may be no other; the second is preceded by a trial.
    """

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, outcomes: Outcomes) -> None:
        super().__init__()
        self.layer = layer
        self._kind: Hashable = (type(layer), repr(layer))
        self._outcomes = outcomes

    def forward(self, x: Tensor) -> Tensor:
        """The layer's result for `x` (B, …)."""
        # On a GPU one by one would cost a small picture most of its speed.
        if len(x) == 1 or x.device.type != "cpu" or self._may_go_at_once(x):
            result: Tensor = self.layer(x)
            return result
        # Copies, because matrix products may depend on where in memory their operands begin.
        return torch.cat([self.layer(one.clone()) for one in x.chunk(len(x))])

    def _may_go_at_once(self, x: Tensor) -> bool:
        layer = self.layer
        # A product of one row is no product of matrices to any library.
        if isinstance(layer, nn.Linear) or x.nbytes > _LARGEST_BYTES:
            return False
        settings = (torch.get_num_threads(), torch.get_float32_matmul_precision())
        key = (self._kind, layer.weight.stride(), x.dtype, tuple(x.shape), x.stride(), *settings)
        if key not in self._outcomes:
            self._outcomes[key] = None
            return False
        found = self._outcomes[key]
        if found is None:
            found = self._outcomes[key] = sums_alike(layer, x)
        return found


def sums_alike(layer: nn.Conv2d | nn.ConvTranspose2d, like: Tensor) -> bool:
    """Whether `layer` gives a picture the same bits alone and in a batch such as `like` (B, C, H, W).

    Tried with random weights of which one half cancels the other, so that results are nothing but what
    rounding left over: another order of the sum shows in nearly every value. Between numbers of bfloat16 it
    would otherwise show in one value of some ten thousand; many times as many are compared where there are
    too few channels to cancel each other.
    """
    if layer.groups != 1:
        return False
    noise = torch.Generator().manual_seed(0)
    values = {name: torch.zeros_like(value) for name, value in layer.named_parameters()}
    weight = values["weight"].transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else values["weight"]
    one, batch = torch.empty_like(like[:1]), torch.empty_like(like)
    enough = _ENOUGH_VALUES if layer.in_channels >= _CHANNELS_TO_CANCEL else _ENOUGH_UNCANCELLED
    compared = 0
    with torch.no_grad():
        for _ in range(_MOST_PICTURES):
            rows = _rows(tuple(weight.shape[1:]), noise).to(weight.dtype)
            for part in torch.split(weight, len(rows)):
                part.copy_(rows[: len(part)])
            one.copy_(_noise((1, *like.shape[2:]), noise))
            alone: Tensor = functional_call(layer, values, (one,))
            # The same at all places of the batch, so that one result is that of each place.
            together: Tensor = functional_call(layer, values, (batch.copy_(one),))
            if not bool((together == alone).all()):
                return False
            compared += alone.numel()
            if compared >= enough:
                return True
    return False


def _rows(shape: tuple[int, ...], noise: torch.Generator) -> Tensor:
    """Weights (`_DIFFERENT_ROWS`, C, k, k) for `shape` (C, k, k), each of whose sums over C is 0."""
    channels, *kernel = shape
    if channels < _CHANNELS_TO_CANCEL:
        return _noise((_DIFFERENT_ROWS, *shape), noise)
    half = _noise((_DIFFERENT_ROWS, channels // 2, *kernel), noise)
    odd = torch.zeros(_DIFFERENT_ROWS, channels % 2, *kernel)
    ordered = torch.cat([half, -half, odd], dim=1)
    return torch.stack([row[torch.randperm(channels, generator=noise)] for row in ordered])


def _noise(shape: tuple[int, ...], noise: torch.Generator) -> Tensor:
    """float32 of either sign and of magnitudes from 1/64 to 64, so that few sums are exact."""
    return torch.randn(shape, generator=noise) * torch.exp2(torch.rand(shape, generator=noise) * 12 - 6)
