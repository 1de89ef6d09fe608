"""Whether a run has become slow while it trains: other work on the machine costs it most of its speed."""

from __future__ import annotations

_SETTLE_SECONDS = 5.0
"""Of slow speed in a row before it is said: a validation or a checkpoint is no change."""

_STEADY = 3
"""Speeds from which a usual one is known."""


class Pace:
    """Compares the speed with the run's own usual one; says each halving once."""

    def __init__(self) -> None:
        self._begin("")

    def _begin(self, of: str) -> None:
        self._of = of
        self._speeds: list[float] = []
        self._usual = self._slow_since = 0.0

    def update(self, speed: float, now: float, *, of: str = "") -> str:
        """Take in `speed` (pictures a second) at `now` (seconds); a sentence where it has halved, else "".

        `of`: the size of the pictures; with another one the comparison begins anew.
        """
        if of != self._of:
            self._begin(of)
        if len(self._speeds) < _STEADY:
            self._speeds.append(speed)
            self._usual = sorted(self._speeds)[len(self._speeds) // 2]
            return ""
        if speed > self._usual / 2:
            self._slow_since = 0.0
            self._usual = max(self._usual, 0.9 * self._usual + 0.1 * speed)
            return ""
        if not self._slow_since:
            self._slow_since = now
        if now - self._slow_since < _SETTLE_SECONDS:
            return ""
        before, self._usual, self._slow_since = self._usual, speed, 0.0
        return (
            f"{speed:.2g} pictures a second, {before:.2g} before: something else uses the machine. Wait, or "
            "stop and resume with OMP_NUM_THREADS=1."
        )
