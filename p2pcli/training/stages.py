"""Progressive resolution: a run in stages, each at twice the size of the one before.

Karras et al. 2018, 1710.10196, section 2. A run without `train.stages` is one stage at the whole size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from p2pcli.nets.growth import grow
from p2pcli.recipe import Recipe
from p2pcli.tasks import Batch, networks_of
from p2pcli.training.augment import Square
from p2pcli.training.data import TrainingData
from p2pcli.training.failures import FailureLog
from p2pcli.training.sampler import Slot
from p2pcli.training.schedule import Plateau, total_steps
from p2pcli.training.state import TrainState, make_optimizers


@dataclass(frozen=True)
class Stage:
    """Steps `first` (from 0) to `first + steps`, on squares of `size` px."""

    number: int
    """From 1."""
    first: int
    steps: int
    fade_steps: int
    """The first so many steps fade this resolution in."""
    halvings: int
    """How often the whole size is halved: 0 in the last stage."""
    size: int

    @property
    def end(self) -> int:
        """The step that no longer belongs to it."""
        return self.first + self.steps

    def alpha_at(self, step: int) -> float:
        """The share of this resolution beside the one before, above 0; 1 once it is all there."""
        return min(1.0, (step - self.first + 1) / (self.fade_steps + 1))

    def lod_at(self, step: int) -> float:
        """The level of detail that growing networks have (`nets.growth`)."""
        return self.halvings + 1 - self.alpha_at(step)


def stages_of(recipe: Recipe, *, count: int) -> tuple[Stage, ...]:
    """The stages of a run on `count` training pairs, in order; one too short for a step is left out."""
    train, steps = recipe.train, total_steps(recipe.train, count)
    halvings = len(train.stages)
    ends = [round(sum(train.stages[: number + 1]) * steps) for number in range(halvings)]
    found: list[Stage] = []
    for first, end in zip([0, *ends], [*ends, steps], strict=True):
        if first < end:
            # Nothing comes before the first stage that it could fade from.
            fade_steps = round(train.fade * (end - first)) if found else 0
            size = recipe.data.size >> halvings
            found.append(Stage(len(found) + 1, first, end - first, fade_steps, halvings, size))
        halvings -= 1
    return tuple(found)


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage of step `step` (from 0); the last one where the run is over."""
    return next((stage for stage in stages if step < stage.end), stages[-1])


def stage_row(stages: Sequence[Stage], step: int) -> dict[str, object]:
    """What the log says of step `step` (from 1); nothing where there is one stage."""
    if len(stages) == 1:
        return {}
    stage = stage_at(stages, step - 1)
    return {"stage": stage.number, "size": stage.size, "alpha": round(stage.alpha_at(step - 1), 6)}


def loads(
    pairs: TrainingData, stages: Sequence[Stage], *, step: int, failures: FailureLog
) -> Iterator[Callable[[Slot], Square]]:
    """For each step from `step` on, what loads its pictures: at the size of its stage."""
    for stage in stages:
        sized = pairs.sized(stage.size)
        for _ in range(max(step, stage.first), stage.end):
            yield partial(sized.training_square, failures=failures)


def grow_into(run: TrainState, stage: Stage) -> bool:
    """Let the networks of `run` grow to where the coming step has them. True where a new size begins.

    Both optimizers then start anew, as in the published code, and so does the search for the best model:
    numbers of two sizes do not compare.
    """
    if not run.recipe.train.stages:
        return False
    averages = [] if run.average is None else [run.average]
    grow([*networks_of(run.task).values(), *averages], stage.lod_at(run.step))
    run.size = stage.size
    if run.recipe.train.compile and run.step in (stage.first, stage.first + stage.fade_steps):
        # Each way through the networks is compiled by itself; more of them than torch keeps would end it.
        torch.compiler.reset()
    if run.step != stage.first or stage.first == 0:
        return False
    run.optimizers = make_optimizers(run.task, run.recipe, run.precision)
    run.measured = run.best = run.best_weights = None
    run.plateau = Plateau(factor=run.plateau.factor)
    return True


def faded(batch: Batch, recipe: Recipe, *, alpha: float) -> Batch:
    """`batch` whose real pictures fade from the resolution before as the generated ones do (appendix A)."""
    if alpha == 1:
        return batch
    target = _faded(batch.target, alpha)
    if recipe.task == "unpaired":
        return batch._replace(input=_faded(batch.input, alpha), target=target)
    return batch._replace(target=target)


def _faded(picture: Tensor, alpha: float) -> Tensor:
    before = F.interpolate(F.avg_pool2d(picture, 2), scale_factor=2, mode="nearest")
    return torch.lerp(before, picture, alpha)
