"""Everything that changes while a run trains, and its way into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from p2pcli.recipe import Recipe
from p2pcli.tasks import PairedTask, build_task
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.ema import averaged_copy
from p2pcli.training.optimizer import make_adam
from p2pcli.training.precision import Precision
from p2pcli.training.sampler import Position
from p2pcli.training.step import Optimizers


@dataclass(frozen=True)
class Measured:
    """One validation: where it was and what came out."""

    step: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class MadeBy:
    """The pair maker behind a run's inputs, and its options; without a name there is none."""

    maker: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass
class TrainState:
    """Networks, optimizers and counters of a run. `average` is the EMA generator, None without EMA."""

    recipe: Recipe
    task: PairedTask
    optimizers: Optimizers
    precision: Precision
    average: nn.Module | None
    step: int = 0
    position: Position = field(default_factory=Position)
    made_by: MadeBy = field(default_factory=MadeBy)
    measured: Measured | None = None
    best: Measured | None = None
    best_weights: dict[str, Tensor] | None = field(default=None, repr=False)
    """The generator at `best`, on the CPU, until the next checkpoint has written it."""

    @property
    def generator(self) -> nn.Module:
        """The generator that is validated and saved: the average where there is one."""
        return self.task.generator if self.average is None else self.average

    def capture(self) -> dict[str, Any]:
        """All of it as tensors, numbers and strings."""
        return {
            "step": self.step,
            "epoch": self.position.epoch,
            "index": self.position.index,
            "generator": self.task.generator.state_dict(),
            "discriminator": self.task.discriminator.state_dict(),
            "generator_optimizer": self.optimizers.generator.state_dict(),
            "discriminator_optimizer": self.optimizers.discriminator.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": self.precision.state_dict(),
            "random": random_state(self.precision.device),
            "measured": _as_plain(self.measured),
            "best": _as_plain(self.best),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put everything back that `capture` gave."""
        self.step = state["step"]
        self.position = Position(state["epoch"], state["index"])
        self.task.generator.load_state_dict(state["generator"])
        self.task.discriminator.load_state_dict(state["discriminator"])
        self.optimizers.generator.load_state_dict(state["generator_optimizer"])
        self.optimizers.discriminator.load_state_dict(state["discriminator_optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.precision.load_state_dict(state["scaler"])
        restore_random_state(state["random"], self.precision.device)
        self.measured = _from_plain(state["measured"])
        self.best = _from_plain(state["best"])


def new_state(recipe: Recipe, device: torch.device) -> TrainState:
    """A run before its first step. Seeds torch's own generators, from which dropout draws."""
    train = recipe.train
    precision = Precision(device, name=train.precision, channels_last=train.channels_last)
    task = build_task(recipe)
    precision.place(task.generator)
    precision.place(task.discriminator)
    task.generator.train()
    task.discriminator.train()
    optimizers = make_optimizers(task, recipe)
    average = averaged_copy(task.generator) if train.ema is not None else None
    torch.manual_seed(train.seed)
    return TrainState(recipe, task, optimizers, precision, average)


def make_optimizers(task: PairedTask, recipe: Recipe) -> Optimizers:
    """Adam for each network, as the recipe sets it."""
    train = recipe.train
    betas = (train.beta1, train.beta2)
    return Optimizers(
        make_adam(task.generator, learning_rate=train.learning_rate, betas=betas),
        make_adam(task.discriminator, learning_rate=train.learning_rate, betas=betas),
    )


def _as_plain(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {"step": measured.step, "epoch": measured.epoch, "metrics": dict(measured.metrics)}


def _from_plain(values: Mapping[str, Any] | None) -> Measured | None:
    return None if values is None else Measured(values["step"], values["epoch"], values["metrics"])
