"""How long a run will take here: a few real steps on a throw-away copy, timed."""

from __future__ import annotations

import copy
import time

import torch

from p2pcli.recipe import Recipe
from p2pcli.tasks import Batch
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.schedule import set_learning_rate
from p2pcli.training.state import TrainState, make_optimizers, new_state
from p2pcli.training.step import training_step

_WARM_UP_STEPS = 1
_TIMED_STEPS = 2


def seconds_per_step(run: TrainState) -> float:
    """Seconds that one step of `run` takes on its device. The run itself is as it was afterwards.

    Needs the memory of a second copy of networks and optimizers for as long as it takes.
    """
    before = random_state(run.precision.device)
    try:
        task = copy.deepcopy(run.task)
        optimizers = make_optimizers(task, run.recipe)
        # A rate that spoils the weights must not stop the estimate: the run itself says so, with its step.
        set_learning_rate(optimizers, 0.0)
        batch = _random_batch(run)
        for step in range(_WARM_UP_STEPS + _TIMED_STEPS):
            if step == _WARM_UP_STEPS:
                _wait(run.precision.device)
                start = time.perf_counter()
            training_step(task, batch, optimizers, run.precision)
        _wait(run.precision.device)
        return (time.perf_counter() - start) / _TIMED_STEPS
    finally:
        restore_random_state(before, run.precision.device)


def recipe_seconds_per_step(recipe: Recipe, device: torch.device) -> float:
    """The same for a recipe that is not being run."""
    before = random_state(device)
    try:
        return seconds_per_step(new_state(recipe, device))
    finally:
        restore_random_state(before, device)


def duration_text(seconds: float) -> str:
    """Seconds as people say them: "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _random_batch(run: TrainState) -> Batch:
    data, precision = run.recipe.data, run.precision
    size = (run.recipe.train.batch_size, data.size, data.size)

    def noise(channels: int) -> torch.Tensor:
        shape = (size[0], channels, *size[1:])
        return (
            torch.rand(shape, device=precision.device)
            .mul_(2)
            .sub_(1)
            .contiguous(memory_format=precision.memory_format)
        )

    return Batch(noise(data.input_channels), noise(data.target_channels))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
