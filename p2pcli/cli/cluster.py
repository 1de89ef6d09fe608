"""`p2p cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pcli.cli import completion, options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation, command_line
from p2pcli.cli.running import Printing, finish, newest_unless, run_job, tally_line
from p2pcli.events import Observer, Stop

if TYPE_CHECKING:
    from p2pcli.jobs.cluster import ClusterReport

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p cluster cityscapes/ -m runs/streets && p2p translate labels/ -m runs/streets --look 1",
    """Store in a pix2pixHD model the looks that it can give each class: its feature encoder reads every
    instance of the training pairs, and the features of a class are grouped. Then p2p translate --look chooses
    among them.""",
)


@app.command("cluster", cls=Page, help=HELP)
def cluster(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="What the model was trained on: label maps, photos and instance maps.",
            autocompletion=completion.datasets,
        ),
    ],
    model: options.Model = None,
    output: options.Output = None,
    clusters: Annotated[int, typer.Option("--clusters", min=1, help="Looks of a class, at most.")] = 10,
    device: options.DeviceOption = "auto",
    seed: options.Seed = 0,
    limit: options.Limit = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Cluster; see HELP."""
    from p2pcli.jobs.cluster import cluster as cluster_job

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj
    chosen, again = newest_unless(model, invocation=invocation, printing=printing)

    def job(observe: Observer, stop: Stop) -> ClusterReport:
        return cluster_job(
            data,
            model=chosen,
            output=output,
            clusters=clusters,
            device=device,
            seed=seed,
            limit=limit,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    report, caught = run_job(job, printing=printing)
    then = command_line(["translate", "LABELS/", "-m", str(report.output), "--look", "1"])
    summary = [tally_line(report.tally, unit="pair", seconds=report.seconds)]
    finish(report, caught, printing=printing, summary=summary, again=again, dry_run=dry_run, then=then)
