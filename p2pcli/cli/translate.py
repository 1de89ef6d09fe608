"""`p2p translate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pcli.cli import options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation, command_line
from p2pcli.cli.running import Printing, finish, newest_unless, run_job, tally_line
from p2pcli.cli.threads import use_allowed_cores
from p2pcli.events import Observer, Stop
from p2pcli.kept_memory import keep_freed_memory
from p2pcli.visible import visible

if TYPE_CHECKING:
    from p2pcli.jobs.translate_report import TranslateReport

_SHOWN = 5
"""Failures that are printed; a folder may hold thousands."""

_ASKED_FROM = 20
"""A bare command on more items than these may not be what was meant."""

MODE_PANEL = "How the network is used"

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p translate film.mp4 -m runs/shoes -o out.mp4",
    """Translate photos, folders (the tree is mirrored, names and formats stay), globs and films. The result
    has the source's size; a film keeps every frame, its timestamps, its sound and its rotation.

    Run the same command again to go on: what is done is skipped, a half-written file never counts. A film
    that was not finished starts anew.""",
)


@app.command("translate", cls=Page, help=HELP)
def translate(
    context: typer.Context,
    sources: options.Sources = None,
    model: options.Model = None,
    output: options.Output = None,
    statistics: Annotated[
        Literal["sample", "running"] | None,
        typer.Option(
            "--statistics",
            help="Batch-norm statistics: each image's own, or the training's running ones. Nothing: as the "
            "model says.",
            show_default=False,
            rich_help_panel=MODE_PANEL,
        ),
    ] = None,
    dropout: Annotated[
        bool | None,
        typer.Option(
            "--dropout/--no-dropout",
            help="Dropout as noise, drawn from --seed. Nothing: as the model says.",
            show_default=False,
            rich_help_panel=MODE_PANEL,
        ),
    ] = None,
    prepare: Annotated[
        Literal["auto", "maker", "none"],
        typer.Option(
            "--prepare",
            help="Whether pictures first go through the pair maker that made the training inputs. auto: yes, "
            "unless it degrades them.",
            rich_help_panel=MODE_PANEL,
        ),
    ] = "auto",
    direction: Annotated[
        Literal["AtoB", "BtoA"] | None,
        typer.Option(
            "--direction",
            help="Which way an unpaired model translates. Nothing: AtoB.",
            show_default=False,
            rich_help_panel=MODE_PANEL,
        ),
    ] = None,
    look: Annotated[
        str,
        typer.Option(
            "--look",
            help="Which of its possible results a model with an encoder gives: a number (0 the commonest), "
            "sample (drawn from --seed), photo (as the photo in target/ beside), or a photo's file.",
            rich_help_panel=MODE_PANEL,
        ),
    ] = "auto",
    background: Annotated[
        str,
        typer.Option(
            "--background",
            metavar="COLOUR",
            help="What the network sees behind transparent pictures: white, black, #rrggbb, 0 to 255. The "
            "result is as transparent as its source.",
            rich_help_panel=MODE_PANEL,
        ),
    ] = "white",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option("--precision", help="Number format of the network.", rich_help_panel=MODE_PANEL),
    ] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            "-b",
            min=1,
            help="Images or frames at once. Nothing: what suits this device.",
            show_default=False,
            rich_help_panel=MODE_PANEL,
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            help="One format for all pictures: png, jpg, webp. Nothing: each one's own.",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Of jpg and webp.")] = 95,
    device: options.DeviceOption = "auto",
    workers: options.Workers = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    max_pixels: options.MaxPixels = 200_000_000,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Without sources: do not ask before more than 20 items are translated.",
            rich_help_panel=options.RUN_PANEL,
        ),
    ] = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Translate; see HELP."""
    from p2pcli.jobs.translate import translate as translate_job

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj
    chosen_sources = sources or [Path()]
    chosen_model, again = newest_unless(
        model, invocation=invocation, printing=printing, extra=[] if sources else ["."]
    )

    if not (sources or yes or dry_run):
        _ask(chosen_sources, model=chosen_model, output=output)

    def job(observe: Observer, stop: Stop) -> TranslateReport:
        return translate_job(
            chosen_sources,
            model=chosen_model,
            output=output,
            device=device,
            precision=precision,
            batch_size=batch_size,
            statistics=statistics,
            dropout=dropout,
            prepare=prepare,
            direction=direction,
            look=look,
            background=background,
            encoding=encoding,
            quality=quality,
            max_pixels=max_pixels,
            seed=seed,
            workers=workers,
            limit=limit,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    keep_freed_memory()
    use_allowed_cores()
    report, caught = run_job(job, printing=printing)
    summary = _summary(report, dry_run=dry_run)
    then = command_line(["translate", "OTHERS/", "-m", str(chosen_model)])
    finish(
        report,
        caught,
        printing=printing,
        summary=summary,
        again=again,
        dry_run=dry_run,
        # One film alone is one piece of work: there is nothing to go on from.
        goes_on=not (report.unfinished_film and report.tally.planned == 1),
        anew=report.unfinished_film,
        then=then,
    )


def _ask(sources: Sequence[Path], *, model: Path, output: Path | None) -> None:
    """On a terminal, ask before a bare `p2p translate` starts on more than 20 items; "no" ends it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from p2pcli.jobs.translate import list_sources

    listing, target = list_sources(sources, model=model, output=output)
    if len(listing.entries) > _ASKED_FROM:
        count = len(listing.entries)
        question = f"Translate {count} pictures and films below {Path.cwd()} with {model}, into {target}/?"
        typer.confirm(visible(question), abort=True, err=True)


def _summary(report: TranslateReport, *, dry_run: bool) -> list[str]:
    from p2pcli.jobs.translate_report import FOREIGN

    if dry_run:
        return report.outputs
    lines = [tally_line(report.tally, unit="file", seconds=report.seconds)]
    if report.tally.skipped[FOREIGN]:
        lines.append("what p2p did not write is left as it is; --overwrite replaces it")
    if report.frames:
        failed = f", {report.frames_failed} of them as in the source" if report.frames_failed else ""
        lines.append(f"{report.frames} film frames{failed}")
    for one in report.tally.failed[:_SHOWN]:
        # Messages of films begin with the path, those of images with the file's name.
        message = one.message.removeprefix(f"{one.source}: ").removeprefix(f"{Path(one.source).name}: ")
        lines.append(f"failed: {one.source}: {message}")
    if len(report.tally.failed) > _SHOWN:
        more = len(report.tally.failed) - _SHOWN
        lines.append(f"and {more} more; all are in {report.output / '.p2p' / 'failures.jsonl'}")
    return lines
