"""Train a paired image translator, new or resumed: plain values in, a `TrainReport` out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from p2pcli.errors import EnvironmentFaultError, RecipeError
from p2pcli.events import Ended, Note, Observer, Started, Stop, ignore
from p2pcli.inference.device import choose_device, describe_device, is_out_of_memory
from p2pcli.io.atomic import sweep_stale, write_bytes
from p2pcli.io.begun import mark_begun, unmark_begun
from p2pcli.io.left_out import LeftOut
from p2pcli.io.lock import locked
from p2pcli.io.places import real
from p2pcli.jobs.train_plan import (
    Chosen,
    adopt_changes,
    choose,
    environment,
    plan_of,
    require_same_run,
    require_usable_folder,
)
from p2pcli.jobs.train_report import TrainReport
from p2pcli.jobs.train_words import (
    describe_left_out,
    describe_not_read,
    describe_run,
    memory_words,
    suggest_smaller,
)
from p2pcli.plan import Tally
from p2pcli.recipe import Recipe
from p2pcli.tasks import networks_of
from p2pcli.training.batches import default_workers
from p2pcli.training.checkpoint import newest_state
from p2pcli.training.compiling import compile_networks, require_compiler
from p2pcli.training.data import TrainingData, identity_of, left_out_of, one_sample, open_data
from p2pcli.training.distributed import is_restarted, joined, own_device, require_shareable
from p2pcli.training.estimate import seconds_left
from p2pcli.training.failures import FailureLog
from p2pcli.training.initialise import initialise
from p2pcli.training.loop import LoopSettings, train_loop
from p2pcli.training.origin import made_by
from p2pcli.training.recipe_file import recipe_as_toml
from p2pcli.training.remeasure import remeasure
from p2pcli.training.report_page import write_report
from p2pcli.training.review import Review, new_review
from p2pcli.training.runlog import RunLog
from p2pcli.training.sampler import epoch_order
from p2pcli.training.schedule import total_steps
from p2pcli.training.stages import stages_of
from p2pcli.training.state import STATE_PARTS, TrainState, new_state
from p2pcli.training.suspects import Wanted, recorded_reads
from p2pcli.training.tensorboard import require_tensorboard
from p2pcli.training.threads import THREADS, threads_as_begun
from p2pcli.training.validation import metrics_text


def train(
    data: str | Path | None = None,
    *,
    recipe: str | Path | None = None,
    output: str | Path | None = None,
    overrides: Iterable[str] = (),
    device: str = "auto",
    seed: int | None = None,
    limit: int | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    init: Iterable[str | Path] = (),
    weights: str | Path | None = None,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> TrainReport:
    """Train on pairs (a dataset, side-by-side images, A/ and B/ folders), or on photos with a pair maker.

    `data` None: the newest dataset under pairs/. `recipe`: a shipped name or a TOML file; None: the run's
    own on resume, else "pix2pix". `output` None: runs/DATASET-RECIPE. `overrides`: "train.epochs=20" and
    the like. `limit`: only the first so many training pairs. `dry_run` writes nothing. A run that was ended
    by `stop` or killed goes on with `resume=True`, to the same weights as if it had not been (CPU, float32).
    `init`: model files or run folders to start from (`train.init_from`); `recipe` None then means theirs.
    `weights`: VGG19's, for the perceptual term (`losses.perceptual_weights`).

    Raises `P2PError` children: `UsageError`, `NothingMatchedError`, `EnvironmentFaultError` (device, disk,
    memory), `ResumeMismatchError`; a plain `P2PError` where a loss is not finite.
    """
    began, stop = time.monotonic(), stop or Stop()
    place = own_device(choose_device(device))
    with joined(place) as processes, ExitStack() as held:
        observe = observe if processes.is_first else ignore
        chosen = choose(
            data,
            recipe=recipe,
            output=output,
            overrides=overrides,
            seed=seed,
            resume=resume,
            limit=limit,
            init=init,
            weights=weights,
        )
        for note in chosen.notes:
            observe(Note(note))
        if is_restarted():
            resume, overwrite = processes.from_first(chosen.folder.is_run), False
        if processes.is_first:
            # One for all processes of the run. A dry run writes nothing.
            outputs = [] if dry_run else [chosen.folder.path]
            held.enter_context(locked(*outputs, observe=observe))
            require_usable_folder(chosen, resume=resume, overwrite=overwrite)
        if chosen.recipe.train.compile:
            require_compiler(place)
        if chosen.recipe.train.tensorboard:
            require_tensorboard()
        require_shareable(chosen.recipe.train.batch_size, processes)
        pairs = open_data(chosen.data, chosen.recipe, limit=chosen.limit)
        if total_steps(chosen.recipe.train, len(pairs.split.train)) == 0:
            raise RecipeError(
                "train.epochs and train.decay_epochs are both 0: set train.epochs or train.steps."
            )
        plan = plan_of(chosen.recipe, identity_of(pairs), chosen.limit)
        if resume:
            require_same_run(chosen.folder, plan)
            # Every process of a run adopts them; one writes them down.
            for change in adopt_changes(chosen, dry_run=dry_run or not processes.is_first):
                observe(Note(change))
        if not dry_run:
            wanted = Wanted(chosen.data, chosen.recipe, chosen.limit)
            pairs.first_reads = held.enter_context(
                recorded_reads(
                    chosen.folder, wanted, processes, tries_again=overwrite, observe=observe, stop=stop
                )
            )
        sample = one_sample(pairs)
        settings = LoopSettings(workers or default_workers(), observe, stop, processes)
        threads = threads_as_begun(chosen.folder, resume=resume, observe=observe)
        with _own_random_state(place), threads, _memory_faults(chosen.recipe):
            run = new_state(chosen.recipe, place)
            run.made_by = made_by(sample, chosen.recipe)
            report = _run(chosen, pairs, run, plan, settings, resume=resume, dry_run=dry_run)
    report.seconds = time.monotonic() - began
    return report


def _run(
    chosen: Chosen,
    pairs: TrainingData,
    run: TrainState,
    plan: dict[str, object],
    settings: LoopSettings,
    *,
    resume: bool,
    dry_run: bool,
) -> TrainReport:
    """Restore `run` or let it begin, say what it will do, and do it unless it is a dry run."""
    observe, processes = settings.observe, settings.processes
    report = _first_report(chosen, pairs, run)
    report.is_dry_run = dry_run
    if not (resume and _restore(run, chosen, observe)):
        for note in initialise(run):
            observe(Note(note))
    processes.start_alike(networks_of(run.task))
    if processes.is_first:
        _announce(chosen, pairs, run, report, settings)
    if dry_run:
        return report
    if processes.is_first:
        if not resume:
            _start_folder(chosen, plan, run, report)
        sweep_stale(chosen.folder.path)
    if chosen.recipe.train.compile:
        compile_networks(run.task)
    # Only a run that resumes may know failures already; a new one must not read an old run's.
    failures_path = chosen.folder.failures if processes.is_first else None
    failures = FailureLog(failures_path, source=str(chosen.data), observe=observe)
    work = _Work(chosen, pairs, run, failures, settings, report)
    if processes.is_first:
        _train(work)
    else:
        _follow(work)
    return report


@dataclass(frozen=True)
class _Work:
    chosen: Chosen
    pairs: TrainingData
    run: TrainState
    failures: FailureLog
    settings: LoopSettings
    report: TrainReport


def _train(work: _Work) -> None:
    """Run the loop from where the run stands, and fill the report with what came of it."""
    run, folder, report = work.run, work.chosen.folder, work.report
    observe = work.settings.observe
    review, measured_keys = new_review(
        work.pairs, run, folder=folder, failures=work.failures, observe=observe
    )
    remeasure(run, review, folder=folder, observe=observe)
    left_out = LeftOut()
    if run.step < report.total_steps:
        RunLog(folder.log).cut_after(run.step)
        observe(Started("train", report.total_steps, "steps"))
        finished = train_loop(
            run, work.pairs, folder=folder, review=review, failures=work.failures, settings=work.settings
        )
        report.interrupted = not finished
        work.failures.take(work.settings.processes.gather(work.failures.rows))
        left_out.take(work.settings.processes.gather([left_out_of(work.pairs)]))
        observe(Ended("train"))
    else:
        observe(Note(f"{folder.path} is finished already: {run.step} steps."))
    # Of a finished run too: it may have been killed after its last checkpoint.
    write_report(folder)
    report.left_out = left_out.counts()
    for note in describe_not_read(left_out):
        observe(note)
    _fill(work, review, measured_keys)


def _follow(work: _Work) -> None:
    """Compute this process's part of every batch; the first process writes."""
    run, report = work.run, work.report
    if run.step < report.total_steps:
        finished = train_loop(
            run,
            work.pairs,
            folder=work.chosen.folder,
            review=None,
            failures=work.failures,
            settings=work.settings,
        )
        report.interrupted = not finished
        work.settings.processes.gather(work.failures.rows)
        work.settings.processes.gather([left_out_of(work.pairs)])
    report.steps, report.epoch = run.step, run.position.epoch


