"""What to do about label maps whose values are no ids: which key to set, told from the values."""

from __future__ import annotations

import math
from collections.abc import Collection

_WHITE = 255
_LISTED = 12
"""Colours of a palette that a message can hold."""


def advice_on_values(values: Collection[int], labels: int, *, is_all: bool) -> str:
    """One sentence or two for maps that hold `values`, where ids 0 … labels-1 were expected.

    `is_all` says that they are those of all maps, so that a step between ids can be known.

    >>> advice_on_values([0, 50, 100, 150], 4, is_all=True).split(": ")[0]
    'All values are multiples of 50, so these are ids times 50'
    """
    largest = max(values)
    if set(values) <= {0, _WHITE}:
        return (
            "Black and white are two labels: set data.labels=2 and data.palette=[[0, 0, 0], [255, 255, 255]]"
            "; where white means unknown, data.dontcare=255."
        )
    ids = [value for value in values if value != _WHITE]
    if max(ids) < labels:
        return "Set data.dontcare=255 where it means unknown, or data.labels=256, or mend the file."
    nonzero = sorted(set(ids) - {0})
    if len(nonzero) == 1 and largest <= _WHITE:
        gray = f"[[0, 0, 0], [{largest}, {largest}, {largest}]]"
        return (
            f"Where {largest} is an id, set data.labels={largest + 1} or more; where it is an id's gray, "
            f"data.labels=2 and data.palette={gray}; where it means unknown, data.dontcare={largest}."
        )
    step = math.gcd(*nonzero)
    if step > 1:
        return _on_steps(ids, step, labels, is_all=is_all)
    return (
        f"Set data.labels={largest + 1} or more, or mend the file; data.dontcare={largest} where it means "
        f"unknown."
    )


def _on_steps(ids: Collection[int], divisor: int, labels: int, *, is_all: bool) -> str:
    """For values that have a common divisor."""
    largest = max(ids)
    fitting = [
        step for step in range(2, divisor + 1) if divisor % step == 0 and largest // step < max(labels, 2)
    ]
    if not is_all:
        return (
            f"Its values are multiples of {divisor}; whether they are ids times a step cannot be known from "
            f"one map. Store ids, or name the grays: data.palette=[[0, 0, 0], …]."
        )
    if len(fitting) > 1:
        named = ", ".join(map(str, fitting[:-1]))
        return (
            f"All values are multiples of {divisor}: ids times {named} or {fitting[-1]}, which cannot be "
            f"known from them. Store ids, or name the grays: data.palette=[[0, 0, 0], …]."
        )
    if not fitting:
        return (
            f"All values are multiples of {divisor}; were they ids times {divisor}, there would be "
            f"{largest // divisor + 1} labels and not {labels}. Set data.labels={largest // divisor + 1} and "
            f"try again, or, where they are ids, data.labels={largest + 1}."
        )
    (step,) = fitting
    start = f"All values are multiples of {step}, so these are ids times {step}: "
    if labels > _LISTED or step * (labels - 1) > _WHITE:
        return (
            f"{start}divide them by {step} and store them anew (data.labels={largest // step + 1} or more)."
        )
    grays = ", ".join(f"[{step * label}, {step * label}, {step * label}]" for label in range(labels))
    return f"{start}set data.palette=[{grays}] with data.labels={labels}, or divide them by {step}."
