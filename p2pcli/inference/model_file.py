"""One trained network in one file: safetensors, with the recipe and what is known of it in the metadata.

Nothing here unpickles: a file that is not safetensors is refused by its first bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import save
from torch import Tensor, nn

from p2pcli import __version__
from p2pcli.errors import RecipeError, UsageError
from p2pcli.io.atomic import write_bytes
from p2pcli.nets import Network
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.recipe.section import Section, layer_count
from p2pcli.stored_tensors import (
    DamagedError,
    RefusedError,
    is_pickled,
    is_safetensors,
    read_header,
    read_tensors,
)
from p2pcli.tasks import build_generator
from p2pcli.tasks.networks import recipe_of_direction, runnable, state_of
from p2pcli.tasks.unpaired import DIRECTIONS
from p2pcli.untrusted import Kinds, open_regular, parse_json_object, require_kinds

FORMAT_VERSION = 1
_METADATA_KEY = "p2p"
_KINDS: Kinds = {
    "role": str,
    "trained_size": int,
    "step": int,
    "epoch": int,
    "metrics": dict,
    "tool_version": str,
    "format_version": int,
}
"""Key of the metadata → its type, for those that every file has besides the recipe."""


Role = Literal["generator", "discriminator"]


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself besides its recipe and its weights."""

    role: Role = "generator"
    trained_size: int = 256
    """Side in px of the squares it saw while training."""
    step: int = 0
    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Validation numbers at that step: l1 (mean absolute, range [-1, 1]), psnr (dB), ssim."""
    maker: str | None = None
    """The pair maker that made the training inputs out of pictures; None where they came from elsewhere."""
    maker_options: Mapping[str, object] = field(default_factory=dict)
    """Its options, those at their default left out."""
    tool_version: str = __version__
    format_version: int = FORMAT_VERSION


def save_model(
    path: Path, network_state: Mapping[str, torch.Tensor], *, recipe: Recipe, info: ModelInfo
) -> None:
    """Write the state dict, float32 or as it is, so that the file is whole or absent.

    Keys stay as they are. Raises `EnvironmentFaultError` where the disk is full or not writable.
    """
    write_bytes(path, model_bytes(network_state, recipe=recipe, info=info))


def model_bytes(network_state: Mapping[str, torch.Tensor], *, recipe: Recipe, info: ModelInfo) -> bytes:
    """What `save_model` writes; the same values give the same bytes."""
    about = {
        "format_version": info.format_version,
        "tool_version": info.tool_version,
        "recipe": recipe.model_dump(mode="json"),
        "role": info.role,
        "trained_size": info.trained_size,
        "step": info.step,
        "epoch": info.epoch,
        "metrics": dict(info.metrics),
        "maker": info.maker,
        "maker_options": dict(info.maker_options),
    }
    # safetensors stores plain row-major tensors only; channels_last weights are copied.
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network_state.items()}
    # By way of bytes: the library's own writing reports a full disk as an error of its own, and makes files
    # that only their owner can read.
    return save(tensors, metadata={_METADATA_KEY: json.dumps(about, sort_keys=True)})


def read_model(path: Path) -> tuple[dict[str, torch.Tensor], Recipe, ModelInfo]:
    """The state dict (on the CPU), the recipe and the rest of what `save_model` stored.

    Raises `UsageError` where the file is missing, cut short, a pickle, no p2p model, or has weights that are
    not finite; a pickle is never opened.
    """
    try:
        _refuse_other_formats(path)
        header = read_header(path)
        about = _parse_metadata(path, header.metadata)
        state, _ = read_tensors(path)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Expected a .safetensors model file."
        ) from None
    except DamagedError as error:
        raise UsageError(
            f"{path}: not a whole safetensors file ({error}). It was cut short or damaged; copy it again, or "
            f"take best.safetensors or model.safetensors of the run."
        ) from None
    except RefusedError as error:
        raise UsageError(f"{path}: not opened: {error}. Expected a model file of p2p train.") from None
    _require_finite(path, state)
    try:
        recipe = parse_recipe(about["recipe"], where=f"{path}, recipe in the metadata")
        info = _info(about)
    except RecipeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: its p2p metadata is incomplete ({error!r}). Save the model again."
        ) from None
    return state, recipe, info


def _info(about: Mapping[str, Any]) -> ModelInfo:
    """What the metadata say besides the recipe. Raises `ValueError` where a value has another type."""
    require_kinds(about, _KINDS, needed=True)
    # Files written before the two existed have neither.
    require_kinds(about, {"maker": (str, type(None)), "maker_options": dict})
    if about["role"] not in get_args(Role):
        raise ValueError(f"role '{about['role'][:40]}', not one of {', '.join(get_args(Role))}")
    metrics = about["metrics"]
    require_kinds(metrics, dict.fromkeys(metrics, (int, float)))
    return ModelInfo(
        role=about["role"],
        trained_size=about["trained_size"],
        step=about["step"],
        epoch=about["epoch"],
        metrics={name: float(value) for name, value in metrics.items()},
        maker=about.get("maker"),
        maker_options=dict(about.get("maker_options", {})),
        tool_version=about["tool_version"],
        format_version=about["format_version"],
    )


def _require_finite(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in state.items():
        # A sum is not finite where any value is not; values that overflow it are no network's either.
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum(dtype=torch.float64)):
            raise UsageError(
                f"{path}: weight '{name}' holds values that are not finite (NaN or infinite), so that all "
                f"results would be empty. Take another checkpoint, or train again with a smaller rate."
            )


def generator_in(
    file: Path, state: Mapping[str, Tensor], recipe: Recipe, *, direction: str | None
) -> tuple[nn.Module, Recipe]:
    """The generator of `direction` with its weights, and the recipe as that generator sees it."""
    if direction not in (None, *DIRECTIONS):
        raise UsageError(f"no direction '{direction}'. Known: {', '.join(DIRECTIONS)}.")
    if recipe.task == "unpaired":
        name = direction or DIRECTIONS[0]
        recipe = recipe_of_direction(recipe, name)
    elif direction not in (None, recipe.data.direction):
        raise UsageError(
            f"{file}: translates {recipe.data.direction} only; {direction} was asked for. Leave --direction "
            f"out, or train the other way with --set data.direction={direction}."
        )
    else:
        name = "generator"
    build = partial(build_generator, recipe)
    return runnable(
        recipe, with_weights(file, build, state_of(state, name), section=recipe.generator)
    ), recipe


def with_weights(
    file: Path, build: Callable[[], Network], values: Mapping[str, Tensor], *, section: Section
) -> Network:
    """The network that `build` makes after the recipe's `section`, with the weights in `values`.

    Raises `UsageError` where they are not its weights, before the network takes any memory or time: a recipe
    in a file is a stranger's word, and may describe a network of any size.
    """
    layers = layer_count(section)
    if layers > len(values):
        raise UsageError(
            f"{file}: its recipe describes a {section.model_dump()['name']} of {layers} layers, and it holds "
            f"{len(values)} weights. Save it again."
        )
    try:
        with torch.device("meta"):
            build().load_state_dict(values, assign=True)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UsageError(
            f"{file}: its weights do not fit the network that its recipe describes ({first}). Save it again."
        ) from None
    network = build()
    network.load_state_dict(values)
    return network


def _refuse_other_formats(path: Path) -> None:
    """Raise `UsageError` that names what `path` is, where it is no safetensors file."""
    if os.path.isdir(path):  # noqa: PTH112 - is_dir raises in folders that may not be searched
        raise UsageError(f"{path}: a folder, where a .safetensors model file is expected.")
    with open_regular(path) as file:
        head = file.read(9)
    size = path.stat().st_size
    # The length of a safetensors header may begin with the same two bytes as a zip or a pickle.
    if is_safetensors(head) and int.from_bytes(head[:8], "little") <= size - 8:
        return
    if not is_safetensors(head) and is_pickled(head):
        raise UsageError(
            f"{path}: a PyTorch pickle, which can run code when it is opened, so it was not. Expected a "
            f".safetensors file of p2p train. Published weights: p2p import {path} -o model.safetensors."
        )
    raise UsageError(
        f"{path}: not a model file, or cut short ({size} bytes). Expected a .safetensors file that p2p "
        f"train wrote: model.safetensors or best.safetensors of a run."
    )


def _parse_metadata(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get(_METADATA_KEY)
    if text is None:
        raise UsageError(
            f"{path}: safetensors without p2p metadata, so its architecture is unknown. Expected a file that "
            f"p2p train wrote. Published weights: p2p import {path} -o model.safetensors."
        )
    try:
        about = parse_json_object(text, may_be_infinite=True)
        require_kinds(about, {"format_version": int}, needed=True)
    except ValueError as error:
        raise UsageError(
            f"{path}: its p2p metadata cannot be read ({error!r}). Save the model again."
        ) from None
    if about["format_version"] > FORMAT_VERSION:
        raise UsageError(
            f"{path}: model format {about['format_version']}, written by p2p {about.get('tool_version')}; "
            f"this p2p reads up to {FORMAT_VERSION}. Upgrade: pip install --upgrade p2pcli."
        )
    return about


def model_in(path: Path) -> Path:
    """`path` itself, or in a run folder best.safetensors, else model.safetensors."""
    # os.path's own: Path's raise in folders that may not be searched.
    if not os.path.isdir(path):  # noqa: PTH112
        return path
    for name in ("best.safetensors", "model.safetensors"):
        if os.path.isfile(path / name):  # noqa: PTH113
            return path / name
    raise UsageError(
        f"{path}: holds neither best.safetensors nor model.safetensors, so it is no finished run. Train "
        "first, or name a model file."
    )
