"""One published training step, as the loop runs it and the benchmark measures it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from p2pcli.errors import P2PError
from p2pcli.tasks.paired import Batch, PairedTask
from p2pcli.training.precision import Precision


class LossNotFiniteError(P2PError):
    """A loss became NaN or infinite; nothing was updated with it. `term` is the name of the loss."""

    def __init__(self, term: str, value: float) -> None:
        super().__init__(
            f"the loss '{term}' became {value}; finite numbers were expected. The last checkpoint is intact: "
            "resume with a smaller train.learning_rate or with train.precision=float32."
        )
        self.term = term


class Optimizers(NamedTuple):
    """One optimizer per network."""

    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer


def training_step(
    task: PairedTask, batch: Batch, optimizers: Optimizers, precision: Precision
) -> dict[str, Tensor]:
    """Forward, update D on detached fakes, update G through the updated D; all weighted terms, detached.

    Raises `LossNotFiniteError` before the update that such a loss would have spoiled.
    """
    with precision.autocast():
        fakes = task.forward(batch)
        discriminator_losses = task.discriminator_losses(batch, fakes)
    if discriminator_losses:
        precision.step(optimizers.discriminator, total(discriminator_losses))
    # A context of its own: autocast keeps its copies of weights until it ends, and D has new ones.
    with precision.autocast():
        generator_losses = task.generator_losses(batch, fakes)
    precision.step(optimizers.generator, total(generator_losses))
    losses = {**discriminator_losses, **generator_losses}
    return {name: loss.detach() for name, loss in losses.items()}


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of all terms. Raises `LossNotFiniteError` that names the first term that is not finite."""
    terms = torch.stack([loss.detach() for loss in losses.values()])
    if not bool(torch.isfinite(terms).all()):
        name, value = next(
            (n, v) for n, v in zip(losses, terms.tolist(), strict=True) if not abs(v) < torch.inf
        )
        raise LossNotFiniteError(name, value)
    return torch.stack(list(losses.values())).sum()
