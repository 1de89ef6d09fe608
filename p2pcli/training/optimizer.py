"""The optimizer of the published step: Adam, in one pass over the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

BLOCK_NUMBERS = 1 << 20
"""How many numbers of a weight are updated at a time: a block, its moments and gradient stay in the cache."""


def make_adam(
    network: nn.Module,
    *,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    dtype: torch.dtype = torch.float32,
) -> torch.optim.Adam:
    """Adam over the parameters of `network`, which must already be where it trains (`Precision.place`).

    `dtype` is what the step computes in. In float32 on a CPU the update is torch's default one, bit for bit:
    weights whose gradient is rounding noise move by the whole learning rate all the same, so another order of
    operations ends elsewhere than the published code. In a reduced format, which rounds far more coarsely,
    torch's fused kernel is three times as fast.
    """
    parameters = list(network.parameters())
    if all(p.device.type == "cpu" for p in parameters):
        is_fused = dtype != torch.float32
        return FlatAdam(parameters, learning_rate=learning_rate, betas=betas, fused=is_fused)
    fused = all(p.device.type == "cuda" for p in parameters)
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=fused)


class FlatAdam(torch.optim.Adam):
    """torch's Adam on a CPU, given every tensor as the line of numbers that it is in memory, block by block.

    The fused kernel copies whatever is not contiguous, so channels-last weights would cost two more passes,
    and it mixes the numbers up, silently, where a gradient lies otherwise than its weight. The default one
    goes through memory once for each of its ten operations, unless the numbers are few. State is flat too.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        *,
        learning_rate: float,
        betas: tuple[float, float],
        fused: bool,
    ) -> None:
        self.shaped = parameters
        self.blocks = [[nn.Parameter(block) for block in _blocks(p.detach(), like=p)] for p in parameters]
        self.is_fused = fused
        every = [block for blocks in self.blocks for block in blocks]
        super().__init__(every, lr=learning_rate, betas=betas, fused=fused, foreach=False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the weights from their gradients; a weight without one stays as it is."""
        for shaped, blocks in zip(self.shaped, self.blocks, strict=True):
            if shaped.grad is not None:
                for block, gradient in zip(blocks, _blocks(shaped.grad, like=shaped), strict=True):
                    block.grad = gradient
        result = super().step(closure)
        for blocks in self.blocks:
            for block in blocks:
                block.grad = None
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the weights themselves."""
        for shaped in self.shaped:
            if set_to_none or shaped.grad is None:
                shaped.grad = None
            else:
                shaped.grad.zero_()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, in this optimizer's own form, fused or not."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["fused"] = self.is_fused


def _blocks(tensor: Tensor, *, like: Tensor) -> tuple[Tensor, ...]:
    """`tensor` in the memory order of `like`, in blocks: views wherever both lie alike."""
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return torch.split(tensor.reshape(-1), BLOCK_NUMBERS)
