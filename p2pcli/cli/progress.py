"""Draws a job's events on stderr: moving bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from p2pcli.events import Advanced, Ended, Event, Note, Observer, Started, TrainProgress, ignore
from p2pcli.visible import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress, TaskID

SECONDS_BETWEEN_LINES = 10.0
SHARE_BETWEEN_LINES = 0.1
SECONDS_AT_LEAST = 1.0
"""Short jobs would otherwise print ten lines in a blink."""


@contextmanager
def drawing(*, quiet: bool, verbose: bool) -> Iterator[Observer]:
    """An observer that suits stderr; nothing is drawn with `quiet`, details too with `verbose`."""
    if quiet:
        yield ignore
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Bars(verbose=verbose) as bars:
            yield bars.observe
    else:
        yield Lines(verbose=verbose, stream=sys.stderr).observe


def training_line(event: TrainProgress) -> str:
    """Losses and health: "gan 1.02  l1 12.4  d_real 0.61 · healthy"."""
    losses = "  ".join(f"{name} {value:.4g}" for name, value in event.losses.items())
    return " · ".join(part for part in (losses, event.health) if part)


def duration(seconds: float) -> str:
    """ "8 s", "3 min 20 s", "2 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(unit: str) -> str:
    """The unit of a count: "frame" and "frames" both give "frames"."""
    return unit if unit.endswith("s") else f"{unit}s"


def counted(count: int, unit: str) -> str:
    """ "1 pair", "2 pairs"."""
    return f"{count} {unit if count == 1 else plural(unit)}"


class Lines:
    """A plain line at the start of a stage, then every 10 s or 10 %, and at its end."""

    def __init__(self, *, verbose: bool, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._verbose = verbose
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._stages: dict[str, Started] = {}
        self._began: dict[str, float] = {}
        self._printed: dict[str, tuple[float, int]] = {}
        self._newest: dict[str, Advanced] = {}

    def observe(self, event: Event) -> None:
        """Print what `event` says, if it is time for a line."""
        with self._lock:
            match event:
                case Note():
                    self._note(event)
                case Started():
                    self._stages[event.stage] = event
                    self._began[event.stage] = self._clock()
                    self._printed[event.stage] = (self._clock(), 0)
                case Advanced():
                    self._advance(event)
                case TrainProgress():
                    self._train(event)
                case Ended():
                    self._end(event)

    def _write(self, text: str) -> None:
        self._stream.write(f"{visible(text)}\n")
        self._stream.flush()

    def _note(self, note: Note) -> None:
        if note.level == "warning":
            self._write(f"warning: {note.text}")
        elif note.level == "info" or self._verbose:
            self._write(note.text)

    def _is_time(self, stage: str, done: int, total: int | None) -> bool:
        now = self._clock()
        last, printed = self._printed.setdefault(stage, (now, 0))
        far = total is not None and done - printed >= SHARE_BETWEEN_LINES * total
        if now - last >= SECONDS_BETWEEN_LINES or (far and now - last >= SECONDS_AT_LEAST):
            self._printed[stage] = (now, done)
            return True
        return False

    def _advance(self, event: Advanced) -> None:
        self._newest[event.stage] = event
        started = self._stages.get(event.stage)
        if self._is_time(event.stage, event.done, started.total if started else None):
            self._write(self._counted(event))

    def _counted(self, event: Advanced) -> str:
        started = self._stages.get(event.stage)
        unit = plural(started.unit) if started else "items"
        of = f" of {started.total}" if started and started.total else ""
        failed = f", {event.failed} failed" if event.failed else ""
        detail = f" · {event.detail}" if event.detail else ""
        seconds = self._clock() - self._began.get(event.stage, self._clock())
        speed = (event.done - event.free) / seconds if seconds > 0 else 0.0
        rate = f", {speed:.1f} a second" if speed >= 0.05 else ""
        return f"{event.stage}: {event.done}{of} {unit}{failed}{rate}{detail}"

    def _train(self, event: TrainProgress) -> None:
        if self._is_time("train", event.step, event.steps) or event.step == event.steps:
            left = f", {duration(event.seconds_left)} left" if event.seconds_left is not None else ""
            self._write(
                f"train: step {event.step} of {event.steps}, epoch {event.epoch} of {event.epochs}, "
                f"{event.images_per_second:.1f} images/s{left} · {training_line(event)}"
            )

    def _end(self, event: Ended) -> None:
        newest = self._newest.pop(event.stage, None)
        if newest is not None and self._printed.get(event.stage, (0.0, 0))[1] != newest.done:
            self._write(self._counted(newest))
        self._stages.pop(event.stage, None)


class Bars:
    """Moving bars with rates and time left; below them, while training, losses and health."""

    def __init__(self, *, verbose: bool) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.text import Text

        self._verbose = verbose
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress = Progress(
            # Names of files stand in both, and may hold what rich takes for markup.
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self._console,
        )
        self._below = Text()
        self._live: Live = Live(
            Group(self._progress, self._below), console=self._console, refresh_per_second=8, transient=True
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def observe(self, event: Event) -> None:
        """Move what `event` moves."""
        match event:
            case Note():
                self._note(event)
            case Started():
                self._tasks[event.stage] = self._add(event.stage, event.total, event.unit)
            case Advanced() if event.stage in self._tasks:
                self._advance(event)
            case TrainProgress():
                self._train(event)
            case Ended() if event.stage in self._tasks:
                self._progress.remove_task(self._tasks.pop(event.stage))
                self._below.plain = ""
            case _:
                pass

    def _add(self, stage: str, total: int | None, unit: str) -> TaskID:
        if stage in self._tasks:
            self._progress.remove_task(self._tasks[stage])
        return self._progress.add_task(visible(stage), total=total, unit=plural(unit), rate="", detail="")

    def _note(self, note: Note) -> None:
        from rich.text import Text

        if note.level == "warning":
            self._console.print(Text(visible(f"warning: {note.text}"), style="yellow"), soft_wrap=True)
        elif note.level == "info" or self._verbose:
            self._console.print(Text(visible(note.text)), soft_wrap=True)

    def _advance(self, event: Advanced) -> None:
        task = self._tasks[event.stage]
        detail = f"{event.failed} failed  {event.detail}" if event.failed else event.detail
        # rich's own speed would count what took no work.
        seconds = self._progress.tasks[self._progress.task_ids.index(task)].elapsed or 0.0
        speed = (event.done - event.free) / seconds if seconds > 0 else 0.0
        rate = f", {speed:.1f}/s" if speed >= 0.05 else ""
        self._progress.update(task, completed=event.done, detail=visible(detail), rate=rate)

    def _train(self, event: TrainProgress) -> None:
        if "train" not in self._tasks:
            self._tasks["train"] = self._add("train", event.steps, "steps")
        self._progress.update(
            self._tasks["train"],
            total=event.steps,
            completed=event.step,
            rate=f", {event.images_per_second:.1f} images/s",
            detail=f"epoch {event.epoch}/{event.epochs}",
        )
        self._below.plain = training_line(event)
