"""`p2p quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p2pcli.cli import options
from p2pcli.cli.help import help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.running import Printing, finish, run_job
from p2pcli.events import Observer, Stop

SHORT_HELP = "All three verbs on photos and a clip that come with p2p, in under three minutes."
HELP = help_page(
    "p2p quickstart",
    """Make pairs from a few photos, train a small network on them and translate a clip with sound, all on
    material that comes with p2p, in under three minutes on a laptop. Ends with where everything lies and
    the commands to do the same with your own files.""",
)


def quickstart(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all that is made.")] = Path(
        "p2p-quickstart"
    ),
    device: options.DeviceOption = "auto",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Make pairs, train, translate; see HELP."""
    from p2pcli.jobs.quickstart import QuickstartReport
    from p2pcli.jobs.quickstart import quickstart as quickstart_job

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj

    def job(observe: Observer, stop: Stop) -> QuickstartReport:
        return quickstart_job(
            output, device=device, seed=seed, overwrite=overwrite, observe=observe, stop=stop
        )

    report, caught = run_job(job, printing=printing)
    finish(report, caught, printing=printing, summary=[], again=invocation.again())
