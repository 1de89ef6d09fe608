"""`p2p quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from p2pcli.cli import options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation
from p2pcli.cli.progress import duration
from p2pcli.cli.running import Printing, finish, run_job
from p2pcli.events import Observer, Stop
from p2pcli.kept_memory import keep_freed_memory

if TYPE_CHECKING:
    from p2pcli.jobs.quickstart import QuickstartReport

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p quickstart",
    """Make pairs from a few photos, train a small network on them and translate a clip with sound, all on
    material that comes with p2p, in under three minutes on a laptop. Ends with where everything lies and
    the commands to do the same with your own files.""",
)


@app.command("quickstart", cls=Page, help=HELP)
def quickstart(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for all that is made.")] = Path(
        "p2p-quickstart"
    ),
    device: options.DeviceOption = "auto",
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Make pairs, train, translate; see HELP."""
    from p2pcli.jobs.quickstart import quickstart as quickstart_job

    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj

    def job(observe: Observer, stop: Stop) -> QuickstartReport:
        return quickstart_job(
            output,
            device=device,
            seed=seed,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    keep_freed_memory()
    report, caught = run_job(job, printing=printing)
    if not (report.interrupted or dry_run):
        for line in _where_everything_is(report):
            printing.data(line)
    finish(
        report,
        caught,
        printing=printing,
        summary=_plan(report) if dry_run else [],
        dry_run=dry_run,
        again=invocation.again(extra=["--overwrite"], without=["--overwrite"]),
        says_output=False,
        goes_on=False,
    )


def _plan(report: QuickstartReport) -> list[str]:
    from p2pcli.jobs.quickstart import TRAIN_SECONDS

    return [
        f"Would make {report.planned_pairs} pairs (about {report.planned_bytes / 1e6:.1f} MB) in "
        f"{report.dataset}, train on them for about {duration(TRAIN_SECONDS)} into {report.run}, and "
        f"translate a clip of five seconds into {report.output}."
    ]


def _where_everything_is(report: QuickstartReport) -> list[str]:
    got, plain = report.metrics, report.baseline
    verdict = "better" if report.beats_input else "NOT better"
    minutes, place = duration(report.seconds), report.output
    return [
        "",
        f"Done in {minutes}, with {report.steps} training steps. Everything is in {place}/",
        "",
        f"  dataset          {report.dataset}",
        f"  contact sheet    {report.contact_sheet}",
        f"  model            {report.model}",
        f"  training report  {report.report_page}",
        f"  translated clip  {report.translated}  (with its sound)",
        f"  before | after   {report.comparison}",
        "",
        f"On held-out pairs the model is {verdict} than its untranslated input:",
        f"  L1    {got['l1']:.3f}     input {plain['l1']:.3f}     (lower is better)",
        f"  PSNR  {got['psnr']:.1f} dB   input {plain['psnr']:.1f} dB",
        f"  SSIM  {got['ssim']:.3f}     input {plain['ssim']:.3f}",
        "",
        "The same with your own files:",
        "  p2p make-pairs edges PHOTOS/ FILM.mp4 --method xdog -o pairs/mine",
        "  p2p train pairs/mine -r quick -o runs/mine",
        "  p2p translate OTHER-FILM.mp4 -m runs/mine -o translated.mp4",
    ]
