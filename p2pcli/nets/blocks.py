"""Building blocks that networks share: switchable batch norm and dropout, norms by name, size needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets.sharing import SharedStatistics

Statistics = Literal["running", "sample"]
Norm = Literal["batch", "instance", "instance_affine", "none"]
"""instance_affine: instance norm with scale and shift, as published code had it before July 2017."""


@dataclass(frozen=True)
class SizeNeeds:
    """What a network asks of the height and width it is given; the caller pads and crops."""

    multiple_of: int
    """Height and width must be multiples of this."""
    minimum: int
    """Smallest side in px."""
    is_square: bool = False
    """Height and width must be equal."""
    exact: tuple[int, int] | None = None
    """(height, width), where the network makes pictures of one size alone."""


class Network(nn.Module):
    """What every generator and discriminator is: a module that maps one tensor to one, with size needs."""

    size_needs: SizeNeeds
    draws_biases: bool = False
    """`init_weights` leaves the biases of convolutions as torch draws them, instead of 0."""


def make_norm(name: Norm) -> Callable[[int], nn.Module]:
    """The norm called `name` as a function of the channel count; "none" keeps its place in the key order."""
    return NORMS[name]


def has_bias(norm: Norm) -> bool:
    """Whether convolutions next to `norm` carry a bias: as published, under instance norm only."""
    return norm in ("instance", "instance_affine")


def normalize_per_sample(x: Tensor, *, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise each sample and channel of `x` (B, C, H, W) by its own mean and biased variance.

    On the CPU one sample at a time: faster there than `torch.instance_norm`, which leaves channels-last, and
    bit for bit the same in a batch of any size, also in bfloat16.
    """
    cudnn = torch.backends.cudnn.enabled
    if x.device.type != "cpu":
        return torch.instance_norm(x, weight, bias, None, None, True, 0.0, eps, cudnn)
    each = [_normalize_one(one, weight=weight, bias=bias, eps=eps) for one in x.chunk(x.shape[0])]
    return each[0] if len(each) == 1 else torch.cat(each)


def _normalize_one(x: Tensor, *, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`normalize_per_sample` for a batch of one on the CPU."""
    is_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    if torch.is_grad_enabled() or not is_last or x.dtype != torch.float32:
        return torch.batch_norm(x, weight, bias, None, None, True, 0.0, eps, False)
    # Over channels-last pictures torch's batch norm adds up all pixels one by one: off by 1e-5 at 128 px and
    # by 1e-3 at 1024 px. Its `mean` adds up in a tree.
    mean = x.mean((0, 2, 3))
    variance = (x - mean[:, None, None]).square_().mean((0, 2, 3))
    return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, eps, False)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics outside training can be each sample's own.

    Published pix2pix is tested with batch statistics at batch 1 (1611.07004, section 3.3), which is each
    image's own mean and biased variance with the learned scale and shift. `statistics = "sample"` does that
    for any batch size; "running" is the ordinary evaluation mode. While training it is plain batch norm, or
    with `shared` that of a batch of which this process has a part.
    """

    statistics: Statistics = "running"
    shared: SharedStatistics | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` (B, C, H, W)."""
        if self.training and self.shared is not None:
            shared: Tensor = self.shared.normalize(input, self)
            return shared
        if self.training or self.statistics == "running":
            return super().forward(input)
        return normalize_per_sample(input, weight=self.weight, bias=self.bias, eps=self.eps)


class InstanceNorm2d(nn.Module):
    """Instance norm without parameters or running statistics, in the layout its input has."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W)."""
        return normalize_per_sample(x, weight=None, bias=None, eps=self.eps)

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return f"{self.channels}, eps={self.eps}"


class AffineInstanceNorm2d(nn.Module):
    """Instance norm with a learned scale and shift per channel."""

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (B, C, H, W)."""
        return normalize_per_sample(x, weight=self.weight, bias=self.bias, eps=self.eps)


class Dropout(nn.Dropout):
    """Dropout that can stay active outside training: the noise of pix2pix (1611.07004, section 3.1)."""

    active_in_eval: bool = False

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements of `input` with probability `p` while active."""
        return F.dropout(input, self.p, self.training or self.active_in_eval)


class PReLU(nn.PReLU):
    """`nn.PReLU` of one slope for all channels, whose backward pass on a CPU is a leaky ReLU's: 4 times as
    fast in bfloat16, where torch writes the slope's gradient out for every pixel and adds it up there."""

    def forward(self, input: Tensor) -> Tensor:
        """Rectify `input`."""
        if input.device.type != "cpu" or self.num_parameters != 1 or torch.compiler.is_compiling():
            return super().forward(input)
        result: Tensor = _Rectified.apply(input, self.weight)
        return result


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = float(weight)
        return F.leaky_relu(x, ctx.slope)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.leaky_relu_backward(gradient, x, ctx.slope, False)
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * x.clamp_max(0)).sum(dtype=torch.float32).view(1)
        return of_x, of_weight


def _identity(channels: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": BatchNorm2d,
    "instance": InstanceNorm2d,
    "instance_affine": AffineInstanceNorm2d,
    "none": _identity,
}
