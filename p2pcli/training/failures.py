"""Training pairs that could not be read: each recorded once, in memory and in the run's failures.jsonl."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from p2pcli.errors import ItemError
from p2pcli.events import Note, Observer
from p2pcli.plan import Failure
from p2pcli.training.runlog import append_line, text_of
from p2pcli.untrusted import parse_json_object, require_kinds


class FailureLog:
    """Collects failures from many threads; a key counts once, also across resumes."""

    def __init__(self, path: Path | None, *, source: str, observe: Observer) -> None:
        """Rows already in `path` are read back; None keeps them in memory only."""
        self._path = path
        self._source = source
        self._observe = observe
        self._lock = threading.Lock()
        self._rows = {row.key: row for row in read_failures(path)} if path else {}

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    @property
    def rows(self) -> list[Failure]:
        """Every failure so far, sorted by key."""
        with self._lock:
            return [self._rows[key] for key in sorted(self._rows)]

    def record(self, key: str, error: ItemError) -> None:
        """Remember that `key` failed, write its row and tell the observer; the second time does nothing."""
        cause = error.__cause__ or error
        row = Failure(key, self._source, error.stage, type(cause).__name__, str(error))
        self.take([row])

    def take(self, rows: Iterable[Failure]) -> None:
        """Take in rows from here or from other processes of the run; a key that is known does nothing."""
        for row in rows:
            with self._lock:
                if row.key in self._rows:
                    continue
                self._rows[row.key] = row
                if self._path is not None:
                    append_line(self._path, json.dumps(asdict(row), ensure_ascii=False))
            text = f"{row.key} cannot be used and is replaced by the next pair: {row.message}"
            self._observe(Note(text, level="warning"))


def read_failures(path: Path) -> list[Failure]:
    """The rows of a failures.jsonl; a last line that was cut short by a kill is left out."""
    rows = []
    for line in text_of(path).splitlines():
        try:
            row = parse_json_object(line)
            require_kinds(row, dict.fromkeys(row, str))
            rows.append(Failure(**row))
        except (ValueError, TypeError):
            continue
    return rows
