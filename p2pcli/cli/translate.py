"""`p2p translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from p2pcli.cli import defaults, options
from p2pcli.cli.help import help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.running import Printing, Report, finish, run_job, tally_line
from p2pcli.events import Observer, Stop

MODE_PANEL = "How the network is used"

SHORT_HELP = "Run a trained model over photos, folders and films."
HELP = help_page(
    "p2p translate film.mp4 -m runs/shoes -o out.mp4",
    """Translate photos, folders (the tree is mirrored, names and formats stay), globs and films. The result
    has the source's size; a film keeps every frame, its timestamps, its sound and its rotation.

    Run the same command again to go on: what is done is skipped, a half-written file never counts.""",
)


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
    device: options.DeviceOption = "auto",
    workers: options.Workers = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
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
    chosen_model = model or defaults.newest_run()
    extra: list[str | Path] = [*([] if sources else ["."]), *([] if model else ["-m", chosen_model])]
    again = invocation.again(extra=extra)
    if extra:
        printing.say(f"The same as: {again}")

    def job(observe: Observer, stop: Stop) -> Report:
        return translate_job(
            chosen_sources,
            model=chosen_model,
            output=output,
            device=device,
            precision=precision,
            batch_size=batch_size,
            statistics=statistics,
            dropout=dropout,
            seed=seed,
            workers=workers,
            limit=limit,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    report, caught = run_job(job, printing=printing)
    summary = [tally_line(report.tally, unit="files", seconds=report.seconds)]
    finish(report, caught, printing=printing, summary=summary, again=again, dry_run=dry_run)
