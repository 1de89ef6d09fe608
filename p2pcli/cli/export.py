"""`p2p export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pcli.cli import options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.running import Printing, finish, newest_unless, run_job
from p2pcli.events import Observer, Stop

if TYPE_CHECKING:
    from p2pcli.jobs.export import ExportReport

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p export -m runs/shoes --to pth -o latest_net_G.pth",
    """Writes the weights of a model or run under the keys of the published pix2pix, CycleGAN, pix2pixHD and
    SPADE code, and says with which options that code builds the networks. What belongs to the generator goes
    beside it: an encoder, the other way of CycleGAN, discriminators (latest_net_E.pth, latest_net_D.pth).""",
)


@app.command("export", cls=Page, help=HELP)
def export(
    context: typer.Context,
    model: options.Model = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the result goes.")] = Path(
        "latest_net_G.pth"
    ),
    to: Annotated[Literal["pth"], typer.Option("--to", help="pth: a state dict of torch.save.")] = "pth",
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Export; see HELP."""
    from p2pcli.jobs.export import export_weights

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj
    chosen, again = newest_unless(model, invocation=invocation, printing=printing)

    def job(observe: Observer, stop: Stop) -> ExportReport:
        return export_weights(
            chosen, output, to=to, overwrite=overwrite, dry_run=dry_run, observe=observe, stop=stop
        )

    report, caught = run_job(job, printing=printing)
    summary = [f"Options of the published code: {report.options}"] if report.options else []
    if dry_run:
        summary += [f"Would write {path}: {size / 1e6:.1f} MB" for path, size in report.sizes.items()]
    else:
        summary += [f"Written: {path}" for path in report.outputs if path != report.output]
    finish(report, caught, printing=printing, summary=summary, again=again, dry_run=dry_run)
