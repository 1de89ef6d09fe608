"""Which number format a run computes in, and what follows: autocast, loss scaling, memory layout."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from p2pcli.errors import UsageError
from p2pcli.inference.precision import PrecisionName, has_bfloat16
from p2pcli.training.loss_watch import LossWatch

_Network = TypeVar("_Network", bound=nn.Module)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """What "auto" means where `device` trains: bfloat16 where it has that, else float16 or float32.

    float16 (with loss scaling) on CUDA from compute capability 7.0, where it is also faster.
    """
    if has_bfloat16(device):
        return torch.bfloat16
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0):
        # GTX 16xx (7.5 without tensor cores) turns float16 into black pictures and NaN.
        return torch.float32 if "GTX 16" in torch.cuda.get_device_name(device) else torch.float16
    return torch.float32


class Precision:
    """Number format and memory layout of one run on one device.

    Weights, optimizer state and losses stay float32; inside `autocast` the heavy layers compute in `dtype`.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        name: PrecisionName = "auto",
        channels_last: bool = True,
    ) -> None:
        """Raises `UsageError` where `device` cannot train in the format asked for."""
        self.device = torch.device(device)
        self.dtype = fastest_dtype(self.device) if name == "auto" else getattr(torch, name)
        if self.dtype == torch.float16 and self.device.type != "cuda":
            raise UsageError(
                f"float16 training was asked for on {self.device.type}; it needs loss scaling, which "
                "works on CUDA only. Set train.precision to auto, bfloat16 or float32."
            )
        self.channels_last = channels_last
        self.watch = LossWatch()
        """Losses that were not finite, where `defers_checks`."""
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    @property
    def name(self) -> str:
        """ "float32", "bfloat16" or "float16"."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def defers_checks(self) -> bool:
        """True where asking for a number at every update would let the device wait for the host."""
        return self.device.type == "cuda"

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and of convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, network: _Network) -> _Network:
        """`network` on the device, its weights in the memory layout; do this before making an optimizer."""
        return network.to(self.device).to(memory_format=self.memory_format)

    def place_fixed(self, network: _Network) -> _Network:
        """`network`, which never learns, on the device, its convolutions in the format of autocast.

        The results are the same: autocast would cast the weights anew in every pass.
        """
        placed = self.place(network).eval()
        for module in placed.modules():
            if isinstance(module, nn.Conv2d):
                module.to(self.dtype)
        return placed

    def image(self, tensor: Tensor) -> Tensor:
        """`tensor` (B, C, H, W) on the device, in the memory layout."""
        return tensor.to(self.device, non_blocking=True, memory_format=self.memory_format)

    def autocast(self) -> AbstractContextManager[Any]:
        """A context in which a forward pass computes in `dtype`. One for each state of the weights."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to those that are there, scaled with float16."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        networks: Mapping[str, nn.Module],
        clip_norm: float | None = None,
        skip: Tensor | None = None,
    ) -> None:
        """Update `networks` with the gradients that are there; with float16 skip one that overflowed.

        `clip_norm`: all gradients together are first scaled down to this norm where theirs is larger. `skip`,
        a number on the device, lets everything as it is where it is 1: an optimizer of the fused kind looks
        at it there. (float16's own check of the gradients finds such losses, too.)
        """
        if clip_norm is not None:
            self.scaler.unscale_(optimizer)
            parameters = [p for network in networks.values() for p in network.parameters()]
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        if skip is not None and not self.scaler.is_enabled():
            # As torch's GradScaler tells fused kernels; without a scale to undo.
            optimizer.found_inf = skip  # type: ignore[attr-defined]
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The loss scaler's state; empty without one."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
