"""What `translate` gives back, and what it leaves in the output folder beside the translations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from p2pcli.errors import ExitCode
from p2pcli.io.atomic import write_bytes
from p2pcli.plan import Failure, Tally

FOREIGN = "exists, not written by p2p"
"""Why a file is skipped that only `overwrite` replaces."""


@dataclass
class TranslateReport:
    """What became of every file."""

    output: Path
    """The folder, or the one file, that was written."""
    model: Path
    tally: Tally = field(default_factory=Tally)
    """Counts files; a film is one."""
    interrupted: bool = False
    seconds: float = 0.0
    frames: int = 0
    """Film frames written."""
    frames_failed: int = 0
    """Of these, frames that show the source, since they could not be translated."""
    unfinished_film: str = ""
    """The film at which an interruption met the run: the next run begins it anew. Empty where it met none."""
    notes: list[str] = field(default_factory=list)
    dry_run: bool = False
    outputs: list[str] = field(default_factory=list)
    """The files that this run wrote; with `dry_run` those that it would."""

    @property
    def exit_code(self) -> ExitCode:
        """3 where a file failed or a film holds untranslated frames, else 0."""
        return ExitCode.ITEMS_FAILED if self.tally.failed or self.frames_failed else ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON-able values."""
        return {
            "output": str(self.output),
            "model": str(self.model),
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "frames_failed": self.frames_failed,
            "unfinished_film": self.unfinished_film,
            "notes": self.notes,
            "dry_run": self.dry_run,
            "outputs": self.outputs,
            **self.tally.as_json(),
        }


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """One JSON object a line, sorted by key; without failures there is no file."""
    rows = sorted(failures, key=lambda failure: failure.key)
    if not rows:
        path.unlink(missing_ok=True)
        return
    lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
    write_bytes(path, "".join(lines).encode("utf-8", "backslashreplace"))


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
