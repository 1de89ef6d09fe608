"""Fine-tuning: networks that start with the weights of a model file or of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from p2pcli.errors import UsageError
from p2pcli.nets.growth import grow
from p2pcli.recipe import Recipe
from p2pcli.recipe.generators import LocalEnhancer
from p2pcli.tasks import networks_of
from p2pcli.tasks.unpaired import DIRECTIONS, UNPAIRED_JUDGES
from p2pcli.training.ema import averaged_copy
from p2pcli.training.state import TrainState
from p2pcli.training.stored import States, Stored, stored_networks

_SHOWN = 3
_ENHANCER = re.compile(r"model\d+_")
"""How the keys of pix2pixHD's enhancers begin, which a global generator lacks."""
_GLOBAL_OUTPUT = 3
"""Modules at the end of a global generator that a local one leaves out: padding, convolution, tanh."""
_TWINS = dict(zip(DIRECTIONS, UNPAIRED_JUDGES, strict=True))


def initialise(run: TrainState) -> list[str]:
    """Start the networks of `run` with the weights that `train.init_from` names; sentences that say so.

    A run folder gives all its networks as of its last checkpoint, of averaged ones the average; a model file
    its generator, and the discriminator that was imported beside it. Networks that none of them holds stay
    fresh. The optimizers start anew. Raises `UsageError` where a file cannot be read or its keys or shapes
    are others: it names the first.
    """
    if not run.recipe.train.init_from:
        return []
    networks = networks_of(run.task)
    notes, started = [], set()
    for name in run.recipe.train.init_from:
        origin = stored_networks(Path(name))
        fitting = {n: s for n, s in _as_named_in(origin, networks).items() if n in networks}
        if not fitting:
            raise UsageError(
                f"{name}: holds {', '.join(origin.states)}, and this run trains {', '.join(networks)}. "
                f"Expected one of them."
            )
        for network, state in fitting.items():
            _load(networks[network], state, what=f"{name}: {network}", recipe=run.recipe)
        started |= set(fitting)
        # A run without stages trains all of a network, also of one that was still growing.
        grow((networks[network] for network in fitting), 0)
        notes.append(f"Starting from {name}: {', '.join(fitting)}.")
    if run.average is not None:
        run.average = averaged_copy(nn.ModuleDict(run.task.generators))
    fresh = [network for network in networks if network not in started]
    if fresh:
        notes.append(_words_on_fresh(fresh, run))
    return notes


def _words_on_fresh(fresh: list[str], run: TrainState) -> str:
    text = f"Fresh, since no file holds it: {', '.join(fresh)}."
    judges = set(fresh) & set(run.task.discriminators)
    if judges and run.recipe.losses.gan and not run.recipe.train.warmup_discriminator:
        text += (
            " A fresh discriminator first leads a trained generator astray; train.warmup_discriminator=500 "
            "lets it catch up."
        )
    return text


def _as_named_in(origin: Stored, networks: Mapping[str, nn.Module]) -> States:
    """Between paired and unpaired: one generator stands for its direction, one D for that direction's."""
    states, direction = dict(origin.states), origin.recipe.data.direction
    pairs = (("generator", direction), ("discriminator", _TWINS[direction]))
    for paired, unpaired in pairs:
        for here, there in ((paired, unpaired), (unpaired, paired)):
            if here in states and here not in networks and there in networks:
                states[there] = states[here]
    return states


def _load(network: nn.Module, state: Mapping[str, Tensor], *, what: str, recipe: Recipe) -> None:
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    if isinstance(recipe.generator, LocalEnhancer) and missing and all(map(_ENHANCER.match, missing)):
        # Stage two of pix2pixHD (1711.11585, section 3.2): the enhancer is fresh, the last layer goes.
        last = 1 + max((int(key.split(".")[1]) for key in own if key.startswith("model.")), default=0)
        extra = [key for key in extra if not _is_global_output(key, last)]
        missing = []
    shapes = [key for key, value in state.items() if key in own and own[key].shape != value.shape]
    problems = [
        *(f"'{key}' is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}" for key in shapes),
        *(f"'{key}' is missing" for key in missing),
        *(f"'{key}' has no place" for key in extra),
    ]
    if problems:
        listed = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UsageError(
            f"{what} does not fit the recipe's network: {listed}{more}. Leave out --recipe to take the "
            f"model's own, or set the keys of [generator], [discriminator] and [data] as the model has them."
        )
    network.load_state_dict({**own, **{key: state[key] for key in own if key in state}})


def _is_global_output(key: str, first: int) -> bool:
    parts = key.split(".")
    if parts[0] != "model" or len(parts) < 2 or not parts[1].isdigit():
        return False
    # Two modules, norm and ReLU, may lie between the last weights and the output.
    return int(parts[1]) <= first + _GLOBAL_OUTPUT + 1
