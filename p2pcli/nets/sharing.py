"""Statistics of a batch that several processes share. torch's own synchronised norm is for CUDA alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class SharedStatistics:
    """Normalises by mean and variance over the parts of all processes, with gradients across them.

    `add_up` adds a tensor up over all processes, in place, and gives it back; all of them call it as often.
    """

    add_up: Callable[[Tensor], Tensor]
    counts: bool = True
    """False while this process's part only stands in, so that it does not count."""

    def normalize(self, x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """`x` (B, C, H, W) as `norm` would have it in one process; its running statistics move as well."""
        values = x.float()
        own = values.numel() / values.shape[1] if self.counts else 0.0
        own_variance, own_mean = torch.var_mean(values, (0, 2, 3), correction=0)
        sums = self._over_all(torch.cat([own_mean * own, own_mean.new_full((1,), own)]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        # About the common mean: a difference of two large sums would lose digits.
        variance = self._over_all((own_variance + (own_mean - mean).square()) * own) / count
        _follow(norm, mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = (variance + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
        return (values * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @classmethod
    def keep_out_of_graphs(cls) -> None:
        """Let torch.compile leave `normalize`, which waits for other processes, to plain torch.

        For runs that compile: as a decorator it would load torch's compiler in every command, which takes a
        second and 140 MB.
        """
        cls.normalize = torch.compiler.disable(cls.normalize)  # type: ignore[method-assign, no-untyped-call]

    def _over_all(self, tensor: Tensor) -> Tensor:
        result: Tensor = _SumOverAll.apply(tensor, self.add_up)
        return result


class _SumOverAll(torch.autograd.Function):
    """The sum over processes. What each makes of it adds to the gradient of every process's share."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, add_up: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.add_up = add_up
        return add_up(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Through itself again, for penalties on gradients.
        return _SumOverAll.apply(gradients[0], ctx.add_up), None


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    norm.running_mean.lerp_(mean, norm.momentum or 0.0)
    norm.running_var.lerp_(variance, norm.momentum or 0.0)
