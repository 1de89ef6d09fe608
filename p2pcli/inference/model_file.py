"""One trained network in one file: safetensors, with the recipe and what is known of it in the metadata.

Nothing here unpickles: a file that is not safetensors is refused by its first bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from p2pcli import __version__
from p2pcli.errors import RecipeError, UsageError
from p2pcli.io.atomic import write_bytes
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.tasks import build_generator
from p2pcli.tasks.networks import recipe_of_direction, runnable, state_of
from p2pcli.tasks.unpaired import DIRECTIONS

FORMAT_VERSION = 1
_METADATA_KEY = "p2p"
_HEADER_LIMIT = 100_000_000
"""Bytes; the safetensors format allows no longer header."""


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself besides its recipe and its weights."""

    role: Literal["generator", "discriminator"] = "generator"
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
    _refuse_other_formats(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = _parse_metadata(path, file.metadata())
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            _require_finite(path, state)
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{path}: not a whole safetensors file ({error}). It was cut short or damaged; copy it again, or "
            f"take best.safetensors or model.safetensors of the run."
        ) from None
    try:
        recipe = parse_recipe(about["recipe"], where=f"{path}, recipe in the metadata")
        info = ModelInfo(
            role=about["role"],
            trained_size=int(about["trained_size"]),
            step=int(about["step"]),
            epoch=int(about["epoch"]),
            metrics={str(name): float(value) for name, value in about["metrics"].items()},
            # Files written before the two existed have neither.
            maker=about.get("maker"),
            maker_options=dict(about.get("maker_options", {})),
            tool_version=str(about["tool_version"]),
            format_version=int(about["format_version"]),
        )
    except RecipeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path}: its p2p metadata is incomplete ({error!r}). Save the model again."
        ) from None
    return state, recipe, info


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
    values = state_of(state, name)
    try:
        # Without memory first: a recipe is a stranger's word, and may describe a network of any size.
        with torch.device("meta"):
            build_generator(recipe).load_state_dict(values, assign=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UsageError(
            f"{file}: its weights do not fit the network that its recipe describes ({first}). Save it again."
        ) from None
    network = build_generator(recipe)
    network.load_state_dict(values)
    return runnable(recipe, network), recipe


def _refuse_other_formats(path: Path) -> None:
    if os.path.isdir(path):  # noqa: PTH112 - is_dir raises in folders that may not be searched
        raise UsageError(f"{path}: a folder, where a .safetensors model file is expected.")
    try:
        with path.open("rb") as file:
            head = file.read(9)
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Expected a .safetensors model file."
        ) from None
    length = int.from_bytes(head[:8], "little")
    has_header = head[8:9] == b"{"
    if has_header and length <= min(_HEADER_LIMIT, size - 8):
        return
    # The length of a safetensors header may begin with the same two bytes as a zip or a pickle.
    if not has_header and head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise UsageError(
            f"{path}: a PyTorch pickle, which can run code when it is opened, so it was not. Expected a "
            f".safetensors file of p2p train. Published weights: p2p import {path} -o model.safetensors."
        )
    raise UsageError(
        f"{path}: not a model file, or cut short ({size} bytes). Expected a .safetensors file that p2p "
        f"train wrote: model.safetensors or best.safetensors of a run."
    )


def _parse_metadata(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    text = (metadata or {}).get(_METADATA_KEY)
    if text is None:
        raise UsageError(
            f"{path}: safetensors without p2p metadata, so its architecture is unknown. Expected a file that "
            f"p2p train wrote. Published weights: p2p import {path} -o model.safetensors."
        )
    try:
        about = json.loads(text)
        version = int(about["format_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: its p2p metadata cannot be read ({error!r}). Save the model again."
        ) from None
    if version > FORMAT_VERSION:
        raise UsageError(
            f"{path}: model format {version}, written by p2p {about.get('tool_version')}; this p2p reads up "
            f"to {FORMAT_VERSION}. Upgrade: pip install --upgrade p2pcli."
        )
    return dict(about)


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
