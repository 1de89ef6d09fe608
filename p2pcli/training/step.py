"""One training step of any task, as the loop runs it and the benchmark measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from p2pcli.tasks import Batch, Task
from p2pcli.training.distributed import ALONE, Processes
from p2pcli.training.loss_watch import require_finite
from p2pcli.training.precision import Precision


class Optimizers(NamedTuple):
    """One optimizer for all generators and their encoders, one for all discriminators."""

    generator: torch.optim.Optimizer
    discriminator: torch.optim.Optimizer


@dataclass(frozen=True)
class StepLimits:
    """What an update is bounded by, and who takes part in it."""

    accumulate: int = 1
    """Parts that a batch is computed in, to save memory."""
    clip_norm: float | None = None
    """Largest norm of an update's gradients; None: any."""
    weight: float = 1.0
    """The share that the batch has in the whole one, whose other parts other processes compute."""
    processes: Processes = ALONE
    """Who shares the whole batch."""


NO_LIMITS = StepLimits()


def training_step(
    task: Task[Any],
    batch: Batch,
    optimizers: Optimizers,
    precision: Precision,
    *,
    limits: StepLimits = NO_LIMITS,
) -> dict[str, Tensor]:
    """Forward, then both updates in the task's order; all weighted terms, detached, D's first.

    "discriminator-first": D learns from the fakes, then G through the updated D. "generator-first": G learns
    through D as it is, then D from the same fakes, or from those that the updated G makes anew
    (`task.renews_fakes`). A batch in parts keeps no graph for longer than a part, so G may run twice.
    Raises `LossNotFiniteError` before the update that such a loss would have spoiled; on CUDA that update is
    skipped, and `precision.watch` raises when it is asked.
    """
    parts = batch.parts(limits.accumulate)
    is_whole = len(parts) == 1
    update = partial(_update, task, parts, precision, limits)
    if task.order == "discriminator-first":
        fakes = _forward(task, parts, precision, with_graph=is_whole)
        of_discriminator, _ = update(
            optimizers.discriminator, task.discriminators, task.discriminator_losses, fakes
        )
        known = fakes if is_whole else None
        of_generator, _ = update(optimizers.generator, task.generators, task.generator_losses, known)
    else:
        of_generator, fakes = update(optimizers.generator, task.generators, task.generator_losses, None)
        if task.renews_fakes:
            fakes = _forward(task, parts, precision, with_graph=False)
        of_discriminator, _ = update(
            optimizers.discriminator, task.discriminators, task.discriminator_losses, fakes
        )
    return {**of_discriminator, **of_generator}


def discriminator_step(
    task: Task[Any],
    batch: Batch,
    optimizers: Optimizers,
    precision: Precision,
    *,
    limits: StepLimits = NO_LIMITS,
) -> dict[str, Tensor]:
    """D's half of a step alone, for a fresh D beside a trained G, which stays as it is; D's terms."""
    parts = batch.parts(limits.accumulate)
    fakes = _forward(task, parts, precision, with_graph=False)
    losses, _ = _update(
        task,
        parts,
        precision,
        limits,
        optimizers.discriminator,
        task.discriminators,
        task.discriminator_losses,
        fakes,
    )
    return losses


def _forward(task: Task[Any], parts: list[Batch], precision: Precision, *, with_graph: bool) -> list[Any]:
    with precision.autocast(), torch.set_grad_enabled(with_graph):
        return [task.forward(part) for part in parts]


def _update(
    task: Task[Any],
    parts: list[Batch],
    precision: Precision,
    limits: StepLimits,
    optimizer: torch.optim.Optimizer,
    networks: Mapping[str, nn.Module],
    losses_of: Callable[[Batch, Any], dict[str, Tensor]],
    fakes: list[Any] | None,
) -> tuple[dict[str, Tensor], list[Any]]:
    """One update of one side: mean losses over the parts, and the fakes, made here where None are given."""
    optimizer.zero_grad(set_to_none=True)
    count = sum(part.input.shape[0] for part in parts)
    means: dict[str, Tensor] = {}
    made = []
    for index, part in enumerate(parts):
        share = part.input.shape[0] / count * limits.weight
        # A context for each state of the weights: autocast keeps its copies of them until it ends.
        with precision.autocast():
            made.append(task.forward(part) if fakes is None else fakes[index])
            losses = losses_of(part, made[-1])
        if not losses:
            continue
        if not precision.defers_checks:
            require_finite(losses)
        precision.backward(torch.stack(list(losses.values())).sum() * share)
        for name, loss in losses.items():
            means[name] = means.get(name, 0) + loss.detach() * share
    if means:
        means = limits.processes.sum_losses(means)
        limits.processes.sum_gradients(networks)
        skip = precision.watch.note(means) if precision.defers_checks else None
        precision.update(optimizer, networks=networks, clip_norm=limits.clip_norm, skip=skip)
    return means, made
