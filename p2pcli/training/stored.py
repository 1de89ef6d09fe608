"""All networks that lie in a model file and beside it, or in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from p2pcli.inference.model_file import model_in, read_model
from p2pcli.recipe import Recipe, load_recipe
from p2pcli.tasks.networks import states_by_name
from p2pcli.training.checkpoint import newest_state
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.state import STATE_PARTS

States = Mapping[str, Mapping[str, Tensor]]
"""Network's name → its state dict."""


@dataclass(frozen=True)
class Stored:
    """Networks of one training run, by the names that its task gives them."""

    path: Path
    states: States
    recipe: Recipe


def stored_networks(path: Path) -> Stored:
    """A run folder's networks as of its last checkpoint, averaged where it averages; else `stored_beside`."""
    folder = RunFolder(path)
    newest = newest_state(folder.states, parts=STATE_PARTS) if folder.is_run else None
    if newest is None:
        return stored_beside(model_in(path))
    states = dict(newest[1]["networks"])
    if newest[1]["average"] is not None:
        states |= states_by_name(newest[1]["average"])
    return Stored(path, states, load_recipe(folder.recipe))


def stored_beside(path: Path) -> Stored:
    """The networks of a model file, and the discriminators that were imported beside it."""
    state, recipe, info = read_model(path)
    if info.role == "discriminator":
        return Stored(path, states_by_name(state) or {"discriminator": state}, recipe)
    states = states_by_name(state) or {"generator": state}
    beside = discriminators_beside(path)
    if beside.is_file():
        judges = read_model(beside)[0]
        states |= states_by_name(judges) or {"discriminator": judges}
    return Stored(path, states, recipe)


def discriminators_beside(path: Path) -> Path:
    """Where the discriminators of the model at `path` lie."""
    return path.with_name(f"{path.stem}.discriminator.safetensors")


def recipe_of_origin(path: Path) -> Recipe:
    """The recipe that the networks of a model file or run folder were trained with."""
    folder = RunFolder(path)
    return load_recipe(folder.recipe) if folder.recipe.is_file() else read_model(model_in(path))[1]
