"""log.jsonl of a run: one JSON object a line.

Kinds: "start", "step", "validation", "formulas", "health" and "end".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from p2pcli.image import Image
from p2pcli.io.atomic import environment_fault, write_bytes

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
    """Add a line to a text file. Raises `EnvironmentFaultError` where the disk is full or not writable."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise environment_fault(error, path) or error from error


def read_log(path: Path) -> list[dict[str, object]]:
    """All whole rows, in order; [] where there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "kind" in row:
            rows.append(row)
    return rows
