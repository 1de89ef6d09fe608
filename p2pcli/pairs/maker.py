"""What a pair maker is, and how its options are checked and drawn."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.image import Image


class MakerOptions(BaseModel):
    """Base of every maker's options: strict, frozen, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def without_effect(self, given: Collection[str]) -> dict[str, str]:
        """Those of the `given` options that change nothing beside the others → what would need them."""
        return {}


class Make(Protocol):
    """The function of a maker: `target` is uint8 (H, W, 3); the result uint8 (h, w, 1, 3, or 4: RGBA)."""

    def __call__(self, target: Image, *, rng: np.random.Generator, options: Any) -> Image: ...


@dataclass(frozen=True)
class Between:
    """A range to draw an option from; `log` draws evenly in the logarithm, for scales and factors."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """A number in [low, high), rounded to 4 digits so that it reads well in a table."""
        if self.log:
            return round(math.exp(rng.uniform(math.log(self.low), math.log(self.high))), 4)
        return round(float(rng.uniform(self.low, self.high)), 4)


@dataclass(frozen=True)
class Maker:
    """A named way to make inputs out of targets."""

    name: str
    summary: str
    """One line for lists and help pages."""
    options: type[MakerOptions]
    make: Make
    jitter: Mapping[str, Between | tuple[object, ...]]
    """Option → the range, or the choices, that `draw_options` draws from."""
    is_random: bool = False
    """True where `make` may draw from its `rng`."""
    lossless: bool = False
    """True where the input is stored as PNG whatever the targets' encoding: lines suffer most from JPEG."""


def draw_options(
    maker: Maker, given: Mapping[str, object], rng: np.random.Generator, *, jitter: bool
) -> MakerOptions:
    """The options `given`, checked; with `jitter` the others come from the maker's ranges, else its defaults.

    Every range is drawn from in a fixed order, so giving one option never changes what the others become.
    Raises `UsageError` that names the option.
    """
    unknown = sorted(set(given) - set(maker.options.model_fields))
    if unknown:
        known = sorted(maker.options.model_fields)
        hint = did_you_mean(unknown[0], known)
        listed = "" if hint.startswith("Known") else f" It has: {', '.join(known)}."
        raise UsageError(f"{maker.name} has no option '{unknown[0]}'.{listed} {hint}")
    drawn: dict[str, object] = {}
    if jitter:
        for name, values in maker.jitter.items():
            if isinstance(values, Between):
                drawn[name] = values.draw(rng)
            else:
                drawn[name] = values[int(rng.integers(len(values)))]
    try:
        return maker.options.model_validate({**drawn, **given})
    except ValidationError as error:
        raise UsageError(f"{maker.name}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message} (found {problem['input']!r})." if name else f"{message}."
