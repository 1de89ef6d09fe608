"""`p2p import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pcli.cli import options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.running import Printing, finish, run_job
from p2pcli.events import Observer, Stop

if TYPE_CHECKING:
    from p2pcli.jobs.import_weights import ImportReport

UNSEEN_PANEL = "What keys cannot tell"

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p import latest_net_G.pth -o model.safetensors",
    """Reads weights of pix2pix, CycleGAN, pix2pixHD and SPADE: network, widths and depths from their keys and
    shapes, the rest from train_opt.txt or opt.txt beside them. The result translates and loads like any other
    model. Nothing in a file is ever executed.

    With a discriminator named too, it goes to NAME.discriminator.safetensors.""",
)


@app.command("import", cls=Page, help=HELP)
def import_weights(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(help="Weights of one network, or of a generator and its discriminator."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")] = Path(
        "model.safetensors"
    ),
    direction: Annotated[
        Literal["AtoB", "BtoA"] | None,
        typer.Option(
            "--direction",
            help="Which domain is the input. Nothing: as the option text says, else AtoB.",
            show_default=False,
            rich_help_panel=UNSEEN_PANEL,
        ),
    ] = None,
    statistics: Annotated[
        Literal["sample", "running"] | None,
        typer.Option(
            "--statistics",
            help="Batch-norm statistics: each image's own, or the running ones. Nothing: as published.",
            show_default=False,
            rich_help_panel=UNSEEN_PANEL,
        ),
    ] = None,
    dropout: Annotated[
        bool | None,
        typer.Option(
            "--dropout/--no-dropout",
            help="Whether a U-Net was trained with dropout. Nothing: as the option text says, else with.",
            show_default=False,
            rich_help_panel=UNSEEN_PANEL,
        ),
    ] = None,
    doublings: Annotated[
        Literal["normal", "more"] | None,
        typer.Option(
            "--doublings",
            help="How often SPADE doubles its size: 5 or 6 times. Nothing: as the option text says, else 5.",
            show_default=False,
            rich_help_panel=UNSEEN_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Import; see HELP."""
    from p2pcli.jobs.import_weights import import_weights as import_job

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj

    def job(observe: Observer, stop: Stop) -> ImportReport:
        return import_job(
            files,
            output,
            direction=direction,
            statistics=statistics,
            dropout=dropout,
            doublings=doublings,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    report, caught = run_job(job, printing=printing)
    summary = [
        *(f"Undone: {quirk}" for quirk in report.quirks),
        *(f"Not in the file, taken as: {assumed}" for assumed in report.assumed),
        *(f"Written and checked: {path}" for path in report.outputs),
    ]
    finish(report, caught, printing=printing, summary=summary, again=invocation.again(), dry_run=dry_run)
