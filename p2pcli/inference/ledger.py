"""What an output folder holds that is done and ours: one JSON object a line, appended as files are finished.

An output counts as done only where its source, the model and the options are the recorded ones and the file
has the recorded size. Files are renamed into place when whole, so a half-written one never has its name.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Literal

from p2pcli.io.atomic import environment_fault
from p2pcli.io.places import unusable
from p2pcli.untrusted import JSON_BYTES, append_line, parse_json_object, read_text, require_kinds

State = Literal["absent", "done", "stale", "foreign"]


def source_mark(path: Path) -> dict[str, int]:
    """What tells whether a source is still the same file: its size in bytes and time of change."""
    information = path.stat()
    return {"bytes": information.st_size, "mtime_ns": information.st_mtime_ns}


class Ledger:
    """The record beside the outputs. Safe from many threads."""

    def __init__(self, path: Path, *, work: str) -> None:
        """`path` is the file; `work` the fingerprint of model and options. A cut line is passed over.

        Raises `UsageError` where what lies at `path` is no file of lines.
        """
        self.path = path
        self.work = work
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, object]] = {}
        self._ends_whole = True
        try:
            text = read_text(path, limit=JSON_BYTES, errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise unusable(error, path) from None
        self._ends_whole = not text or text.endswith("\n")
        for line in text.splitlines():
            try:
                row = parse_json_object(line)
                require_kinds(row, {"output": str}, needed=True)
                self._rows[row["output"]] = row
            except ValueError:
                continue

    def state(self, relative: str, output: Path, source: Path) -> State:
        """What lies at `output`: nothing, this very translation, an older one of ours, or somebody's file."""
        try:
            size = output.stat().st_size
        except OSError:
            return "absent"
        row = self._rows.get(relative)
        if row is None:
            return "foreign"
        expected = {"output": relative, "work": self.work, "source": _mark_or_none(source), "bytes": size}
        return "done" if row == expected else "stale"

    def begin(self, relative: str) -> None:
        """Record that we are about to write `relative`: if a crash follows the rename, it is still ours."""
        self._append({"output": relative, "begun": True})

    def finish(self, relative: str, output: Path, source_marked: dict[str, int]) -> None:
        """Record that `output` is whole; `source_marked` was taken before the source was read."""
        size = output.stat().st_size
        self._append({"output": relative, "work": self.work, "source": source_marked, "bytes": size})

    def _append(self, row: dict[str, object]) -> None:
        line = json.dumps(row, ensure_ascii=True, sort_keys=True)
        with self._lock:
            self._rows[str(row["output"])] = row
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Whatever a crash cut off must not swallow this line.
                append_line(self.path, line, after="" if self._ends_whole else "\n")
                self._ends_whole = True
            except OSError as error:
                raise environment_fault(error, self.path) or unusable(error, self.path) from error


def _mark_or_none(source: Path) -> dict[str, int] | None:
    try:
        return source_mark(source)
    except OSError:
        return None
