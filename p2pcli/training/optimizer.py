"""The optimizer of the published step: Adam, fused into one pass over the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def make_adam(
    network: nn.Module, *, learning_rate: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999)
) -> torch.optim.Adam:
    """Adam over the parameters of `network`, which must already be where it trains (`Precision.place`)."""
    parameters = list(network.parameters())
    if all(p.device.type == "cpu" for p in parameters):
        return FlatAdam(parameters, learning_rate=learning_rate, betas=betas)
    fused = all(p.device.type == "cuda" for p in parameters)
    return torch.optim.Adam(parameters, lr=learning_rate, betas=betas, fused=fused)


class FlatAdam(torch.optim.Adam):
    """torch's fused Adam on a CPU, given every tensor as the line of numbers that it is in memory.

    The fused kernel copies whatever is not contiguous, so channels-last weights would cost two more passes,
    and it mixes the numbers up, silently, where a gradient lies otherwise than its weight. State is flat too.
    """

    def __init__(
        self, parameters: list[nn.Parameter], *, learning_rate: float, betas: tuple[float, float]
    ) -> None:
        self.shaped = parameters
        self.flat = [nn.Parameter(_as_it_lies(p.detach(), p)) for p in parameters]
        super().__init__(self.flat, lr=learning_rate, betas=betas, fused=True)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the weights from their gradients; a weight without one stays as it is."""
        for shaped, flat in zip(self.shaped, self.flat, strict=True):
            flat.grad = None if shaped.grad is None else _as_it_lies(shaped.grad, shaped)
        result = super().step(closure)
        for flat in self.flat:
            flat.grad = None
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the weights themselves."""
        for shaped in self.shaped:
            if set_to_none or shaped.grad is None:
                shaped.grad = None
            else:
                shaped.grad.zero_()


def _as_it_lies(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` as one line in the memory order of `like`: a view wherever both lie alike."""
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1).reshape(-1)
    return tensor.reshape(-1)
