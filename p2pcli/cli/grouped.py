"""Lets several commands share one group of options: a dataclass whose fields are options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import typer


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
        for field in dataclasses.fields(group)
    ]


def sharing(group: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn `command(context, shared, *, own options)` into one whose options are its own and `group`'s.

    Typer reads a command's options from its signature; the one made here lists both, and the values of
    the group's fields arrive as one object.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shared = _parameters_of(group)
        own = list(inspect.signature(command, eval_str=True).parameters.values())[2:]

        def run(context: typer.Context, **values: Any) -> None:
            fields = {parameter.name: values.pop(parameter.name) for parameter in shared}
            command(context, group(**fields), **values)

        first = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        run.__signature__ = inspect.Signature([first, *own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {}
        return run

    return decorate
