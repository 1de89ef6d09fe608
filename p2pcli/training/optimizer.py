"""The optimizer of the published step: Adam, in one pass over the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

BLOCK_NUMBERS = 1 << 20
"""How many numbers of a weight are updated at a time: a block, its moments and gradient stay in the cache."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
_KERNEL = ("fused", "foreach")
"""Settings of torch's Adam that belong to the device."""


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


def restore_adam(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Go on from the `state` of an Adam on any device: moments and rates are its, the kernel our own."""
    own = {key: optimizer.param_groups[0][key] for key in _KERNEL}
    groups = [{**group, **own} for group in state["param_groups"]]
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})


class FlatAdam(torch.optim.Adam):
    """torch's Adam on a CPU, given every tensor as the line of numbers that it is in memory, block by block.

    The fused kernel copies whatever is not contiguous, so channels-last weights would cost two more passes,
    and it mixes the numbers up, silently, where a gradient lies otherwise than its weight. The default one
    goes through memory once for each of its ten operations, unless the numbers are few. The state that is
    stored is that of torch's Adam over the whole weights.
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
        self.moments: dict[int, dict[str, Tensor]] = {}
        """Index of a weight that has learned → the two moments, whole; the blocks' own are views of them."""
        every = [block for blocks in self.blocks for block in blocks]
        super().__init__(every, lr=learning_rate, betas=betas, fused=fused, foreach=False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the weights from their gradients; a weight without one stays as it is."""
        for index, (shaped, blocks) in enumerate(zip(self.shaped, self.blocks, strict=True)):
            if shaped.grad is None:
                continue
            if index not in self.moments:
                self._begin(index, steps=torch.tensor(0.0))
            for block, gradient in zip(blocks, _blocks(shaped.grad, like=shaped), strict=True):
                block.grad = gradient
        result = super().step(closure)
        for blocks in self.blocks:
            for block in blocks:
                block.grad = None
        return result

    def _begin(self, index: int, *, steps: Tensor) -> None:
        """Moments of zero for the weight at `index`, after `steps` updates."""
        shaped = self.shaped[index]
        whole = {name: torch.zeros_like(shaped, requires_grad=False) for name in _MOMENTS}
        parts = [_blocks(whole[name], like=shaped) for name in _MOMENTS]
        for block, *views in zip(self.blocks[index], *parts, strict=True):
            self.state[block] = {"step": steps.clone(), **dict(zip(_MOMENTS, views, strict=True))}
        self.moments[index] = whole

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the weights themselves."""
        for shaped in self.shaped:
            if set_to_none or shaped.grad is None:
                shaped.grad = None
            else:
                shaped.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """The state of torch's Adam over the whole weights; its tensors are the optimizer's own."""
        [group] = self.param_groups
        state = {
            index: {"step": self.state[self.blocks[index][0]]["step"], **whole}
            for index, whole in self.moments.items()
        }
        shared = {key: value for key, value in group.items() if key != "params"}
        return {"state": state, "param_groups": [{**shared, "params": list(range(len(self.shaped)))}]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict`, or torch's Adam over the same weights, gave."""
        [group], [stored] = self.param_groups, state_dict["param_groups"]
        if len(stored["params"]) != len(self.shaped):
            raise ValueError(f"the state is that of {len(stored['params'])} weights, not {len(self.shaped)}")
        group.update({key: value for key, value in stored.items() if key not in ("params", *_KERNEL)})
        self.moments.clear()
        self.state.clear()
        for index, values in state_dict["state"].items():
            self._begin(index, steps=torch.as_tensor(values["step"], dtype=torch.float32, device="cpu"))
            for name, whole in self.moments[index].items():
                whole.copy_(values[name])


def _blocks(tensor: Tensor, *, like: Tensor) -> tuple[Tensor, ...]:
    """`tensor` in the memory order of `like`, in blocks: views wherever both lie alike."""
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return torch.split(tensor.reshape(-1), BLOCK_NUMBERS)
