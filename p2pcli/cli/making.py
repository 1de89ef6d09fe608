"""What all commands of `p2p make-pairs` have in common: their options, the job they call, its summary."""

# No `from __future__ import annotations` here: the options would be parsed anew at every start.
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from p2pcli.cli import options
from p2pcli.cli.invocation import Invocation, command_line
from p2pcli.cli.progress import counted
from p2pcli.cli.running import Printing, finish, run_job, tally_line
from p2pcli.errors import UsageError
from p2pcli.events import Observer, Stop

if TYPE_CHECKING:
    from p2pcli.jobs.make_pairs import MakePairsReport

PICTURES = "Which pictures, at what size"
DATASET = "How they are stored"
_SHOWN_FAILURES = 5


@dataclass(frozen=True)
class Shared:
    """The options that every maker's command has."""

    sources: options.Sources = None
    output: options.Output = None
    size: Annotated[
        int,
        typer.Option("--size", min=1, help="Side of the finished pictures in px.", rich_help_panel=PICTURES),
    ] = 256
    fit: Annotated[
        Literal["crop", "pad", "stretch", "inside", "source"],
        typer.Option(
            "--fit",
            help="How a picture comes to that size: cut to a square, padded to one, stretched, its shorter "
            "side scaled, or (source) left as it is.",
            rich_help_panel=PICTURES,
        ),
    ] = "crop"
    resample: Annotated[
        Literal["auto", "area", "bilinear", "bicubic", "lanczos", "nearest"],
        typer.Option(
            "--resample", help="Kernel of --fit. auto: area down, bicubic up.", rich_help_panel=PICTURES
        ),
    ] = "auto"
    every: Annotated[
        str | None,
        typer.Option(
            "--every",
            help="Films: a frame every 2s, 0.5s, or every 12 (frames). Nothing: one a second.",
            show_default=False,
            rich_help_panel=PICTURES,
        ),
    ] = None
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps", help="Films: this many frames a second.", show_default=False, rich_help_panel=PICTURES
        ),
    ] = None
    input_side: options.InputSide = None
    target_side: options.TargetSide = None
    layout: Annotated[
        Literal["photos", "folders"] | None,
        typer.Option(
            "--layout",
            help="photos: every picture, whatever it is called. folders: the targets of two folders. "
            "Nothing: folders where two hold the same names.",
            show_default=False,
            rich_help_panel=PICTURES,
        ),
    ] = None
    background: Annotated[
        int,
        typer.Option(
            "--background", min=0, max=255, help="Gray behind what is transparent.", rich_help_panel=PICTURES
        ),
    ] = 255
    split: Annotated[
        str,
        typer.Option("--split", help="Shares of train/validation/test.", rich_help_panel=DATASET),
    ] = "0.9/0.05/0.05"
    group: Annotated[
        Literal["auto", "folder", "stem", "none"],
        typer.Option("--group", help=options.GROUPS, rich_help_panel=DATASET),
    ] = "auto"
    encoding: Annotated[
        Literal["png", "jpg", "webp"],
        typer.Option("--encoding", help="How pictures are stored.", rich_help_panel=DATASET),
    ] = "png"
    quality: Annotated[
        int,
        typer.Option("--quality", min=1, max=100, help="Of jpg and webp.", rich_help_panel=DATASET),
    ] = 95
    jitter: Annotated[
        bool,
        typer.Option(
            "--jitter",
            help="Draw the maker's options that are not given anew for each picture.",
            rich_help_panel=DATASET,
        ),
    ] = False
    preview: Annotated[
        Path | None,
        typer.Option(
            "--preview",
            help="Where the contact sheet goes. Nothing: preview.png in the dataset.",
            show_default=False,
            rich_help_panel=DATASET,
        ),
    ] = None
    workers: options.Workers = None
    seed: options.Seed = 0
    limit: options.Limit = None
    max_pixels: options.MaxPixels = 200_000_000
    overwrite: options.Overwrite = False
    dry_run: options.DryRun = False
    as_json: options.Json = False
    quiet: options.Quiet = False
    verbose: options.Verbose = False
    debug: options.Debug = False


def run_maker(context: typer.Context, maker: str, given: Mapping[str, object], shared: Shared) -> None:
    """Make pairs with `maker`, with those of its options that are `given` (not None), and end the command."""
    from p2pcli.jobs.make_pairs import make_pairs

    printing = Printing(json=shared.as_json, quiet=shared.quiet, verbose=shared.verbose)
    invocation: Invocation = context.obj
    sources = shared.sources or [Path()]
    output = shared.output or Path("pairs") / maker
    extra = [*([] if shared.sources else ["."]), *([] if shared.output else ["-o", str(output)])]
    again = invocation.again(extra=extra)
    if extra:
        printing.say(f"The same as: {again}")

    def job(observe: Observer, stop: Stop) -> "MakePairsReport":
        return make_pairs(
            maker,
            sources,
            output,
            options={name: value for name, value in given.items() if value is not None},
            size=shared.size,
            fit=shared.fit,
            kernel=shared.resample,
            background=shared.background,
            quality=shared.quality,
            every=shared.every,
            fps=shared.fps,
            split=_shares(shared.split),
            seed=shared.seed,
            workers=shared.workers,
            encoding=shared.encoding,
            limit=shared.limit,
            max_pixels=shared.max_pixels,
            jitter=shared.jitter,
            layout=shared.layout,
            input_folder=shared.input_side,
            target_folder=shared.target_side,
            group=shared.group,
            preview=shared.preview,
            overwrite=shared.overwrite,
            dry_run=shared.dry_run,
            observe=observe,
            stop=stop,
        )

    report, caught = run_job(job, printing=printing)
    summary = _summary(report, dry_run=shared.dry_run)
    finish(
        report,
        caught,
        printing=printing,
        summary=summary,
        again=again,
        dry_run=shared.dry_run,
        # Where not one pair could be made, there is no dataset whose path could be said.
        says_output=report.tally.written > 0,
        then=command_line(["train", str(report.output)]) if report.tally.written else "",
    )


def _shares(text: str) -> list[float]:
    """ "0.9/0.05/0.05" as numbers."""
    try:
        return [float(share) for share in text.split("/")]
    except ValueError:
        raise UsageError(
            f"--split {text}: expected three shares for train, validation and test that sum to 1, such as "
            "0.9/0.05/0.05."
        ) from None


def _summary(report: "MakePairsReport", *, dry_run: bool) -> list[str]:
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    size = f"{report.bytes / 1e6:.1f} MB"
    if dry_run:
        return [
            f"Would write {counted(sum(report.splits.values()), 'pair')} ({splits}) to {report.output}: "
            f"{counted(report.shards, 'shard')}, about {size}."
        ]
    lines = [tally_line(report.tally, unit="pair", seconds=report.seconds)]
    if report.nothing_to_do:
        lines.insert(0, f"Nothing to do: {report.output} is whole already. When it was made:")
    if report.preview is not None:
        lines.append(f"{splits}; {counted(report.shards, 'shard')}, {size}. Have a look: {report.preview}")
    failed = report.tally.failed
    lines += [f"failed: {one.source}: {one.message}" for one in failed[:_SHOWN_FAILURES]]
    if len(failed) > _SHOWN_FAILURES:
        from p2pcli.jobs.pairs_output import ERRORS_FILE

        # The table is written last, as the preview is.
        table = "" if report.preview is None else f"; all of them are in {report.output / ERRORS_FILE}"
        lines.append(f"failed: {len(failed) - _SHOWN_FAILURES} more{table}")
    return lines
