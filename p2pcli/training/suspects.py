"""Pictures during which a run died, read one by one in a process of their own before it goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from p2pcli.errors import ItemError
from p2pcli.events import Note, Observer, Stop
from p2pcli.io.in_work import InWork, died_text, stuck_text
from p2pcli.io.own_process import can_start, own_process, stand_back
from p2pcli.recipe import Recipe
from p2pcli.training.data import open_data
from p2pcli.training.distributed import Processes
from p2pcli.training.first_reads import FirstReads
from p2pcli.training.run_folder import RunFolder

PATIENCE_SECONDS = 120.0
"""For one picture that is read alone."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Wanted:
    """What `open_data` is told: plain values, for another process."""

    path: Path
    recipe: Recipe
    limit: int | None


@contextlib.contextmanager
def recorded_reads(
    folder: RunFolder,
    wanted: Wanted,
    processes: Processes,
    *,
    tries_again: bool,
    observe: Observer,
    stop: Stop,
) -> Iterator[FirstReads]:
    """Records what this process reads; the first one tries what an earlier run died at, for all of them.

    `tries_again`: all that is on record is forgotten. Of a run that ends in order only what is deadly stays.
    """
    path, is_new = folder.in_work(processes.rank), not folder.path.exists()
    deadly: dict[str, str] = {}
    in_work = None
    if processes.is_first:
        in_work, suspects = _taken_in(folder, path, tries_again=tries_again)
        if suspects:
            count = f"{len(suspects)} picture{'s' if len(suspects) > 1 else ''}"
            observe(Note(f"a run died while it read {count}: tried one by one, in a process of their own"))
            _try_alone(suspects, wanted, in_work, stop)
        deadly = in_work.given_up()
    # The others begin theirs once the first has taken in what lies there.
    deadly = processes.from_first(deadly)
    in_work = in_work or InWork(path)
    try:
        yield FirstReads(in_work, deadly)
    finally:
        in_work.close()
        if is_new:
            with contextlib.suppress(OSError):
                # Where nothing came of the run, not even its folder stays.
                folder.path.rmdir()


def _taken_in(folder: RunFolder, own: Path, *, tries_again: bool) -> tuple[InWork, list[str]]:
    """The first process's record, and all that the processes of an earlier run were at when it died."""
    paths = sorted(folder.path.glob(folder.in_work("*").name))
    suspects = {name for path in paths for name in InWork(path).suspects()}
    for path in paths:
        if tries_again or path != own:
            path.unlink(missing_ok=True)
    return InWork(own), [] if tries_again else sorted(suspects)


def _try_alone(suspects: Sequence[str], wanted: Wanted, in_work: InWork, stop: Stop) -> None:
    """Read each in another process, and leave on record of which it died."""
    left = list(suspects)
    while left and not stop.is_set() and can_start():
        with own_process(_read_each, list(left), wanted) as (process, messages):
            begun, is_stuck = _follow(process, messages, left, in_work, stop)
        if begun is None or stop.is_set():
            break
        reason = stuck_text(PATIENCE_SECONDS) if is_stuck else died_text(process.exitcode)
        in_work.died(begun, mark="", reason=reason)
        left.remove(begun)


def _follow(
    process: BaseProcess, messages: Connection, left: list[str], in_work: InWork, stop: Stop
) -> tuple[str | None, bool]:
    """What the other process was at when it ended, and whether it was ended for taking too long."""
    begun, until = None, 0.0
    while left and not stop.is_set():
        try:
            if not messages.poll(_POLL_SECONDS):
                if begun is not None and time.monotonic() > until:
                    # Not asked: a decoder that hangs hears nothing.
                    process.kill()
                    return begun, True
                continue
            messages.recv()
        except (EOFError, ConnectionError):
            break
        # It speaks before and after each.
        if begun is None:
            begun, until = left[0], time.monotonic() + PATIENCE_SECONDS
        else:
            in_work.end(begun)
            left.remove(begun)
            begun = None
    return begun, False


def _read_each(messages: Connection, names: Sequence[str], wanted: Wanted) -> None:
    """The other process's body."""
    stand_back()
    data = open_data(wanted.path, wanted.recipe, limit=wanted.limit)
    for name in names:
        messages.send("begin")
        with contextlib.suppress(ItemError):
            data.read_once(name)
        messages.send("end")
