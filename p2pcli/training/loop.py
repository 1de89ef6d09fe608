"""The training loop: one for every recipe."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice

from torch import nn

from p2pcli.errors import P2PError
from p2pcli.events import Note, Observer, Stop
from p2pcli.training.batches import prefetch
from p2pcli.training.data import TrainingData
from p2pcli.training.ema import update_average
from p2pcli.training.failures import FailureLog
from p2pcli.training.keeper import Keeper
from p2pcli.training.progress import ProgressReport
from p2pcli.training.review import Review
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.sampler import batches_from, position_after
from p2pcli.training.schedule import learning_rate_factor, set_learning_rates, total_steps
from p2pcli.training.state import TrainState
from p2pcli.training.step import LossNotFiniteError, StepLimits, discriminator_step, training_step
from p2pcli.training.validation import LOWER_IS_BETTER


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs besides the run, its data and its folder."""

    workers: int
    observe: Observer
    stop: Stop


def train_loop(
    run: TrainState,
    pairs: TrainingData,
    *,
    folder: RunFolder,
    review: Review,
    failures: FailureLog,
    settings: LoopSettings,
) -> bool:
    """Train `run` from where it stands to its end. False where the stop flag ended it before.

    Raises `P2PError` that names term and step where a loss is not finite; the last checkpoint stays as it is.
    """
    train, keys = run.recipe.train, pairs.split.train
    steps = total_steps(train, len(keys))
    log = RunLog(folder.log)
    keeper = Keeper(folder, minutes=train.checkpoint_minutes, keep_last=train.keep_last)
    objective = run.recipe.discriminator.objective
    report = ProgressReport(train, count=len(keys), objective=objective, log=log, observe=settings.observe)
    slots = batches_from(keys, run.position, seed=train.seed, batch_size=train.batch_size)
    limits = StepLimits(accumulate=train.accumulate, clip_norm=train.clip_norm)
    trained = nn.ModuleDict(run.task.generators)
    load = partial(pairs.training_square, failures=failures)

    with closing(prefetch(islice(slots, steps - run.step), load, workers=settings.workers)) as batches:
        for squares in batches:
            epoch = run.position.epoch
            run.begin_step()
            factor = learning_rate_factor(train, step=run.step, epoch=epoch) * run.plateau.factor
            rate = set_learning_rates(run.optimizers, train, factor=factor)

            batch = squares.to(run.precision.device, channels_last=train.channels_last)
            step_of = discriminator_step if run.step < train.warmup_discriminator else training_step
            try:
                losses = step_of(run.task, batch, run.optimizers, run.precision, limits=limits)
            except LossNotFiniteError as error:
                raise P2PError(f"step {run.step + 1}: {error}") from error
            run.step += 1
            run.position = position_after(squares.slots)
            if run.average is not None and train.ema is not None:
                update_average(run.average, trained, decay=train.ema, step=run.step)

            report.step(losses, step=run.step, epoch=epoch, images=len(squares.slots), rate=rate)
            is_last, ends_epoch = run.step == steps, run.position.index == 0
            if is_last or (ends_epoch and run.position.epoch % train.validate_every == 0):
                review.run(run, log)
                if train.decay == "plateau":
                    _follow_plateau(run, settings.observe)
            if is_last or settings.stop.is_set() or keeper.is_due(ends_epoch=ends_epoch):
                keeper.save(run)
            if settings.stop.is_set() and not is_last:
                return False
    return True


def _follow_plateau(run: TrainState, observe: Observer) -> None:
    train, measured = run.recipe.train, run.measured
    if measured is None or measured.step != run.step:
        return
    metric = train.best_metric
    value, falls = measured.metrics[metric], metric in LOWER_IS_BETTER
    if run.plateau.take(value, train=train, lower_is_better=falls):
        observe(
            Note(f"step {run.step}: {metric} stalls; learning rate times {run.plateau.factor:.3g} from here.")
        )
