"""Counting a translation's files from several threads: the tally, the ledger and the events in one place."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from p2pcli.errors import ItemError, P2PError, unforeseen
from p2pcli.events import Advanced, Note, Observer
from p2pcli.inference.ledger import Ledger
from p2pcli.inference.outputs import Task
from p2pcli.plan import Failure, Tally

STAGE = "translate"


@dataclass
class Progress:
    """Where a run stands. Its methods may be called from any thread."""

    tally: Tally
    ledger: Ledger
    observe: Observer
    frames: int = 0
    """Film frames that were written."""
    frames_failed: int = 0
    """Of these, frames that show the source, since they could not be translated."""
    unfinished_film: str = ""
    """The film at which the run was stopped, if it was at one."""
    outputs: list[str] = field(default_factory=list)
    """Files that were written."""
    notes: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def written(self, task: Task, source_marked: dict[str, int]) -> None:
        """`task.output` is whole and in place."""
        self.ledger.finish(task.relative, task.output, source_marked)
        with self.lock:
            self.tally.written += 1
            self.outputs.append(str(task.output))
            self._advance(task)

    def incomplete(self, task: Task, source_marked: dict[str, int], error: ItemError) -> None:
        """`task.output` is in place, but its source lacks a part: failed; done again if that changes."""
        self.ledger.finish(task.relative, task.output, source_marked)
        with self.lock:
            self.outputs.append(str(task.output))
        self.failed(task, error, "read")

    def skipped(self, task: Task, reason: str) -> None:
        """`task` was left out."""
        with self.lock:
            self.tally.skipped[reason] += 1
            self._advance(task)

    def failed(self, task: Task, error: Exception, stage: str) -> None:
        """`task` could not be done; an `ItemError` knows its own stage."""
        where = error.stage if isinstance(error, ItemError) else stage
        name = type(error.__cause__ or error).__name__
        message = _sentence(error, task, where)
        with self.lock:
            failure = Failure(task.entry.key, str(task.entry.path), where, name, message)
            self.tally.failed.append(failure)
            named = message if task.entry.path.name in message else f"{task.entry.relative}: {message}"
            self.observe(Note(named, level="detail"))
            self._advance(task)

    def note(self, text: str, *, level: str = "info") -> None:
        """A sentence for the user, kept for the report."""
        with self.lock:
            self.notes.append(text)
            self.observe(Note(text, level=level))

    def _advance(self, task: Task) -> None:
        done = self.tally.done
        free = self.tally.skipped.total()
        self.observe(Advanced(STAGE, done, len(self.tally.failed), task.entry.relative, free))


def _sentence(error: Exception, task: Task, stage: str) -> str:
    """What to tell of `error`: what the system says of a file names neither what to expect nor what to do."""
    name = task.entry.path.name
    if isinstance(error, P2PError):
        return str(error)
    if not isinstance(error, OSError) or error.strerror is None:
        return unforeseen(name, error)
    if stage == "write":
        return (
            f"{task.output}: cannot be written ({error.strerror}). Make room for it or choose another output "
            "with -o."
        )
    return f"{name}: cannot be read ({error.strerror}). Check the path and its permissions."
