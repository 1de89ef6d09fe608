"""The training loop: one for every recipe."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice

from p2pcli.errors import P2PError
from p2pcli.events import Observer, Stop
from p2pcli.training.batches import prefetch
from p2pcli.training.dataset import PairData
from p2pcli.training.ema import update_average
from p2pcli.training.failures import FailureLog
from p2pcli.training.keeper import Keeper
from p2pcli.training.progress import ProgressReport
from p2pcli.training.review import Review
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.sampler import batches_from, position_after
from p2pcli.training.schedule import learning_rate_factor, set_learning_rate, total_steps
from p2pcli.training.state import TrainState
from p2pcli.training.step import LossNotFiniteError, training_step


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs besides the run, its data and its folder."""

    workers: int
    observe: Observer
    stop: Stop


def train_loop(
    run: TrainState,
    pairs: PairData,
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
    load = partial(pairs.training_square, failures=failures)

    with closing(prefetch(islice(slots, steps - run.step), load, workers=settings.workers)) as batches:
        for squares in batches:
            epoch = run.position.epoch
            rate = train.learning_rate * learning_rate_factor(train, step=run.step, epoch=epoch)
            set_learning_rate(run.optimizers, rate)

            batch = squares.to(run.precision.device, channels_last=train.channels_last)
            try:
                losses = training_step(run.task, batch, run.optimizers, run.precision)
            except LossNotFiniteError as error:
                raise P2PError(f"step {run.step + 1}: {error}") from error
            run.step += 1
            run.position = position_after(squares.slots)
            if run.average is not None and train.ema is not None:
                update_average(run.average, run.task.generator, decay=train.ema, step=run.step)

            report.step(losses, step=run.step, epoch=epoch, images=len(squares.slots), rate=rate)
            is_last, ends_epoch = run.step == steps, run.position.index == 0
            if is_last or (ends_epoch and run.position.epoch % train.validate_every == 0):
                review.run(run, log)
            is_stopping = settings.stop.is_set()
            if is_last or is_stopping or keeper.is_due(ends_epoch=ends_epoch):
                keeper.save(run)
            if is_stopping and not is_last:
                return False
    return True
