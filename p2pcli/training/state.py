"""Everything that changes while a run trains, and its way into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from p2pcli.errors import UsageError
from p2pcli.metrics import FORMULAS
from p2pcli.recipe import Recipe
from p2pcli.tasks import Task, build_task, networks_of
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.ema import averaged_copy
from p2pcli.training.freezing import freeze
from p2pcli.training.optimizer import make_adam, restore_adam
from p2pcli.training.precision import Precision
from p2pcli.training.sampler import Position
from p2pcli.training.schedule import Plateau
from p2pcli.training.step import Optimizers
from p2pcli.untrusted import Kinds

STATE_PARTS: Kinds = {
    "step": int,
    "epoch": int,
    "index": int,
    "networks": dict,
    "task": dict,
    "generator_optimizer": dict,
    "discriminator_optimizer": dict,
    "average": (dict, type(None)),
    "scaler": dict,
    "random": dict,
    "measured": (dict, type(None)),
    "best": (dict, type(None)),
}
"""What `TrainState.capture` puts into every state, and of what kind."""


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
    """Networks, optimizers and counters of a run. `average` trails the generators; None without EMA."""

    recipe: Recipe
    task: Task[Any]
    optimizers: Optimizers
    precision: Precision
    average: nn.ModuleDict | None
    step: int = 0
    position: Position = field(default_factory=Position)
    plateau: Plateau = field(default_factory=Plateau)
    made_by: MadeBy = field(default_factory=MadeBy)
    measured: Measured | None = None
    best: Measured | None = None
    has_older_figures: bool = False
    """True where `measured` and `best` come from a version with other formulas: see `remeasure`."""
    size: int = 0
    """Side in px of the squares of the newest step; 0 before the first: then that of the recipe."""
    best_weights: dict[str, Tensor] | None = field(default=None, repr=False)
    """The model file's content at `best`, on the CPU, until the next checkpoint has written it."""

    @property
    def generators(self) -> nn.ModuleDict:
        """The generators that are validated and saved: the averages where there are any."""
        return nn.ModuleDict(self.task.generators) if self.average is None else self.average

    def begin_step(self) -> None:
        """Thaw pix2pixHD's global generator once its epochs are over: all weights learn, with a new Adam."""
        epochs = self.recipe.train.freeze_global_epochs
        if epochs and self.position == Position(epochs, 0):
            freeze(self.task, self.recipe, epoch=epochs)
            fresh = make_optimizers(self.task, self.recipe, self.precision)
            self.optimizers = Optimizers(fresh.generator, self.optimizers.discriminator)

    def capture(self) -> dict[str, Any]:
        """All of it as tensors, numbers and strings."""
        return {
            "step": self.step,
            "epoch": self.position.epoch,
            "index": self.position.index,
            "networks": {name: network.state_dict() for name, network in networks_of(self.task).items()},
            "task": self.task.state_dict(),
            "generator_optimizer": self.optimizers.generator.state_dict(),
            "discriminator_optimizer": self.optimizers.discriminator.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "plateau": asdict(self.plateau),
            "scaler": self.precision.state_dict(),
            "random": random_state(self.precision.device),
            "formulas": FORMULAS,
            "measured": _as_plain(self.measured),
            "best": _as_plain(self.best),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put everything back that `capture` gave. Raises `UsageError` where a part is another run's."""
        try:
            self._restore(state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            first = " ".join(str(error).split())[:160]
            raise UsageError(
                f"the training state does not fit the run ({type(error).__name__}: {first}). Expected the "
                f"one that this run wrote; train anew with --overwrite."
            ) from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step = state["step"]
        self.position = Position(state["epoch"], state["index"])
        for name, network in networks_of(self.task).items():
            network.load_state_dict(state["networks"][name])
        self.task.load_state_dict(state["task"])
        restore_adam(self.optimizers.generator, state["generator_optimizer"])
        restore_adam(self.optimizers.discriminator, state["discriminator_optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        # States that name no formulas come from before SSIM was that of values from 0 upwards.
        self.has_older_figures = state.get("formulas", 1) != FORMULAS
        self.plateau = Plateau(**state.get("plateau", {}))
        if self.has_older_figures and self.recipe.train.best_metric == "ssim":
            # In every process alike; only one of them measures.
            self.plateau = Plateau(factor=self.plateau.factor)
        freeze(self.task, self.recipe, epoch=self.position.epoch)
        self.precision.load_state_dict(state["scaler"])
        restore_random_state(state["random"], self.precision.device)
        self.measured = _from_plain(state["measured"])
        self.best = _from_plain(state["best"])


def new_state(recipe: Recipe, device: torch.device) -> TrainState:
    """A run before its first step. Seeds torch's own generators, from which dropout and styles draw."""
    train = recipe.train
    precision = Precision(device, name=train.precision, channels_last=train.channels_last)
    task = build_task(recipe)
    for network in networks_of(task).values():
        precision.place(network).train()
    for network in task.fixed.values():
        precision.place_fixed(network)
    freeze(task, recipe, epoch=0)
    optimizers = make_optimizers(task, recipe, precision)
    average = averaged_copy(nn.ModuleDict(task.generators)) if train.ema is not None else None
    torch.manual_seed(train.seed)
    return TrainState(recipe, task, optimizers, precision, average)


def make_optimizers(task: Task[Any], recipe: Recipe, precision: Precision) -> Optimizers:
    """Adam for all generators together and for all discriminators together, as the recipe sets it."""
    train = recipe.train
    adam = partial(make_adam, betas=(train.beta1, train.beta2), dtype=precision.dtype)
    rate = train.learning_rate
    return Optimizers(
        adam(nn.ModuleDict(task.generators), learning_rate=rate),
        adam(nn.ModuleDict(task.discriminators), learning_rate=train.discriminator_learning_rate or rate),
    )


def _as_plain(measured: Measured | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {"step": measured.step, "epoch": measured.epoch, "metrics": dict(measured.metrics)}


def _from_plain(values: Mapping[str, Any] | None) -> Measured | None:
    return None if values is None else Measured(values["step"], values["epoch"], values["metrics"])
