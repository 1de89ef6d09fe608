"""How long a run will take here: a few real steps on a throw-away copy, timed."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

import torch

from p2pcli.nets.growth import grow
from p2pcli.recipe import FeatureEncoder, Recipe
from p2pcli.tasks import Batch, networks_of
from p2pcli.training.augment import at_size
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.schedule import set_learning_rates
from p2pcli.training.stages import Stage
from p2pcli.training.state import TrainState, make_optimizers, new_state
from p2pcli.training.step import StepLimits, training_step

_WARM_UP_STEPS = 1
_TIMED_STEPS = 2


def seconds_left(run: TrainState, stages: Sequence[Stage]) -> float:
    """Seconds that the rest of `run` takes on its device, each stage timed at its own size."""
    left = ((stage, stage.end - max(run.step, stage.first)) for stage in stages)
    return sum(steps * seconds_per_step(run, halvings=stage.halvings) for stage, steps in left if steps > 0)


def seconds_per_step(run: TrainState, *, halvings: int = 0) -> float:
    """Seconds that one step of `run` takes on its device. The run itself is as it was afterwards.

    `halvings`: how often the size of the squares is halved. Needs the memory of a second copy of networks and
    optimizers for as long as it takes.
    """
    before = random_state(run.precision.device)
    try:
        task = copy.deepcopy(run.task)
        optimizers = make_optimizers(task, run.recipe, run.precision)
        # A rate that spoils the weights must not stop the estimate: the run itself says so, with its step.
        set_learning_rates(optimizers, run.recipe.train, factor=0.0)
        grow(networks_of(task).values(), halvings)
        batch = random_batch(run, samples=run.recipe.train.batch_size, halvings=halvings)
        limits = StepLimits(accumulate=run.recipe.train.accumulate, clip_norm=run.recipe.train.clip_norm)
        for step in range(_WARM_UP_STEPS + _TIMED_STEPS):
            if step == _WARM_UP_STEPS:
                _wait(run.precision.device)
                start = time.perf_counter()
            training_step(task, batch, optimizers, run.precision, limits=limits)
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


def random_batch(run: TrainState, *, samples: int, halvings: int = 0) -> Batch:
    """Noise of the shapes that the run trains on; where instances are needed, a sample is one of them."""
    data, precision = at_size(run.recipe.data, run.recipe.data.size >> halvings), run.precision

    def noise(channels: int, side: int) -> torch.Tensor:
        shape = (samples, channels, side, side)
        return (
            torch.rand(shape, device=precision.device)
            .mul_(2)
            .sub_(1)
            .contiguous(memory_format=precision.memory_format)
        )

    instances = None
    if isinstance(run.recipe.encoder, FeatureEncoder):
        ids = torch.arange(samples, device=precision.device)
        instances = ids.view(-1, 1, 1, 1).expand(-1, 1, data.size, data.size).contiguous()
    return Batch(noise(data.input_planes, data.input_size), noise(data.target_planes, data.size), instances)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
