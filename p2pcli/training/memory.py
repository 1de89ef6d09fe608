"""What a run will need of its device's memory, measured on one sample, against what is there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from p2pcli.free_memory import Room, main_memory
from p2pcli.inference.device import is_out_of_memory
from p2pcli.nets.growth import grow
from p2pcli.recipe import Recipe
from p2pcli.tasks import Batch, Task, networks_of
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.estimate import random_batch
from p2pcli.training.freezing import freeze
from p2pcli.training.state import TrainState

_FLOAT_BYTES = 4
_ADAM_MOMENTS = 2
_LAST_FADE = 0.5
"""The level of detail at which growing networks do most: the whole size, and what it fades from."""
_FIXED_SPARE, _SAMPLE_SPARE = 1.3, 2.2
"""Over what can be counted: re-ordered weights, gradients on their way, kernels' scratch space, leftovers of
the allocator. Fitted to the peaks of pix2pix at 128 and 256 px on a CPU, which they meet within a fifth."""


@dataclass(frozen=True)
class Needs:
    """Bytes that a training step takes at its largest moment."""

    fixed: int
    """Weights, averages, gradients and Adam's moments: the same for any batch."""
    sample: int
    """What autograd keeps for each sample until its backward pass."""
    samples: int
    """Samples that are computed at once."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return int(self.fixed * _FIXED_SPARE + self.sample * self.samples * _SAMPLE_SPARE)

    def samples_within(self, limit: int) -> int:
        """How many samples at once fit into `limit` bytes; 0 where not even one does."""
        return max(0, int((limit - self.fixed * _FIXED_SPARE) / (max(1, self.sample) * _SAMPLE_SPARE)))


def measure_needs(run: TrainState, *, processes: int = 1) -> Needs:
    """Run forward passes of one and of two samples through copies of the networks, and count what autograd
    keeps: what both have in common does not grow with the batch (weights in the format of autocast).

    The largest moment of a step holds the generators' pass and the larger one of both sides' losses. The run
    is as it was afterwards.
    """
    before = random_state(run.precision.device)
    try:
        task = copy.deepcopy(run.task)
        if run.recipe.train.freeze_global_epochs:
            # The largest step comes once all of the network learns.
            freeze(task, run.recipe, epoch=run.recipe.train.freeze_global_epochs)
        grow(networks_of(task).values(), _LAST_FADE if run.recipe.train.stages else 0)
        own = _storages([*task.generators.values(), *task.discriminators.values(), *task.fixed.values()])
        one = _step_bytes(task, random_batch(run, samples=1), own, run)
        try:
            two = _step_bytes(task, random_batch(run, samples=2), own, run)
        except (RuntimeError, MemoryError) as error:
            # Two samples at once are more than a step of one needs: count all that one takes as its own.
            if not is_out_of_memory(error):
                raise
            two = 2 * one
    finally:
        restore_random_state(before, run.precision.device)
    train = run.recipe.train
    samples = -(-train.batch_size // (train.accumulate * processes))
    sample = max(0, two - one)
    return Needs(_fixed_bytes(task, run) + one - sample, sample, samples)


def _step_bytes(task: Task[Any], batch: Batch, own: set[int], run: TrainState) -> int:
    with run.precision.autocast():
        made, forward = kept_bytes(lambda: task.forward(batch), own)
        _, judged = kept_bytes(lambda: task.discriminator_losses(batch, made), own)
        _, taught = kept_bytes(lambda: task.generator_losses(batch, made), own)
    return forward + max(judged, taught)


def room_on(device: torch.device) -> Room | None:
    """Free and total memory of the device; None where nothing tells (MPS, systems without /proc)."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        # What torch holds in reserve is free for this run.
        return Room(free + torch.cuda.memory_reserved(device), total)
    return main_memory() if device.type == "cpu" else None


def what_fits(recipe: Recipe, needs: Needs, room: Room) -> str:
    """The keys that would bring a run into the room that there is, as a sentence."""
    train, data = recipe.train, recipe.data
    at_once = needs.samples_within(room.free)
    if at_once >= 1 and needs.samples > 1:
        parts = -(-needs.samples * train.accumulate // at_once)
        return (
            f"{at_once} of {needs.samples} samples fit at once: set train.accumulate={parts} (the same "
            f"update in parts) or train.batch_size={max(1, train.batch_size * at_once // needs.samples)}."
        )
    size = data.size
    while size > 32 and not replace(needs, sample=needs.sample * size**2 // data.size**2).samples_within(
        room.free
    ):
        size //= 2
    if needs.fixed * _FIXED_SPARE < room.free and size < data.size:
        return f"One sample fits at data.size={size}."
    return "The networks alone are too large: set generator.channels and discriminator.channels to half."


def bytes_text(count: float) -> str:
    """Bytes as "640 MB" or "3.2 GB" (powers of 1000)."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def kept_bytes(call: Callable[[], Any], own: set[int]) -> tuple[Any, int]:
    """What `call` gives, and the bytes that autograd keeps for it, weights left out, views counted once."""
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = call()
    return result, sum(sizes.values())


def _storages(networks: Iterable[nn.Module]) -> set[int]:
    return {p.untyped_storage().data_ptr() for network in networks for p in network.state_dict().values()}


def _fixed_bytes(task: Task[Any], run: TrainState) -> int:
    """What the networks of `task` take, as `run` trains them."""
    networks = [*task.generators.values(), *task.discriminators.values(), *task.fixed.values()]
    networks += [] if run.average is None else [run.average]
    weights = sum(t.nbytes for network in networks for t in network.state_dict().values())
    # Without an adversarial term D gets no gradient, and so no moments either.
    learned = [*task.generators.values(), *(task.discriminators.values() if run.recipe.losses.gan else ())]
    trained: int = sum(p.numel() for network in learned for p in network.parameters() if p.requires_grad)
    return int(weights) + trained * _FLOAT_BYTES * (1 + _ADAM_MOMENTS)
