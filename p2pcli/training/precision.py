"""Which number format a run computes in, and what follows: autocast, loss scaling, memory layout."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from p2pcli.errors import UsageError

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
_Network = TypeVar("_Network", bound=nn.Module)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """What "auto" means on `device`: bfloat16 where the processor computes in it, else float16 or float32.

    CPU: bfloat16 with AMX or AVX512-BF16. CUDA: bfloat16 from compute capability 8.0, float16 (with loss
    scaling) from 7.0, where it is also faster. Everything else: float32.
    """
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        # GTX 16xx (7.5 without tensor cores) turns float16 into black pictures and NaN.
        is_gtx16 = "GTX 16" in torch.cuda.get_device_name(device)
        if capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (7, 0) and not is_gtx16 else torch.float32
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
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    @property
    def name(self) -> str:
        """ "float32", "bfloat16" or "float16"."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and of convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, network: _Network) -> _Network:
        """`network` on the device, its weights in the memory layout; do this before making an optimizer."""
        return network.to(self.device).to(memory_format=self.memory_format)

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
    ) -> None:
        """Update `networks` with the gradients that are there; with float16 skip one that overflowed.

        `clip_norm`: all gradients together are first scaled down to this norm where theirs is larger.
        """
        if clip_norm is not None:
            self.scaler.unscale_(optimizer)
            parameters = [p for network in networks.values() for p in network.parameters()]
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The loss scaler's state; empty without one."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)


def _cpu_has_bfloat16() -> bool:
    # torch has these two questions under private names only, in every version from 2.6 on.
    asked = [
        getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    ]
    return any(question is not None and question() for question in asked)
