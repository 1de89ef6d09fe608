"""What a running job tells whoever listens, and how it is asked to stop.

Jobs call an `Observer` with these values; the CLI draws them, the Python API may ignore them. A job never
prints. The stop flag is set by the first Ctrl-C: a job looks at it at every safe point, ends cleanly there
and returns its report with `interrupted=True`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Stop = threading.Event
"""Set it to ask a job to end at its next safe point."""


@dataclass(frozen=True)
class Started:
    """A stage begins. `total` is None where it cannot be known beforehand."""

    stage: str
    total: int | None
    unit: str


@dataclass(frozen=True)
class Advanced:
    """`done` items of a stage are behind us (a count from the start, not an increment)."""

    stage: str
    done: int
    failed: int = 0
    detail: str = ""
    free: int = 0
    """Of `done`, those that took no work (skipped, or there already): they count in no rate."""


@dataclass(frozen=True)
class Ended:
    """A stage is over."""

    stage: str


@dataclass(frozen=True)
class Note:
    """A sentence for the user. `level` is "info", "detail" (shown with -v) or "warning"."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class TrainProgress:
    """Where a training run stands. Losses are means since the previous event; `seconds_left` may be None."""

    step: int
    steps: int
    epoch: int
    epochs: int
    images_per_second: float
    seconds_left: float | None
    losses: dict[str, float] = field(default_factory=dict)
    health: str = ""


Event = Started | Advanced | Ended | Note | TrainProgress
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer that listens to nothing."""
