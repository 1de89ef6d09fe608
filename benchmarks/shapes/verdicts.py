"""Whether numbers show a claim: differences between runs, with intervals over the held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from p2pcli.randomness import rng_for
from shapes.measures import MEASURES, Results

_DRAWS = 1000
_LOWEST, _HIGHEST = 2.5, 97.5


@dataclass(frozen=True)
class Larger:
    """`measure` is larger for row `more` than for row `less`."""

    measure: str
    more: str
    less: str


@dataclass(frozen=True)
class Difference:
    """By how much it is larger: the difference, and its 95 % interval by paired bootstrap over pictures."""

    check: Larger
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Larger for more than 97.5 % of the draws."""
        return self.low > 0


def difference(check: Larger, rows: Mapping[str, Results]) -> Difference:
    """The same pictures are drawn for both rows, with replacement, 1000 times."""
    measure = MEASURES[check.measure]
    more, less = (measure.statistics(rows[name]) for name in (check.more, check.less))
    count = len(more)
    rng = rng_for(0, "bootstrap", check.measure, check.more, check.less)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS).astype(np.float64)
    pairs = zip(draws @ more, draws @ less, strict=True)
    differences = [measure.value(a) - measure.value(b) for a, b in pairs]
    low, high = np.percentile(differences, [_LOWEST, _HIGHEST])
    value = measure.value(more.sum(axis=0)) - measure.value(less.sum(axis=0))
    return Difference(check, value, float(low), float(high))


def verdict(held: list[bool]) -> str:
    """One for a list of checks: "shown", "shown in part" or "not shown at this size"."""
    if all(held):
        return "shown"
    return "shown in part" if any(held) else "not shown at this size"
