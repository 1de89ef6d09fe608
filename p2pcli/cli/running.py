"""Runs one job under progress and signals, then says how it ended: summary, JSON, exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from p2pcli.cli.invocation import Invocation
from p2pcli.cli.json_line import json_line
from p2pcli.cli.progress import counted, drawing, duration
from p2pcli.cli.signals import Caught, stopping_on_signals
from p2pcli.errors import ExitCode
from p2pcli.events import Observer, Stop
from p2pcli.visible import visible


class Report(Protocol):
    """What every job gives back."""

    @property
    def tally(self) -> Tally:
        """Planned = written + skipped + failed."""

    @property
    def output(self) -> Path:
        """Where the result lies."""

    @property
    def interrupted(self) -> bool:
        """True where a signal ended it early."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def exit_code(self) -> ExitCode:
        """0, or 3 with failed items."""

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON-able values."""


if TYPE_CHECKING:
    from p2pcli.plan import Tally

R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class Printing:
    """How much a verb says."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def say(self, line: str) -> None:
        """A line for people, on stderr, unless they asked for silence."""
        if not self.quiet:
            sys.stderr.write(f"{visible(line)}\n")

    def data(self, line: str) -> None:
        """The result itself, on stdout, where it is not a JSON object that is asked for.

        A name with control characters is shown with escapes; JSON holds it as it is.
        """
        if not self.json:
            sys.stdout.write(f"{visible(line)}\n")


def newest_unless(
    model: Path | None, *, invocation: Invocation, printing: Printing, extra: Sequence[str] = ()
) -> tuple[Path, str]:
    """`model`, or the newest run under runs/, and the command that says so.

    Where anything was chosen for the caller (`extra` are other words that were), that command is printed.
    """
    from p2pcli.jobs.translate import newest_model

    chosen = model or newest_model(Path("runs")).parent
    words = [*extra, *([] if model else ["-m", str(chosen)])]
    again = invocation.again(extra=words)
    if words:
        printing.say(f"The same as: {again}")
    return chosen, again


def run_job(call: Callable[[Observer, Stop], R], *, printing: Printing) -> tuple[R, Caught]:
    """Call one job with an observer that draws and a stop flag that signals set."""
    stop = Stop()
    with (
        stopping_on_signals(stop) as caught,
        drawing(quiet=printing.quiet, verbose=printing.verbose) as observe,
    ):
        return call(observe, stop), caught


def finish(
    report: Report,
    caught: Caught,
    *,
    printing: Printing,
    summary: list[str],
    again: str,
    dry_run: bool = False,
    says_output: bool = True,
    goes_on: bool = True,
    anew: str = "",
    then: str = "",
) -> None:
    """Print the end of a job and leave with its exit code; `again` is the command that resumes it, or, where
    `goes_on` is off, begins it anew, as it does with `anew`, the one item that was under way; `then` is the
    one that most people want next.

    stdout gets the path of the output, unless there is none yet (a dry run, an interruption), or
    `says_output` is off because more than the path has been printed.
    """
    for line in summary:
        # A plan is what a dry run was asked for, so it is data.
        (printing.data if dry_run else printing.say)(line)
    if report.interrupted:
        what = "To go on from here" if goes_on else "To begin anew"
        if goes_on and anew:
            what += f" ({anew} was not finished and starts anew)"
        # On a line of its own, so that it can be copied whole.
        printing.say(f"Stopped after {duration(report.seconds)}. {what}:")
        printing.say(again)
    elif then and not dry_run and report.exit_code in (ExitCode.OK, ExitCode.ITEMS_FAILED):
        printing.say(f"Next: {then}")
    if printing.json:
        sys.stdout.write(json_line(report.as_json()))
    elif says_output and not (dry_run or report.interrupted):
        printing.data(str(report.output))
    code = caught.exit_code if report.interrupted else report.exit_code
    raise typer.Exit(int(code))


def tally_line(tally: Tally, *, unit: str, seconds: float) -> str:
    """ "118 pairs written, 2 skipped (duplicate 2), 1 failed of 121 planned, in 4 s"."""
    parts = [f"{counted(tally.written, unit)} written"]
    if tally.skipped:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(tally.skipped.items()))
        parts.append(f"{sum(tally.skipped.values())} skipped ({reasons})")
    if tally.failed:
        parts.append(f"{len(tally.failed)} failed")
    return f"{', '.join(parts)} of {tally.planned} planned, in {duration(seconds)}"
