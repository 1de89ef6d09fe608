"""A plan is what a job will do, fixed before it does anything; a tally is what became of it.

The plan's fingerprint ties an output to its inputs and options: a job resumes only what has the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from p2pcli.errors import ResumeMismatchError

MAX_SEED = 2**63 - 1
"""What torch and a column of int64 can hold."""


def fingerprint(values: object) -> str:
    """A SHA-256 (hex) of any JSON-able value; equal values give equal fingerprints on any machine."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """One line `name: before → now` for each top-level entry that differs, sorted by name."""
    absent = object()

    def shown(value: object) -> str:
        if value is absent:
            return "(absent)"
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        return text if len(text) <= 80 else f"{text[:77]}…"

    names = sorted({*before, *now})
    pairs = [(name, before.get(name, absent), now.get(name, absent)) for name in names]
    return [f"{name}: {shown(a)} → {shown(b)}" for name, a, b in pairs if a != b]


def require_same(before: Mapping[str, object], now: Mapping[str, object], *, what: str, remedy: str) -> None:
    """Raise `ResumeMismatchError` that lists the differences, unless both plans are equal."""
    changed = differences(before, now)
    if changed:
        listed = "; ".join(changed[:6]) + ("; …" if len(changed) > 6 else "")
        raise ResumeMismatchError(f"{what} was made with other inputs or options ({listed}). {remedy}")


@dataclass(frozen=True)
class Failure:
    """One planned item that could not be done: a row of the failures table."""

    key: str
    source: str
    stage: str
    error: str
    message: str


@dataclass
class Tally:
    """planned = written + skipped + failed, always; `close` checks it."""

    planned: int = 0
    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason → how many."""
    failed: list[Failure] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many planned items have met their fate."""
        return self.written + sum(self.skipped.values()) + len(self.failed)

    def close(self, *, interrupted: bool = False) -> None:
        """Check the sum. After an interruption the remainder counts as skipped("interrupted")."""
        if interrupted and self.done < self.planned:
            self.skipped["interrupted"] += self.planned - self.done
        if self.done != self.planned:
            raise AssertionError(
                f"planned {self.planned} items, but {self.written} written + {sum(self.skipped.values())} "
                f"skipped + {len(self.failed)} failed = {self.done}"
            )

    def as_json(self) -> dict[str, object]:
        """Numbers, reasons and failure rows, for `--json` and manifests."""
        return {
            "planned": self.planned,
            "written": self.written,
            "skipped": sum(self.skipped.values()),
            "failed": len(self.failed),
            "skipped_reasons": dict(sorted(self.skipped.items())),
            "failures": [asdict(failure) for failure in self.failed],
        }
