"""How long a run is, and which learning rate each step has."""

from __future__ import annotations

from p2pcli.recipe import Train
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

    Counted in epochs e = 1, 2, …: 1 − max(0, e − epochs) / (decay_epochs + 1), the rule of the published
    code since 2025: the rate is whole through epoch `epochs` and 1/(decay_epochs + 1) in the last one.
    (From 2020-07 to 2025 that code decayed one epoch early and trained its last epoch at 0.) With
    `train.steps` the same rule counts steps, the first half whole.
    """
    if train.steps is not None:
        whole = (train.steps + 1) // 2
        return 1.0 - max(0, step + 1 - whole) / (train.steps - whole + 1)
    return 1.0 - max(0, epoch + 1 - train.epochs) / (train.decay_epochs + 1)


def set_learning_rates(optimizers: Optimizers, train: Train, *, factor: float) -> float:
    """Give both optimizers their rates times `factor`. The generator's, which is shown, is returned."""
    rates = (train.learning_rate, train.discriminator_learning_rate or train.learning_rate)
    for optimizer, rate in zip(optimizers, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
    return train.learning_rate * factor
