"""The training loop: one for every recipe."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice

from torch import nn

from p2pcli.errors import P2PError
from p2pcli.events import Note, Observer, Stop
from p2pcli.tasks import networks_of
from p2pcli.tasks.judging import verdict_share
from p2pcli.training.batches import prefetch
from p2pcli.training.data import TrainingData
from p2pcli.training.distributed import ALONE, Processes
from p2pcli.training.ema import update_average
from p2pcli.training.failures import FailureLog
from p2pcli.training.gradients import gradient_norms
from p2pcli.training.keeper import Keeper
from p2pcli.training.loss_watch import LossNotFiniteError
from p2pcli.training.progress import ProgressReport
from p2pcli.training.review import Review
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.sampler import batches_from, position_after
from p2pcli.training.schedule import learning_rate_factor, set_learning_rates, total_steps
from p2pcli.training.stages import faded, grow_into, loads, stage_at, stage_row, stages_of
from p2pcli.training.state import TrainState
from p2pcli.training.step import StepLimits, discriminator_step, training_step
from p2pcli.training.tensorboard import TensorBoardMirror
from p2pcli.training.validation import LOWER_IS_BETTER

_STEPS_UNASKED = 50
"""So many steps a GPU may go on before it is asked whether its losses were finite: to ask is to wait."""


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs besides the run, its data and its folder."""

    workers: int
    observe: Observer
    stop: Stop
    processes: Processes = ALONE


def train_loop(
    run: TrainState,
    pairs: TrainingData,
    *,
    folder: RunFolder,
    review: Review | None,
    failures: FailureLog,
    settings: LoopSettings,
) -> bool:
    """Train `run` from where it stands to its end. False where the stop flag ended it before.

    `review` is None where another process validates and writes: this one then only computes.
    Raises `P2PError` that names term and step where a loss is not finite; the last checkpoint stays as it is.
    """
    train, keys = run.recipe.train, pairs.split.train
    steps = total_steps(train, len(keys))
    stages = stages_of(run.recipe, count=len(keys))
    processes = settings.processes
    mirrored = review is not None and train.tensorboard
    mirror = TensorBoardMirror(folder.tensorboard, step=run.step) if mirrored else None
    log = RunLog(folder.log, mirror=mirror)
    keeper = Keeper(
        folder, minutes=train.checkpoint_minutes, keep_last=train.keep_last, observe=settings.observe
    )
    objective = run.recipe.discriminator.objective
    report = ProgressReport(
        train,
        count=len(keys),
        objective=objective,
        share=verdict_share(run.recipe.discriminator),
        log=log,
        observe=settings.observe,
        accuracy=lambda: run.task.accuracy,
        norms=partial(gradient_norms, run.task),
        growth=partial(stage_row, stages),
    )
    slots = partial(batches_from, keys, run.position, seed=train.seed, batch_size=train.batch_size)
    parts = map(processes.part_of, islice(slots(), steps - run.step))
    jobs = zip(parts, loads(pairs, stages, step=run.step, failures=failures), strict=True)
    trained = nn.ModuleDict(run.task.generators)
    # Parts of a batch are normalised one by one, and processes may have unequal numbers of them.
    statistics = processes.share_statistics(networks_of(run.task) if train.accumulate == 1 else {})

    with closing(prefetch(jobs, workers=settings.workers)) as batches:
        # Every process goes through the whole order, and loads its own part.
        for whole, squares in zip(slots(), batches, strict=False):
            epoch = run.position.epoch
            run.begin_step()
            stage = stage_at(stages, run.step)
            if grow_into(run, stage):
                settings.observe(Note(f"step {run.step + 1}: {stage.size} px from here."))
                if review is not None:
                    review.look_at(pairs.sized(stage.size), recipe=run.recipe, failures=failures)
            factor = learning_rate_factor(train, step=run.step, epoch=epoch) * run.plateau.factor
            rate = set_learning_rates(run.optimizers, train, factor=factor)

            batch = squares.to(run.precision.device, channels_last=train.channels_last)
            batch = faded(batch, run.recipe, alpha=stage.alpha_at(run.step))
            weight = processes.weight_of(len(whole))
            statistics.counts = weight > 0
            limits = StepLimits(train.accumulate, train.clip_norm, weight, processes)
            processes.seed_step(train.seed, run.step)
            step_of = discriminator_step if run.step < train.warmup_discriminator else training_step
            try:
                losses = step_of(run.task, batch, run.optimizers, run.precision, limits=limits)
            except LossNotFiniteError as error:
                raise P2PError(f"step {run.step + 1}: {error}") from error
            run.step += 1
            run.position = position_after(whole)
            if run.average is not None and train.ema is not None:
                update_average(run.average, trained, decay=train.ema, step=run.step)

            stopping = processes.any(settings.stop.is_set())
            is_last, ends_epoch = run.step == steps, run.position.index == 0
            is_review = is_last or (ends_epoch and run.position.epoch % train.validate_every == 0)
            is_kept = is_last or stopping or keeper.is_due(ends_epoch=ends_epoch)
            if run.precision.defers_checks and (is_review or is_kept or run.step % _STEPS_UNASKED == 0):
                # Skipped updates left the weights alone, but running statistics have seen those pictures.
                _require_finite(run)
            if review is not None:
                report.step(losses, step=run.step, epoch=epoch, images=len(whole), rate=rate)
                if is_review:
                    review.run(run, log)
            if is_review and train.decay == "plateau":
                _follow_plateau(run, settings)
            if review is not None and is_kept:
                keeper.save(run)
            if stopping and not is_last:
                return False
    return True


def _require_finite(run: TrainState) -> None:
    try:
        run.precision.watch.require_finite()
    except LossNotFiniteError as error:
        raise P2PError(f"step {run.step} or up to {_STEPS_UNASKED} before: {error}") from error


def _follow_plateau(run: TrainState, settings: LoopSettings) -> None:
    train, measured = run.recipe.train, run.measured
    metric = train.best_metric
    is_fresh = measured is not None and measured.step == run.step
    value = settings.processes.from_first(measured.metrics[metric] if measured and is_fresh else None)
    if value is None:
        return
    if run.plateau.take(value, train=train, lower_is_better=metric in LOWER_IS_BETTER):
        settings.observe(
            Note(f"step {run.step}: {metric} stalls; learning rate times {run.plateau.factor:.3g} from here.")
        )
