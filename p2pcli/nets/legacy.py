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
    "ema_model",
    "model_ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "online_model",
    "module",
    "_orig_mod",
    "generator",
    "netG",
    "net_G",
    "G",
    "G_A",
    "netG_A",
    "G_B",
    "netG_B",
    "netD",
    "net_D",
    "discriminator",
    "D",
    "D_A",
    "netD_A",
    "D_B",
    "netD_B",
)
"""What a state dict lies under in other projects' files, best first: as a key of its own ("params": {...}) or
before every key ("module.", of data parallel training; "_orig_mod.", of torch.compile)."""

_OWN = ("model",)
"""Those that published networks' own keys begin with."""

_BESIDE = ("module", "_orig_mod", "online_model")
"""Those that hold all there is: what lies beside them is a network's too."""

_COUNTERS = ("n_averaged", "initted", "step")
"""What averaging adds to a state dict."""

_WAYS = {
    name: f"{kind}_{letter}"
    for kind in "GD"
    for letter in "AB"
    for name in (f"{kind}_{letter}", f"net{kind}_{letter}")
}
"""How files that hold all of CycleGAN's networks name them."""

_DEEPEST = 4
"""Containers around a state dict, one in the other, that are opened."""
_MOST_PREFIXES = 8


def unwrapped(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict inside `values` as float32 without prefixes, and what had to be undone, in words.

    Raises `UsageError` where there is none, or where a weight is not finite.
    """
    values, quirks = _opened(values)
    values = {str(name): value for name, value in values.items()}
    values, more = _without_counters(values)
    strange = [name for name, value in values.items() if not isinstance(value, Tensor)]
    if strange or not values:
        found = f"'{strange[0]}' is a {type(values[strange[0]]).__name__}" if strange else "it is empty"
        raise UsageError(
            f"no state dict: {found}. Expected names with tensors, as *_net_G.pth files have. For a training "
            "checkpoint, save its generator's state_dict alone."
        )
    state, prefixes = _without_prefixes(values)
    quirks += [*more, *prefixes]
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


def networks_in(values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """CycleGAN's networks, "G_A" to "D_B", where `values` holds both generators; else nothing."""
    inner, _ = _opened(values, leave=frozenset(_WAYS))
    found = {_WAYS[name]: value for name, value in inner.items() if name in _WAYS and _is_filled(value)}
    for name, value in inner.items():
        first, dot, rest = str(name).partition(".")
        if dot and first in _WAYS and isinstance(value, Tensor):
            found.setdefault(_WAYS[first], {})[rest] = value
    return found if {"G_A", "G_B"} <= set(found) else {}


def _opened(
    values: Mapping[str, Any], *, leave: frozenset[str] = frozenset()
) -> tuple[Mapping[str, Any], list[str]]:
    """What lies in the containers around a state dict, all but those called as in `leave`."""
    quirks: list[str] = []
    # A pickle may hold itself.
    for _ in range(_DEEPEST):
        name = next((name for name in _WRAPPERS if name not in leave and _is_filled(values.get(name))), None)
        if name is None or leave & set(values):
            break
        others = [str(other) for other, value in values.items() if other != name and _is_filled(value)]
        beside = f"; left out, beside it: {', '.join(others)}" if others else ""
        quirks.append(f"weights lay under '{name}'{beside}")
        values = values[name]
    return values, quirks


def _without_counters(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    found = [name for name in _COUNTERS if name in values and len(values) > 1]
    kept = {name: value for name, value in values.items() if name not in found}
    return kept, [f"'{name}' left out, which counts what was averaged" for name in found]


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
    undone: list[str] = []
    for _ in range(_MOST_PREFIXES):
        prefix = next((f"{name}." for name in _WRAPPERS if _is_prefix(name, state)), None)
        if prefix is None:
            break
        inside = {name.removeprefix(prefix): one for name, one in state.items() if name.startswith(prefix)}
        beside = sorted({name.partition(".")[0] for name in state if not name.startswith(prefix)})
        said = f"; left out, beside it: {', '.join(beside[:5])}" if beside else " on every key"
        undone.append(f"prefix '{prefix}'{said}")
        state = inside
    inner = {name: name.replace("._orig_mod.", ".") for name in state}
    if any(old != new for old, new in inner.items()):
        undone.append("prefix '_orig_mod.' on every key")
        state = {inner[name]: tensor for name, tensor in state.items()}
    return state, undone


def _is_prefix(name: str, state: Mapping[str, Tensor]) -> bool:
    """True where the network lies under `name`, alone or as one of several."""
    if name in _OWN:
        return False
    begin = [key.startswith(f"{name}.") for key in state]
    return all(begin) if name in _BESIDE else any(begin)


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