def _fill(work: _Work, review: Review, measured_keys: tuple[str, ...]) -> None:
    run, folder, report = work.run, work.chosen.folder, work.report
    report.steps, report.epoch, report.best = run.step, run.position.epoch, run.best
    report.baseline = review.baseline
    report.metrics = run.measured.metrics if run.measured is not None else {}
    report.model = folder.model if folder.model.is_file() else None
    report.best_model = folder.best if folder.best.is_file() else None
    report.report_page = folder.report
    report.tally = _tally(work, measured_keys)
    observe = work.settings.observe
    if run.best is not None:
        name, best = run.recipe.train.best_metric, run.best
        plain = f" The untranslated input has {metrics_text(review.baseline)}." if review.baseline else ""
        observe(Note(f"Best {name} at step {best.step}: {metrics_text(best.metrics)}.{plain}"))
    observe(Note(f"Curves and samples: {folder.report}"))


def _tally(work: _Work, measured_keys: tuple[str, ...]) -> Tally:
    """Pairs that were used, those that failed, and those whose turn never came."""
    run, keys = work.run, work.pairs.split.train
    seen = set(keys)
    if run.position.epoch == 0:
        seen = set(epoch_order(keys, seed=run.recipe.train.seed, epoch=0)[: run.position.index])
    # A picture of an unpaired domain B has no place of its own, but must not fail unseen.
    failed = list(work.failures.rows)
    planned = {*keys, *measured_keys, *(row.key for row in failed)}
    used = {*seen, *measured_keys} - {row.key for row in failed}
    tally = Tally(planned=len(planned), written=len(used), failed=failed)
    if not work.report.interrupted and tally.done < tally.planned:
        tally.skipped["not reached in so few steps"] = tally.planned - tally.done
    tally.close(interrupted=work.report.interrupted)
    return tally


