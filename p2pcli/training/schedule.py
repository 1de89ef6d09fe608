"""How long a run is, and which learning rate each step has."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from p2pcli.recipe import Train
from p2pcli.recipe.train import Decay
from p2pcli.training.sampler import steps_per_epoch
from p2pcli.training.step import Optimizers


def total_steps(train: Train, count: int) -> int:
    """Steps of the whole run on `count` training pairs."""
    if train.steps is not None:
        return train.steps
    return (train.epochs + train.decay_epochs) * steps_per_epoch(count, train.batch_size)


def total_epochs(train: Train, count: int) -> int:
    """Epochs of the whole run; the last one may be cut short by `train.steps`."""
    return -(-total_steps(train, count) // steps_per_epoch(count, train.batch_size))


def learning_rate_factor(train: Train, *, step: int, epoch: int) -> float:
    """The share of `train.learning_rate` that step `step` (from 0) of epoch `epoch` (from 0) trains with.

    `train.decay` names the rule (`DECAYS`), which counts epochs; with `train.steps` it counts steps, the
    first half whole. A plateau's falls are not in it: see `Plateau`.
    """
    if train.steps is not None:
        whole = (train.steps + 1) // 2
        return DECAYS[train.decay](step + 1, whole, train.steps - whole, train)
    return DECAYS[train.decay](epoch + 1, train.epochs, train.decay_epochs, train)


def _linear(now: int, whole: int, decay: int, train: Train) -> float:
    """1 − max(0, e − n) / (d + 1): whole through epoch n, 1/(d + 1) in the last one.

    What the code of pix2pix and CycleGAN does since 2025, and did from 2018 to July 2020.
    """
    return 1.0 - max(0, now - whole) / (decay + 1)


def _linear_early(now: int, whole: int, decay: int, train: Train) -> float:
    """1 − max(0, e + 1 − n) / (d + 1): falls one epoch early and trains the last epoch at 0.

    From July 2020 to 2025 that code stepped its schedule at an epoch's start; before 2018 it counted one
    epoch too many. The rates are the same.
    """
    return 1.0 - max(0, now + 1 - whole) / (decay + 1)


def _linear_hd(now: int, whole: int, decay: int, train: Train) -> float:
    """1 − max(0, e − 1 − n) / d: pix2pixHD and SPADE lower it at an epoch's end, first after epoch n + 1."""
    return 1.0 - max(0, now - 1 - whole) / max(1, decay)


def _cosine(now: int, whole: int, decay: int, train: Train) -> float:
    """Whole through epoch n, then half a wave (Loshchilov & Hutter 2017, 1608.03983) to near 0."""
    return 0.5 * (1.0 + math.cos(math.pi * max(0, now - whole) / (decay + 1)))


def _step(now: int, whole: int, decay: int, train: Train) -> float:
    """Times γ after every `train.decay_every`, from the first epoch on, whatever n and d are."""
    gamma = STEP_FACTOR if train.decay_factor is None else train.decay_factor
    return gamma ** ((now - 1) // train.decay_every)


def _constant(now: int, whole: int, decay: int, train: Train) -> float:
    """The whole rate."""
    return 1.0


STEP_FACTOR = 0.1
PLATEAU_FACTOR = 0.2
PLATEAU_GAIN = 0.01
"""Factors and threshold of the published code's "step" and "plateau" policies."""

DECAYS: dict[Decay, Callable[[int, int, int, Train], float]] = {
    "linear": _linear,
    "linear-2020": _linear_early,
    "linear-2018": _linear_early,
    "linear-hd": _linear_hd,
    "cosine": _cosine,
    "step": _step,
    "plateau": _constant,
    "none": _constant,
}
"""`train.decay` → (e from 1, whole epochs n, decay epochs d, train) → factor."""


@dataclass
class Plateau:
    """How far `decay = "plateau"` has lowered the rate: once `patience` validations bring no gain of 1 %."""

    factor: float = 1.0
    best: float | None = None
    without_gain: int = 0

    def take(self, value: float, *, train: Train, lower_is_better: bool) -> bool:
        """Take in one validation. True where it lowers the rate."""
        gain = 0.0 if self.best is None else (self.best - value if lower_is_better else value - self.best)
        if self.best is None or gain > abs(self.best) * PLATEAU_GAIN:
            self.best, self.without_gain = value, 0
            return False
        self.without_gain += 1
        if self.without_gain <= train.decay_patience:
            return False
        self.without_gain = 0
        self.factor *= PLATEAU_FACTOR if train.decay_factor is None else train.decay_factor
        return True


def set_learning_rates(optimizers: Optimizers, train: Train, *, factor: float) -> float:
    """Give both optimizers their rates times `factor`. The generator's, which is shown, is returned."""
    rates = (train.learning_rate, train.discriminator_learning_rate or train.learning_rate)
    for optimizer, rate in zip(optimizers, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
    return train.learning_rate * factor
