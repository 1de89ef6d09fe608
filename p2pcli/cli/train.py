"""`p2p train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pcli.cli import completion, options
from p2pcli.cli.help import Page, help_page
from p2pcli.cli.invocation import Invocation, command_line
from p2pcli.cli.progress import duration
from p2pcli.cli.running import Printing, finish, run_job
from p2pcli.cli.threads import use_free_cores
from p2pcli.events import Observer, Stop
from p2pcli.kept_memory import keep_freed_memory

if TYPE_CHECKING:
    from p2pcli.jobs.train_report import TrainReport

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HELP = help_page(
    "p2p train pairs/edges -r quick -o runs/shoes",
    """Train a network that turns each pair's input into its target. Photos alone will do, with pairs made on
    the fly: p2p train photos/ --set pairs.maker=edges

    The run folder holds model.safetensors, best.safetensors, report.html, samples/ and log.jsonl. Ctrl-C
    stops at a safe point; the same command with --resume goes on as if nothing had happened.""",
)


@app.command("train", cls=Page, help=HELP)
def train(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A dataset from make-pairs, side-by-side images, folders A/ and B/ (or lr/ and hr/ …), or "
            "plain photos. Nothing: the newest dataset under pairs/.",
            show_default=False,
            autocompletion=completion.datasets,
        ),
    ] = None,
    recipe: options.Recipe = None,
    output: options.Output = None,
    overrides: options.Set = None,
    input_side: options.InputSide = None,
    target_side: options.TargetSide = None,
    group: Annotated[
        Literal["auto", "folder", "stem", "none"] | None,
        typer.Option("--group", help=options.GROUPS, show_default=False),
    ] = None,
    init: options.Init = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="VGG19's weights for the perceptual term, as torchvision stores them. Nothing: torch's "
            "cache, else they are fetched.",
            show_default=False,
        ),
    ] = None,
    resume: options.Resume = False,
    device: options.DeviceOption = "auto",
    workers: options.Workers = None,
    seed: options.OptionalSeed = None,
    limit: options.Limit = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Train; see HELP."""
    from p2pcli.jobs.train import train as train_job
    from p2pcli.jobs.train_plan import newest_dataset
    from p2pcli.training.distributed import is_follower as is_launched_follower

    is_follower = is_launched_follower()
    as_json, quiet = as_json and not is_follower, quiet or is_follower
    printing = Printing(json=as_json, quiet=quiet, verbose=verbose)
    invocation: Invocation = context.obj
    chosen = data
    if data is None and not resume:
        chosen = newest_dataset(Path("pairs"))
        printing.say(f"The same as: {invocation.again(extra=[chosen])}")

    def job(observe: Observer, stop: Stop) -> TrainReport:
        if device in ("auto", "cpu"):
            use_free_cores(printing)
        return train_job(
            chosen,
            recipe=recipe,
            output=output,
            overrides=[*_of_options(input_side, target_side, group), *(overrides or [])],
            init=init or [],
            weights=weights,
            device=device,
            seed=seed,
            limit=limit,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            dry_run=dry_run,
            observe=observe,
            stop=stop,
        )

    keep_freed_memory()
    report, caught = run_job(job, printing=printing)
    if is_follower:
        raise typer.Exit(int(caught.exit_code if report.interrupted else report.exit_code))
    # The run knows its data and recipe; how it is to be run is said anew.
    kept = [*([] if device == "auto" else ["--device", device]), *(["-j", str(workers)] if workers else [])]
    again = command_line(["train", "--resume", "-o", str(report.output), *kept])
    finish(
        report,
        caught,
        printing=printing,
        summary=_summary(report, dry_run=dry_run),
        again=again,
        dry_run=dry_run,
        then=command_line(["translate", "FILM.mp4", "-m", str(report.output)]) if report.model else "",
    )


def _of_options(input_side: str | None, target_side: str | None, group: str | None) -> list[str]:
    """The recipe's keys that the short options stand for."""
    import json

    given = {"input_folder": input_side, "target_folder": target_side, "group": group}
    return [
        f"data.{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in given.items()
        if value is not None
    ]


def _summary(report: TrainReport, *, dry_run: bool) -> list[str]:
    if dry_run:
        time = "" if report.estimated_seconds is None else f", about {duration(report.estimated_seconds)}"
        return [
            f"Would train {report.total_steps} steps on {report.training_pairs} pairs "
            f"({report.validation_pairs} for validation) on {report.device}{time}, into {report.output}."
        ]
    return [f"{report.steps} of {report.total_steps} steps, in {duration(report.seconds)}"]
