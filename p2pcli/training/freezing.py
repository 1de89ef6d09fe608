"""Which weights learn: the recipe's frozen keys, and pix2pixHD's global generator in the first epochs."""

from __future__ import annotations

import difflib
import re
from typing import Any

from torch import nn

from p2pcli.errors import RecipeError
from p2pcli.nets import pix2pixhd
from p2pcli.recipe import Recipe
from p2pcli.recipe.generators import LocalEnhancer
from p2pcli.tasks import Task

_ENHANCER = re.compile(r"model\d+_")
"""How the keys of pix2pixHD's local enhancers begin. The published code lets the outermost learn alone, which
is the same for the published one; of several, all are fresh here (`training.initialise`)."""
_SHOWN = 8


def freeze(task: Task[Any], recipe: Recipe, *, epoch: int) -> None:
    """Let the weights learn that the recipe lets learn in epoch `epoch` (from 0); others get no gradient.

    Running statistics of frozen batch norms still follow the data. Raises `RecipeError` where a key is
    unknown, or nothing is left to learn on one side.
    """
    train = recipe.train
    named = _named_parameters(task)
    for start in train.freeze:
        _require_known(start, list(named))
    is_global_frozen = epoch < train.freeze_global_epochs
    if train.freeze_global_epochs and not isinstance(recipe.generator, LocalEnhancer):
        raise RecipeError(
            f"train.freeze_global_epochs: generator {recipe.generator.name} has no global part; it goes with "
            f"pix2pixhd_local. Use train.freeze with keys instead."
        )
    of_global = _global_part(task) if is_global_frozen else set()
    for key, parameter in named.items():
        frozen = any(_begins(key, start) for start in train.freeze) or id(parameter) in of_global
        parameter.requires_grad_(not frozen)
    _require_learners(task, recipe)


def _named_parameters(task: Task[Any]) -> dict[str, nn.Parameter]:
    """Key → weight: one generator's keys as they are, all others after their network's name."""
    found: dict[str, nn.Parameter] = {}
    for name, network in {**task.generators, **task.discriminators}.items():
        start = "" if name == "generator" else f"{name}."
        found |= {f"{start}{key}": parameter for key, parameter in network.named_parameters()}
    return found


def _global_part(task: Task[Any]) -> set[int]:
    """The ids of the weights of global generators. A feature encoder is no part of them, as published."""
    enhanced = (n for n in task.generators.values() if isinstance(n, pix2pixhd.LocalEnhancer))
    return {id(p) for n in enhanced for key, p in n.named_parameters() if not _ENHANCER.match(key)}


def _begins(key: str, start: str) -> bool:
    return key == start or key.startswith(f"{start.rstrip('.')}.")


def _require_known(start: str, keys: list[str]) -> None:
    if any(_begins(key, start) for key in keys):
        return
    parts = [key.split(".") for key in keys]
    starts = {".".join(names[:count]) for names in parts for count in range(1, len(names) + 1)}
    close = difflib.get_close_matches(start, sorted(starts), n=1, cutoff=0.6)
    if close:
        hint = f"Did you mean '{close[0]}'?"
    else:
        hint = f"Keys begin with: {', '.join(keys[:_SHOWN])}{', …' if len(keys) > _SHOWN else ''}."
    raise RecipeError(f"train.freeze: no weight's key begins with '{start}'. {hint}")


def _require_learners(task: Task[Any], recipe: Recipe) -> None:
    sides = {"generator": task.generators, "discriminator": task.discriminators}
    if not recipe.losses.gan:
        del sides["discriminator"]
    for side, networks in sides.items():
        if not any(p.requires_grad for network in networks.values() for p in network.parameters()):
            raise RecipeError(f"train.freeze leaves no weight of the {side} to learn. Freeze fewer keys.")
