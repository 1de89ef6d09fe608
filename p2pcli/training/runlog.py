"""log.jsonl of a run: one JSON object a line.

Kinds: "start", "step", "validation", "formulas", "health" and "end".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from p2pcli import untrusted
from p2pcli.image import Image
from p2pcli.io.atomic import environment_fault, write_bytes
from p2pcli.io.places import unusable
from p2pcli.untrusted import parse_json_object, require_kinds

FORMULAS_ROW = "formulas"
"""Kind of the row before which validations were measured by an older version, whose SSIM was another."""


class Mirror(Protocol):
    """Another place for what a log gets."""

    def write(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """One row."""

    def picture(self, step: int, grid: Image) -> None:
        """A sample grid."""


class RunLog:
    """Appends rows; each is on disk (flushed) when `write` returns."""

    def __init__(self, path: Path, *, mirror: Mirror | None = None) -> None:
        """`mirror` is told all that is written."""
        self.path = path
        self._mirror = mirror

    def write(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """Add one row. `step` counts the steps behind us; `cut_after` goes by it."""
        row = {"kind": kind, "step": step, **values}
        append_line(self.path, json.dumps(row, ensure_ascii=False))
        if self._mirror is not None:
            self._mirror.write(kind, step, values)

    def picture(self, step: int, grid: Image) -> None:
        """A sample grid after `step` steps: nothing for the log itself, only for its mirror."""
        if self._mirror is not None:
            self._mirror.picture(step, grid)

    def cut_after(self, step: int) -> None:
        """Drop what a killed run logged after the checkpoint of `step`, and any half-written line."""
        kept = [row for row in read_log(self.path) if int(str(row.get("step", 0))) <= step]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        write_bytes(self.path, text.encode())


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file. Raises `EnvironmentFaultError` where the disk is full or not writable,
    `UsageError` where the file is a link or no regular file.
    """
    try:
        untrusted.append_line(path, line)
    except OSError as error:
        raise environment_fault(error, path) or unusable(error, path) from error


def read_log(path: Path) -> list[dict[str, object]]:
    """All whole rows, in order; [] where there is no file."""
    rows = []
    for line in text_of(path).splitlines():
        try:
            row = parse_json_object(line, may_be_infinite=True)
            require_kinds(row, {"kind": str}, needed=True)
            require_kinds(row, {"step": int})
        except ValueError:
            continue
        rows.append(row)
    return rows


def text_of(path: Path) -> str:
    """A file of lines as text; empty where there is no file. Raises `UsageError` where it cannot be read."""
    try:
        return untrusted.read_text(path, limit=untrusted.JSON_BYTES, errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise unusable(error, path) from None
