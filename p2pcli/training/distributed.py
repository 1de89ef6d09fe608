"""Several processes that train one run, as torchrun starts them: each computes its part of every batch.

Gradients are summed by hand, once per update, and not through torch's wrapper: a step has two networks that
take turns and several forward passes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.nets.blocks import BatchNorm2d
from p2pcli.nets.sharing import SharedStatistics
from p2pcli.randomness import rng_for

_PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which validates and writes alone."""

_KEEPERS_OF_THE_GROUP = ("torch.distributed.nn.functional", "torch.distributed.optim")
"""Modules of torch whose functions have the group of all processes as a default value: the one that is there
when they are imported, which torch's optimizers and its compiler do."""

_CPU = torch.device("cpu")

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among the `count` that train one run. The first one (rank 0) alone writes and speaks."""

    rank: int = 0
    count: int = 1
    device: torch.device = _CPU

    @property
    def is_first(self) -> bool:
        """True for the process that writes."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        """True where there is somebody to agree with."""
        return self.count > 1

    def part_of(self, batch: Sequence[Item]) -> tuple[Item, ...]:
        """This process's items: one of `count` nearly equal stretches, as `Batch.parts` cuts them.

        Where the batch has too few, the last item, which then weighs nothing (`weight_of`).
        """
        size = -(-len(batch) // self.count)
        return tuple(batch[self.rank * size : (self.rank + 1) * size]) or tuple(batch[-1:])

    def weight_of(self, length: int) -> float:
        """The share that this process's part has in a batch of `length` items; 0 for a stand-in."""
        size = -(-length // self.count)
        return max(0, min(size, length - self.rank * size)) / length

    def seed_step(self, seed: int, step: int) -> None:
        """Give each process noise of its own (dropout) that depends on run, rank and step alone.

        One process alone keeps its stream, which its checkpoints hold.
        """
        if self.are_several:
            torch.manual_seed(int(rng_for(seed, "process", self.rank, step).integers(2**62)))

    def share_statistics(self, networks: Mapping[str, nn.Module]) -> SharedStatistics:
        """Let batch norms take the statistics of the whole batch; the switch that says who counts."""
        shared = SharedStatistics(self._added_up)
        modules = [module for network in networks.values() for module in network.modules()]
        for module in modules if self.are_several else []:
            if isinstance(module, BatchNorm2d):
                module.shared = shared
        return shared

    def sum_gradients(self, networks: Mapping[str, nn.Module]) -> None:
        """Add up the gradients of all processes, each of which has weighted its own."""
        if not self.are_several:
            return
        parameters = [p for network in networks.values() for p in network.parameters()]
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        self._reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def sum_losses(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add up the weighted losses of all processes."""
        if not self.are_several or not losses:
            return dict(losses)
        values = torch.stack([loss.float() for loss in losses.values()])
        self._reduce(values)
        return dict(zip(losses, values.unbind(), strict=True))

    def any(self, flag: bool) -> bool:
        """True in every process where it is in one: all leave the loop at the same step."""
        if not self.are_several:
            return flag
        votes = torch.tensor([float(flag)], device=self.device)
        self._reduce(votes)
        return bool(votes.item() > 0)

    def from_first(self, value: Value) -> Value:
        """The first process's value."""
        if not self.are_several:
            return value
        box: list[Any] = [value]
        with _peers():
            dist.broadcast_object_list(box, src=0)
        first: Value = box[0]
        return first

    def gather(self, values: Sequence[Item]) -> list[Item]:
        """The values of all processes."""
        if not self.are_several:
            return list(values)
        boxes: list[Any] = [None] * self.count
        with _peers():
            dist.all_gather_object(boxes, list(values))
        return [value for box in boxes for value in box]

    def start_alike(self, networks: Mapping[str, nn.Module]) -> None:
        """Give all networks the weights and statistics that they have in the first process."""
        if not self.are_several:
            return
        for network in networks.values():
            for tensor in network.state_dict().values():
                same = tensor.detach().contiguous()
                with _peers():
                    dist.broadcast(same, src=0)
                tensor.copy_(same)

    def _added_up(self, tensor: Tensor) -> Tensor:
        self._reduce(tensor)
        return tensor

    def _reduce(self, tensor: Tensor) -> None:
        with _peers():
            dist.all_reduce(tensor)


ALONE = Processes()


def is_launched() -> bool:
    """True inside a process that torchrun started beside others."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_follower() -> bool:
    """True where another process writes and speaks."""
    return is_launched() and int(os.environ["RANK"]) > 0


def is_restarted() -> bool:
    """True where torchrun starts the processes again, after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def own_device(device: torch.device) -> torch.device:
    """The device of this process: on CUDA one each. Raises `UsageError` where there are fewer."""
    if not is_launched() or device.type != "cuda":
        return device
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= there:
        raise UsageError(
            f"this is process {local + 1} of this machine, which has {there} CUDA devices. Start at most "
            f"--nproc-per-node={there}."
        )
    return torch.device("cuda", local)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """This process among those of torchrun, joined while the context lasts; `ALONE` without torchrun.

    Over nccl on CUDA, over gloo else. Raises `EnvironmentFaultError` where the others cannot be reached.
    """
    if not is_launched():
        yield Processes(device=device)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    # Imported while there is no group, lest they keep it: its threads would then outlive its end, and one
    # that still runs while the interpreter is taken down ends the finished process with SIGABRT.
    for name in _KEEPERS_OF_THE_GROUP:
        importlib.import_module(name)
    with _peers():
        store, rank, count = next(rendezvous("env://", timeout=_PATIENCE))
        # torchrun's store outlives a restart; without a room of their own the new processes would find, and
        # call, the addresses of the dead.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        room = dist.PrefixStore(  # type: ignore[attr-defined]
            f"start-{attempt}", store
        )
        dist.init_process_group(backend, store=room, rank=rank, world_size=count, timeout=_PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def require_shareable(batch_size: int, processes: Processes) -> None:
    """Raise `UsageError` where a batch has fewer items than there are processes."""
    if batch_size < processes.count:
        raise UsageError(
            f"train.batch_size={batch_size} is all processes' batch together, and there are "
            f"{processes.count}. Set train.batch_size={processes.count} or more, or start fewer."
        )


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EnvironmentFaultError(
            f"another process of this run ended or cannot be reached ({str(error).splitlines()[0][:120]}). "
            f"Its own message says why; torchrun --max-restarts=3 goes on from the last checkpoint by itself."
        ) from error
