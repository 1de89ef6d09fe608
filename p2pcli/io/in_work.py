"""What is being worked on just now, in a file that a killed process leaves behind.

Where memory runs out the system ends the process without a word, and a crash in a decoder does the same: the
next run would end at the same item. The file tells it which items to try alone, in a process of their own.
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from pathlib import Path

from p2pcli.io.atomic import environment_fault

_BEGUN, _ALONE, _DIED, _ENDED = "begun", "alone", "died", "ended"

_DIED_TWICE = "the process ended at it twice, the second time with nothing else in work"
_REMEDY = "Make it smaller, copy it again, or leave it out; --overwrite tries it again"


class InWork:
    """The names of items in work. Safe from many threads. `mark` tells whether an item is still the same."""

    def __init__(self, path: Path) -> None:
        """`path` is the file; what a process that died has left in it is taken in."""
        self.path = path
        self._lock = threading.Lock()
        self._left = _read(path)
        self._died = {name: row for name, row in self._left.items() if row["state"] == _DIED}

    def suspects(self) -> set[str]:
        """Items during which a process died, among others."""
        return {name for name, row in self._left.items() if row["state"] == _BEGUN}

    def reason_against(self, name: str, *, mark: str) -> str | None:
        """Why `name` is not to be tried again: a process died of it, with nothing else in work. Else None."""
        row = self._left.get(name)
        if row is None or row["mark"] != mark or row["state"] not in (_ALONE, _DIED):
            return None
        return row.get("reason") or died_text(None)

    def given_up(self) -> dict[str, str]:
        """Items at which a process died with nothing else in work → why they are not to be tried again."""
        return {name: row.get("reason") or died_text(None) for name, row in self._died.items()}

    def begin(self, name: str, *, mark: str, alone: bool = False) -> None:
        """Work on `name` begins; `alone`: nothing else is in work."""
        self._append({"name": name, "mark": mark, "state": _ALONE if alone else _BEGUN})

    def end(self, name: str) -> None:
        """Work on `name` is over, whatever became of it."""
        self._died.pop(name, None)
        self._append({"name": name, "mark": "", "state": _ENDED})

    def died(self, name: str, *, mark: str, reason: str) -> None:
        """The process that worked on `name` alone died."""
        row = {"name": name, "mark": mark, "state": _DIED, "reason": reason}
        self._died[name] = row
        self._append(row)

    def close(self) -> None:
        """The run ends in order: only what is not to be tried again stays on record."""
        # What nobody came to is as it was; what a process died at alone is known to be deadly.
        left = [row | ({"state": _DIED} if row["state"] == _ALONE else {}) for row in self._left.values()]
        kept = [*self._died.values(), *(row for row in left if row["name"] not in self._died)]
        text = "".join(_line(row) for row in kept)
        with self._lock, contextlib.suppress(OSError):
            if kept:
                self.path.write_text(text, encoding="utf-8")
            else:
                self.path.unlink(missing_ok=True)

    def _append(self, row: dict[str, str]) -> None:
        with self._lock:
            # What is done with it now decides, not what an earlier run left.
            self._left.pop(row["name"], None)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(_line(row))
            except OSError as error:
                raise environment_fault(error, self.path) or error from error


def died_text(exit_code: int | None) -> str:
    """Why an item is given up whose process ended with `exit_code` (None: not known, -9: by signal 9)."""
    what = _DIED_TWICE
    if exit_code is not None and exit_code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-exit_code).name
            why = "as the system does where memory runs out" if name == "SIGKILL" else "a crash in a decoder"
            what = f"{what} ({name}, {why})"
    return f"{what}. {_REMEDY}."


def stuck_text(seconds: float) -> str:
    """Why an item is given up that is still in work after `seconds` in a process of its own."""
    return f"the process ended at it, and by itself it was not done after {seconds:.0f} s. {_REMEDY}."


def _line(row: dict[str, str]) -> str:
    return json.dumps(row, ensure_ascii=True, sort_keys=True) + "\n"


def _read(path: Path) -> dict[str, dict[str, str]]:
    left: dict[str, dict[str, str]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return left
    for line in lines:
        try:
            row = {key: str(value) for key, value in json.loads(line).items()}
            name, _, state = row["name"], row["mark"], row["state"]
        except (ValueError, KeyError, AttributeError):
            continue
        left.pop(name, None)
        if state != _ENDED:
            left[name] = row
    return left