def _first_report(chosen: Chosen, pairs: TrainingData, run: TrainState) -> TrainReport:
    split = pairs.split
    return TrainReport(
        tally=Tally(),
        output=chosen.folder.path,
        steps=0,
        total_steps=total_steps(chosen.recipe.train, len(split.train)),
        epoch=0,
        training_pairs=len(split.train),
        validation_pairs=len(split.validation),
        device=str(run.precision.device),
        precision=run.precision.name,
    )


def _announce(
    chosen: Chosen, pairs: TrainingData, run: TrainState, report: TrainReport, settings: LoopSettings
) -> None:
    """Say what will be done and how long it takes here, before the first step."""
    observe, processes = settings.observe, settings.processes
    for line in describe_run(pairs, run, name=chosen.recipe_name):
        observe(Note(line))
    for line in describe_left_out(pairs.source):
        observe(Note(line, level="warning"))
    steps_left = report.total_steps - run.step
    if steps_left <= 0:
        return
    if processes.are_several:
        observe(Note(f"Processes: {processes.count}, each with its part of every batch."))
    for note in memory_words(run, processes=processes.count):
        observe(note)
    stages = stages_of(chosen.recipe, count=len(pairs.split.train))
    report.estimated_seconds = seconds_left(run, stages) / processes.count
    step_seconds = report.estimated_seconds / steps_left
    for line in suggest_smaller(chosen, pairs, run, steps=steps_left, step_seconds=step_seconds):
        observe(Note(line))


def _restore(run: TrainState, chosen: Chosen, observe: Observer) -> bool:
    """Put the run where its newest checkpoint was. False where there is none."""
    newest = newest_state(chosen.folder.states, parts=STATE_PARTS)
    if newest is None:
        observe(Note(f"{chosen.folder.path} was ended before its first checkpoint: starting at step 0."))
        return False
    path, state = newest
    run.restore(state)
    observe(Note(f"Resuming after step {run.step} ({path.name})."))
    return True


def _start_folder(chosen: Chosen, plan: dict[str, object], run: TrainState, report: TrainReport) -> None:
    folder, precision = chosen.folder, run.precision
    mark_begun(folder.path)
    folder.clear()
    write_bytes(folder.recipe, recipe_as_toml(chosen.recipe).encode())
    about = {
        "headline": f"{chosen.recipe.title or chosen.recipe_name} · {chosen.data}",
        "data": str(real(chosen.data)),
        "recipe name": chosen.recipe_name,
        "training pairs": report.training_pairs,
        "validation pairs": report.validation_pairs,
        "steps": report.total_steps,
        THREADS: torch.get_num_threads(),
        "environment": environment(describe_device(precision.device), precision.name),
        "plan": plan,
    }
    write_bytes(folder.log, b"")
    folder.write_about(about)
    unmark_begun(folder.path)


@contextmanager
def _own_random_state(device: torch.device) -> Iterator[None]:
    """A caller's torch generators and settings are as before when a run ends."""
    devices = [device] if device.type == "cuda" else []
    benchmark = torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices):
        # All squares have one size, so the search for the fastest kernels pays.
        torch.backends.cudnn.benchmark = device.type == "cuda"
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = benchmark


@contextmanager
def _memory_faults(recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        train, data = recipe.train, recipe.data
        smaller = "train.batch_size=1" if train.batch_size > 1 else f"data.size={data.size // 2}"
        raise EnvironmentFaultError(
            f"out of memory with train.batch_size={train.batch_size} and data.size={data.size}. The last "
            f"checkpoint, if any, is intact. Lower one of them, for instance --set {smaller}, or "
            f"generator.channels."
        ) from error
