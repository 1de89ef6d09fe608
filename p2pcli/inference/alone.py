"""Files during which a process died, translated one by one in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from p2pcli.errors import EnvironmentFaultError, ItemError
from p2pcli.events import Note, Stop, ignore
from p2pcli.inference.film import translate_film
from p2pcli.inference.ledger import Ledger, source_mark
from p2pcli.inference.outputs import Task
from p2pcli.inference.pictures import translate_pictures
from p2pcli.inference.pipeline import BatchSize
from p2pcli.inference.progress import Progress
from p2pcli.inference.translator import load_model
from p2pcli.io.in_work import InWork, died_text
from p2pcli.io.own_process import can_start, own_process, stand_back
from p2pcli.kept_memory import is_kept, keep_freed_memory
from p2pcli.plan import Tally

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Settings:
    """What the process of its own is told: plain values."""

    model: Path
    loading: Mapping[str, Any]
    """Keyword arguments of `load_model`."""
    ledger: Path
    work: str
    quality: int
    max_pixels: int
    threads: int
    keeps_memory: bool


@dataclass(frozen=True)
class _Done:
    """What became of one file."""

    tally: Tally
    outputs: tuple[str, ...]
    notes: tuple[str, ...]
    frames: int
    frames_failed: int


class Alone:
    """What is in work, and what a process that died has left of it, beside the ledger of a translation."""

    def __init__(
        self,
        model: Path,
        loading: Mapping[str, Any],
        ledger: Ledger,
        *,
        quality: int,
        max_pixels: int,
        tries_again: bool = False,
    ) -> None:
        """`loading`: keyword arguments of `load_model`. `tries_again`: also what was given up."""
        self.quality, self.max_pixels = quality, max_pixels
        self._in_work = InWork(ledger.path.with_name(f"{ledger.path.stem}-in-work.jsonl"))
        self._unsure: set[str] = set()
        self._tries_again = tries_again
        self._settings = _Settings(
            model,
            loading,
            ledger.path,
            ledger.work,
            quality,
            max_pixels,
            threads=torch.get_num_threads(),
            keeps_memory=is_kept(),
        )

    def begin(self, task: Task) -> None:
        """Work on `task` begins in this process."""
        # Whoever reads it, if this process dies, will not try it again.
        is_alone = task.relative in self._unsure
        self._in_work.begin(task.relative, mark=self._mark(task), alone=is_alone)

    def end(self, task: Task) -> None:
        """Work on `task` is over."""
        self._in_work.end(task.relative)

    def close(self) -> None:
        """The run ends in order."""
        self._in_work.close()

    def translate(self, tasks: Sequence[Task], progress: Progress, *, stop: Stop) -> list[Task]:
        """Translate those of `tasks` during which a process died, each alone; give all others.

        One at which a process has died alone is a failed row. `stop` leaves the rest among the others.
        """
        suspects, others = [], []
        for task in tasks:
            reason = self._in_work.reason_against(task.relative, mark=self._mark(task))
            if reason is not None and not self._tries_again:
                progress.failed(task, _given_up(task, reason), "translate")
            elif reason is not None or task.relative in self._in_work.suspects():
                suspects.append(task)
            else:
                others.append(task)
        if suspects:
            count = f"{len(suspects)} file{'s' if len(suspects) > 1 else ''}"
            progress.note(f"a run died with {count} in work: tried one by one, in a process of their own")
        left = self._in_other_processes(suspects, progress, stop)
        self._unsure = {task.relative for task in left}
        return left + others

    def _in_other_processes(self, tasks: Sequence[Task], progress: Progress, stop: Stop) -> list[Task]:
        """What is left: after `stop`, or where no process can be started."""
        left = list(tasks)
        while left and not stop.is_set() and can_start():
            with own_process(_work, list(left), self._settings) as (process, messages):
                begun = self._follow(messages, left, progress, stop)
            if begun is None:
                break
            if stop.is_set():
                self._in_work.end(begun.relative)
                break
            reason = died_text(process.exitcode)
            self._in_work.died(begun.relative, mark=self._mark(begun), reason=reason)
            progress.failed(begun, _given_up(begun, reason), "translate")
            left.remove(begun)
        return left

    def _follow(self, messages: Connection, left: list[Task], progress: Progress, stop: Stop) -> Task | None:
        """Count what the other process does, until it ends; gives the task that it was at."""
        begun: Task | None = None
        while left and not stop.is_set():
            try:
                if not messages.poll(_POLL_SECONDS):
                    continue
                said = messages.recv()
            except (EOFError, ConnectionError):
                break
            if isinstance(said, EnvironmentFaultError):
                raise said
            if isinstance(said, _Done):
                assert begun is not None
                self._in_work.end(begun.relative)
                _take(said, progress, begun)
                left.remove(begun)
                begun = None
            else:
                begun = left[0]
                self._in_work.begin(begun.relative, mark=self._mark(begun), alone=True)
        return begun

    def _mark(self, task: Task) -> str:
        try:
            source = source_mark(task.entry.path)
        except OSError:
            source = {}
        return f"{self._settings.work} {sorted(source.items())}"


def _given_up(task: Task, reason: str) -> ItemError:
    return ItemError(f"{task.entry.path.name}: {reason}", stage="translate")


def _take(done: _Done, progress: Progress, task: Task) -> None:
    """Count here what was done there."""
    with progress.lock:
        progress.tally.written += done.tally.written
        progress.tally.skipped.update(done.tally.skipped)
        progress.tally.failed += done.tally.failed
        progress.outputs += done.outputs
        progress.frames += done.frames
        progress.frames_failed += done.frames_failed
    for note in done.notes:
        progress.note(note)
    progress.observe(Note(f"{task.entry.relative}: done in a process of its own", level="detail"))


def _work(messages: Connection, tasks: Sequence[Task], settings: _Settings) -> None:
    """The other process's body: each of `tasks` by itself."""
    stand_back()
    torch.set_num_threads(settings.threads)
    if settings.keeps_memory:
        keep_freed_memory()
    try:
        translator = load_model(settings.model, **settings.loading)
        for task in tasks:
            progress = Progress(Tally(), Ledger(settings.ledger, work=settings.work), ignore)
            one = BatchSize(lambda bucket: 1)
            messages.send("begin")
            if task.entry.kind == "video":
                translate_film(task, translator, progress, batch_size=one, workers=1, stop=Stop())
            else:
                translate_pictures(
                    [task],
                    translator,
                    progress,
                    batch_size=one,
                    quality=settings.quality,
                    max_pixels=settings.max_pixels,
                    workers=1,
                    stop=Stop(),
                )
            done = _Done(
                progress.tally,
                tuple(progress.outputs),
                tuple(progress.notes),
                progress.frames,
                progress.frames_failed,
            )
            messages.send(done)
    except EnvironmentFaultError as error:
        messages.send(error)
