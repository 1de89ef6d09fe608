"""What files of trained weights carry besides weights, and how that comes off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from p2pcli.errors import UsageError
from p2pcli.nets.blocks import AffineInstanceNorm2d, BatchNorm2d, InstanceNorm2d, Network

_WRAPPERS = (
    "params_ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "generator",
    "netG",
    "net_G",
    "G",
)
"""Keys under which a state dict lies in other projects' files, best first."""

_DEEPEST = 4
"""Containers around a state dict, one in the other, that are opened."""

_PREFIXES = ("module.", "_orig_mod.", "netG.", "netD.")
"""Put before every key by data parallel training, torch.compile, and modules that hold the network."""


def unwrapped(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict inside `values` as float32 without prefixes, and what had to be undone, in words.

    Raises `UsageError` where there is none, or where a weight is not finite.
    """
    quirks: list[str] = []
    # A pickle may hold itself.
    for _ in range(_DEEPEST):
        name = next((name for name in _WRAPPERS if _is_filled(values.get(name))), None)
        if name is None:
            break
        others = [other for other, value in values.items() if other != name and _is_filled(value)]
        beside = f"; left out, beside it: {', '.join(others)}" if others else ""
        quirks.append(f"weights lay under '{name}'{beside}")
        values = values[name]
    strange = [name for name, value in values.items() if not isinstance(value, Tensor)]
    if strange or not values:
        found = f"'{strange[0]}' is a {type(values[strange[0]]).__name__}" if strange else "it is empty"
        raise UsageError(
            f"no state dict: {found}. Expected names with tensors, as *_net_G.pth files have. For a training "
            "checkpoint, save its generator's state_dict alone."
        )
    state, prefixes = _without_prefixes(values)
    quirks += [f"prefix '{prefix}' on every key" for prefix in prefixes]
    if any(tensor.dtype in (torch.float16, torch.bfloat16, torch.float64) for tensor in state.values()):
        quirks.append("weights were not float32")
    converted = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    for name, tensor in converted.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UsageError(
                f"'{name}' holds NaN or infinite numbers: training had gone wrong before the file was saved. "
                "Take an earlier checkpoint."
            )
    return converted, quirks


def _is_filled(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def fitted(state: Mapping[str, Tensor], network: Network) -> tuple[dict[str, Tensor], list[str]]:
    """`state` as `network` (on any device) takes it, strictly, and what was added or dropped, in words.

    Statistics that instance norms saved (torch 0.3, and published code of June to October 2018) are dropped;
    the counter that batch norms lack before torch 0.4.1 is added. Raises `UsageError` where more differs.
    """
    wanted = network.state_dict()
    result = dict(state)
    quirks: list[str] = []
    instance_norms = {
        name
        for name, module in network.named_modules()
        if isinstance(module, InstanceNorm2d | AffineInstanceNorm2d)
    }
    statistics = [
        key
        for key in result
        if key.rpartition(".")[0] in instance_norms
        and key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")
    ]
    if statistics:
        quirks.append(f"{len(statistics)} running statistics of instance norms dropped")
        for key in statistics:
            del result[key]
    counters = [
        f"{name}.num_batches_tracked"
        for name, module in network.named_modules()
        if isinstance(module, BatchNorm2d) and f"{name}.num_batches_tracked" not in result
    ]
    if counters:
        quirks.append(f"{len(counters)} batch-norm counters added")
        result.update({key: torch.zeros((), dtype=torch.long) for key in counters})
    quirks += _add_right_vectors(result, wanted)
    _require_equal(result, wanted)
    return {key: result[key] for key in wanted}, quirks


def _without_prefixes(values: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    state = dict(values)
    removed: list[str] = []
    found = True
    while found:
        found = False
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
                removed.append(prefix)
                found = True
    inner = {name: name.replace("._orig_mod.", ".") for name in state}
    if any(old != new for old, new in inner.items()):
        removed.append("_orig_mod.")
        state = {inner[name]: tensor for name, tensor in state.items()}
    return state, removed


def _add_right_vectors(result: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """torch before 1.0 saved no weight_v: it follows from weight_orig and weight_u.

    Its `weight`, which lay beside them, was what evaluation used: weight_v gets the length that gives it.
    """
    lacking = [key for key in wanted if key.endswith(".weight_v") and key not in result]
    for key in lacking:
        stem = key.removesuffix("weight_v")
        weight, left = result.get(f"{stem}weight_orig"), result.get(f"{stem}weight_u")
        if weight is None or left is None or weight.shape != wanted[f"{stem}weight_orig"].shape:
            continue
        if left.shape != wanted[f"{stem}weight_u"].shape:
            continue
        matrix = weight.flatten(1)
        right = torch.nn.functional.normalize(matrix.t() @ left, dim=0, eps=1e-12)
        divided = result.get(f"{stem}weight")
        if divided is not None and divided.shape == weight.shape:
            del result[f"{stem}weight"]
            # By least squares, since single values may be 0.
            sigma = (weight * divided).sum() / (divided * divided).sum()
            right *= sigma / (left @ (matrix @ right))
        result[key] = right
    return [f"{len(lacking)} spectral-norm vectors computed"] if lacking else []


def _require_equal(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    lacking = [key for key in wanted if key not in state]
    surplus = [key for key in state if key not in wanted]
    unlike = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if not (lacking or surplus or unlike):
        return
    if unlike:
        key = unlike[0]
        found = f"'{key}' is {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
    else:
        found = f"'{lacking[0]}' is missing" if lacking else f"'{surplus[0]}' has no place in it"
    more = len(lacking) + len(surplus) + len(unlike) - 1
    raise UsageError(
        f"the keys look like a published network, but {found}{f', and {more} more differ' if more else ''}. "
        "Expected weights of the unchanged published architecture."
    )
