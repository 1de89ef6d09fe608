"""The job behind `p2p translate`: sources and a model in, a mirrored folder (or one file) out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p2pcli.errors import NothingMatchedError, UsageError
from p2pcli.events import Ended, Observer, Started, Stop, ignore
from p2pcli.image import colour_of
from p2pcli.inference.alone import Alone
from p2pcli.inference.film import translate_film
from p2pcli.inference.input_side import inputs_alone
from p2pcli.inference.ledger import Ledger
from p2pcli.inference.model_file import model_in
from p2pcli.inference.outputs import Task, folder_tasks, is_single_file, require_sources_kept, single_task
from p2pcli.inference.pictures import translate_pictures
from p2pcli.inference.pipeline import BatchSize
from p2pcli.inference.preparation import Prepare
from p2pcli.inference.progress import STAGE, Progress
from p2pcli.inference.translator import Translator, load_model
from p2pcli.io.atomic import sweep_stale, sweep_stale_of
from p2pcli.io.base import Listing
from p2pcli.io.codec import MAX_PIXELS
from p2pcli.io.listing import list_media
from p2pcli.io.lock import locked
from p2pcli.io.places import path_of, paths_of, real, require_folder, require_no_links, require_outside
from p2pcli.jobs.translate_report import FOREIGN, TranslateReport, file_hash, write_failures
from p2pcli.nets.blocks import Statistics
from p2pcli.plan import Failure, fingerprint


def translate(
    sources: str | Path | Iterable[str | Path],
    *,
    model: str | Path | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
    statistics: Statistics | None = None,
    dropout: bool | None = None,
    prepare: Prepare = "auto",
    direction: str | None = None,
    look: str | int | Path = "auto",
    background: str | int = "white",
    seed: int = 0,
    workers: int | None = None,
    limit: int | None = None,
    encoding: str | None = None,
    quality: int = 95,
    max_pixels: int = MAX_PIXELS,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> TranslateReport:
    """Translate images, folders, globs and films with a trained model; see docs/translate.md.

    `model` is a model file or run folder (None: the newest under runs/), `output` a folder or, for one
    source, a file (None: translated/<model>). `encoding` ("png") gives all pictures one format, `quality`
    is JPEG's, 1 to 100. `direction` ("AtoB", "BtoA") chooses a generator of an unpaired model, `look` one of
    the results of a model with an encoder, and `background` what it sees behind transparent pictures, as in
    `load_model`. `workers` are decode and encode threads each.
    What is done already is skipped; a file that p2p did not write is never replaced without `overwrite`.
    Raises `UsageError`, `NothingMatchedError` and `EnvironmentFaultError`; a bad file is a row of
    `tally.failed`.
    """
    started = time.monotonic()
    counts = {"batch_size": batch_size, "limit": limit, "max_pixels": max_pixels, "workers": workers}
    _require_in_range(quality, counts)
    colour_of(background)
    model_file = model_in(path_of(model, "model")) if model is not None else newest_model(Path("runs"))
    listing, target = list_sources(sources, model=model_file, output=output)
    is_single = output is not None and is_single_file(target)
    with locked(*([] if dry_run else [target]), observe=observe):
        loading: dict[str, Any] = {
            "device": device,
            "precision": precision,
            "statistics": statistics,
            "dropout": dropout,
            "prepare": prepare,
            "direction": direction,
            "look": look,
            "seed": seed,
            "background": background,
        }
        translator = load_model(model_file, **loading)
        listing, left_aside = inputs_alone(listing, translator, direction=direction)
        tasks = _tasks(listing, target, translator, is_single=is_single, encoding=encoding, limit=limit)
        report = TranslateReport(target, model_file, dry_run=dry_run)
        work = _work_fingerprint(
            translator, precision=precision, quality=quality, direction=direction, look=look
        )
        progress = Progress(report.tally, Ledger(_record(target, is_single=is_single), work=work), observe)
        _tell(translator, tasks, progress, is_chosen=model is None)
        for note in left_aside:
            progress.note(note)
        todo = _begin(tasks, listing, progress, overwrite=overwrite)
        if dry_run:
            report.outputs = [str(task.output) for task in todo]
            report.tally.skipped["dry run"] += len(todo)
        else:
            report.interrupted = not _work(
                todo,
                translator,
                progress,
                failures=None if is_single else target / ".p2p" / "failures.jsonl",
                batch_size=BatchSize(
                    lambda bucket: batch_size or translator.batch_that_suits(bucket), observe
                ),
                alone=Alone(
                    model_file,
                    loading,
                    progress.ledger,
                    quality=quality,
                    max_pixels=max_pixels,
                    tries_again=overwrite,
                ),
                workers=workers or default_workers(),
                stop=stop or Stop(),
            )
        observe(Ended(STAGE))
        report.tally.close(interrupted=report.interrupted)
    report.unfinished_film = progress.unfinished_film
    report.frames, report.frames_failed = progress.frames, progress.frames_failed
    if not dry_run:
        report.outputs = sorted(progress.outputs)
    report.notes, report.seconds = progress.notes, time.monotonic() - started
    return report


def newest_model(runs: Path) -> Path:
    """The model of the run that wrote one last. Raises `NothingMatchedError` where no run has any."""
    names = ("best.safetensors", "model.safetensors")
    found = [
        path for name in names for path in runs.glob(f"*/{name}") if not path.parent.name.startswith(".")
    ]
    if not found:
        raise NothingMatchedError(
            f"no model given and no finished run under {runs}/. Train one with p2p train, or name yours with "
            "-m MODEL."
        )
    # The name decides within the same second, so that the choice is always the same.
    newest = max(found, key=lambda path: (path.stat().st_mtime, path.parent.name))
    return model_in(newest.parent)


def default_output(model_file: Path) -> Path:
    """translated/<run> for a model in a run folder, else translated/<file name>."""
    is_in_run = model_file.stem in ("best", "model")
    return Path("translated") / (real(model_file).parent.name if is_in_run else model_file.stem)


def default_workers() -> int:
    """Threads that decode, and as many that encode: beside a network that uses the same cores."""
    return max(2, min(8, (os.cpu_count() or 2) // 2))


def list_sources(
    sources: str | Path | Iterable[str | Path], *, model: str | Path, output: str | Path | None
) -> tuple[Listing, Path]:
    """All pictures and films in `sources`, and where their translations go.

    Raises `NothingMatchedError` where there are none, `UsageError` where they cannot go there.
    """
    target = Path(output) if output is not None else default_output(model_in(Path(model)))
    is_default, is_single = output is None, output is not None and is_single_file(target)
    given = paths_of(sources, "sources")
    require_outside(target, given, may_be_below=is_default)
    require_folder(target.parent if is_single else target)
    # Other models' results below translated/ are nobody's "."; runs are left out by the listing itself.
    listing = list_media(given, exclude=[target] if is_single else [target, Path("translated")])
    if not listing.entries:
        named = ", ".join(str(source) for source in given[:3]) or "no source"
        why = "; ".join(sorted({skipped.reason for skipped in listing.skipped})[:3])
        raise NothingMatchedError(
            f"{named}: no image and no film found{f' ({why})' if why else ''}. Name photos, a folder "
            "of them, or a film."
        )
    return listing, target


def _tasks(
    listing: Listing,
    target: Path,
    translator: Translator,
    *,
    is_single: bool,
    encoding: str | None,
    limit: int | None,
) -> list[Task]:
    entries = listing.entries[:limit]
    if is_single:
        return [single_task(entries, target, encoding=encoding)]
    tasks = folder_tasks(entries, target, encoding=encoding, channels=translator.data.target_channels)
    require_sources_kept(tasks)
    require_no_links(target, {target / ".p2p", *(task.output.parent for task in tasks)})
    return tasks


def _record(target: Path, *, is_single: bool) -> Path:
    """Where the ledger lies. Hidden beside a single file: a .p2p folder would mark its folder as ours."""
    return target.with_name(f".{target.name}.p2p.jsonl") if is_single else target / ".p2p" / "done.jsonl"


def _work_fingerprint(
    translator: Translator, *, precision: str, quality: int, direction: str | None, look: str | int | Path
) -> str:
    """Changes with everything that may change a pixel, but for the device and the batch size."""
    recipe = translator.recipe
    photo = None if isinstance(look, int) or not Path(look).is_file() else file_hash(Path(look))
    return fingerprint(
        {
            "model": file_hash(translator.path),
            "precision": precision,
            "statistics": translator.statistics,
            "dropout_seed": translator.seed if translator.dropout else None,
            "maker": translator.preparation.maker,
            "maker_options": dict(translator.preparation.options),
            "quality": quality,
            **({"direction": direction} if recipe is not None and recipe.task == "unpaired" else {}),
            **({} if translator.background == (255, 255, 255) else {"background": translator.background}),
            **({"look": [str(look), translator.seed, photo]} if translator.looks is not None else {}),
        }
    )


def _tell(translator: Translator, tasks: Sequence[Task], progress: Progress, *, is_chosen: bool) -> None:
    chosen = f", the newest under runs/ (-m {translator.path} repeats this)" if is_chosen else ""
    progress.note(f"model: {translator.path}{chosen}")
    if translator.about:
        progress.note(f"{translator.path.name}: {translator.about}")
    progress.note(translator.describe(), level="detail")
    if translator.preparation.maker is not None:
        progress.note(translator.preparation.describe())
    renamed = [task for task in tasks if task.note]
    for task in renamed[:5]:
        progress.note(f"{task.relative}: {task.note}", level="info" if len(renamed) < 4 else "detail")
    if len(renamed) > 3:
        progress.note(
            f"{len(renamed)} results are written in another format than their source (-v names some)"
        )


def _begin(tasks: Sequence[Task], listing: Listing, progress: Progress, *, overwrite: bool) -> list[Task]:
    """Count what is left out, and give what is to be done."""
    tally = progress.tally
    tally.planned = len(tasks) + len(listing.skipped)
    for left_out in listing.skipped:
        place = left_out.path
        if left_out.is_failure:
            tally.failed.append(Failure(place.as_posix(), str(place), "listing", "OSError", left_out.reason))
        else:
            tally.skipped[left_out.reason] += 1
    progress.observe(Started(STAGE, tally.planned, "file"))
    todo = []
    for task in tasks:
        state = progress.ledger.state(task.relative, task.output, task.entry.path)
        if overwrite or state in ("absent", "stale"):
            todo.append(task)
        else:
            progress.skipped(task, "done already" if state == "done" else FOREIGN)
    return todo


def _work(
    todo: Sequence[Task],
    translator: Translator,
    progress: Progress,
    *,
    failures: Path | None,
    batch_size: BatchSize,
    alone: Alone,
    workers: int,
    stop: Stop,
) -> bool:
    """What a process died at, alone; then pictures, then film by film; False where `stop` came first.

    Failures are stored in any case.
    """
    if failures is None:
        for task in todo:
            sweep_stale_of(task.output)
    elif failures.parent.parent.is_dir():
        sweep_stale(failures.parent.parent)
    try:
        todo = alone.translate(todo, progress, stop=stop)
        pictures = [task for task in todo if task.entry.kind == "image"]
        films = [task for task in todo if task.entry.kind == "video"]
        completed = not pictures or translate_pictures(
            pictures,
            translator,
            progress,
            batch_size=batch_size,
            quality=alone.quality,
            max_pixels=alone.max_pixels,
            workers=workers,
            stop=stop,
            begun=alone.begin,
            ended=alone.end,
        )
        for task in films:
            if not completed or stop.is_set():
                return False
            alone.begin(task)
            completed = translate_film(
                task, translator, progress, batch_size=batch_size, workers=workers, stop=stop
            )
            alone.end(task)
    finally:
        alone.close()
        if failures is not None:
            write_failures(failures, progress.tally.failed)
    return completed


def _require_in_range(quality: int, counts: Mapping[str, int | None]) -> None:
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality}: expected 1 to 100.")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} {value}: expected at least 1.")
