"""`p2p import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from p2pcli.cli import options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation, command_line
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

    Name all networks of a run at once: latest_net_G_A.pth and _G_B for both ways of CycleGAN, an encoder
    with its generator. Discriminators go to NAME.discriminator.safetensors, where train --init looks.""",
)


def _unseen(flag: str, text: str) -> Any:
    """An option whose default the files, or else the published code, decide."""
    return typer.Option(flag, help=text, show_default=False, rich_help_panel=UNSEEN_PANEL)


@app.command("import", cls=Page, help=HELP)
def import_weights(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(help="The networks of one training run: generators, encoder, discriminators."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")] = Path(
        "model.safetensors"
    ),
    direction: Annotated[
        Literal["AtoB", "BtoA"] | None,
        _unseen("--direction", "Which domain is the input. Nothing: as the option text says, else AtoB."),
    ] = None,
    statistics: Annotated[
        Literal["sample", "running"] | None,
        _unseen(
            "--statistics",
            "Batch-norm statistics: each image's own, or the running ones. Nothing: as published.",
        ),
    ] = None,
    dropout: Annotated[
        bool | None,
        _unseen(
            "--dropout/--no-dropout",
            "Whether a U-Net was trained with dropout. Nothing: as the option text says, else with.",
        ),
    ] = None,
    doublings: Annotated[
        Literal["normal", "more"] | None,
        _unseen(
            "--doublings",
            "How often SPADE doubles its size: 5 or 6 times. Nothing: as the option text says, else 5.",
        ),
    ] = None,
    labels: Annotated[
        int | None,
        _unseen(
            "--labels",
            "pix2pixHD, SPADE: ids of the label map, 0 for a picture. Nothing: as the option text says, else "
            "all planes but one for instance boundaries.",
        ),
    ] = None,
    instances: Annotated[
        Literal["inst", "labels", "none"] | None,
        _unseen(
            "--instances",
            "Where those boundaries come from: instance maps in inst/, or where the labels differ. none: "
            "there are none.",
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
            labels=labels,
            instances=instances,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    report, caught = run_job(job, printing=printing)
    summary = [
        *(f"Undone: {quirk}" for quirk in report.quirks),
        *(f"Not in the file, taken as: {assumed}" for assumed in report.assumed),
        *(f"{'Would write' if dry_run else 'Written and checked'}: {path}" for path in report.outputs),
    ]
    then = command_line(["translate", "PHOTOS/", "-m", str(report.output)])
    again = invocation.again()
    finish(report, caught, printing=printing, summary=summary, again=again, dry_run=dry_run, then=then)
