"""SPADE's own pix2pixHD generator (its option --netG pix2pixhd), as the one that pix2pixHD published.

The two are one function: SPADE wraps each convolution and its norm, leaves out the biases that the norm would
take away again, and may divide the weights by their largest singular value, which stands still once trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_KEY = re.compile(r"model\.(\d+)(\.conv_block\.[14])?(?:\.([01]))?\.(\w+)$")
"""Place, place in a residual block, 0 for the convolution or 1 for its norm, and what it is of it."""


def is_spade_hd(state: Mapping[str, Tensor]) -> bool:
    """True where residual blocks have their second convolution at SPADE's place."""
    return any(re.match(r"model\.\d+\.conv_block\.4\.", key) for key in state)


def as_published(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str], bool]:
    """`state` under pix2pixHD's keys, what was done, in words, and whether there is any norm.

    Raises `KeyError` or `IndexError` where it is not whole.
    """
    found = {key: match for key in state if (match := _KEY.match(key))}
    places = _places([(int(match[1]), match[2] is not None) for match in found.values()])
    ups = _ups([*places], state)
    result: dict[str, Tensor] = {key: one for key, one in state.items() if key not in found}
    has_norm = False
    for key, match in found.items():
        place, inside, part, leaf = int(match[1]), match[2], match[3], match[4]
        is_norm = part == "1"
        has_norm |= part is not None
        first = places[place] + (is_norm and inside is None)
        step = 0 if inside is None else {"1": 1, "4": 5}[inside[-1]] + is_norm
        name = f"model.{first}" if inside is None else f"model.{first}.conv_block.{step}"
        if leaf in ("weight_u", "weight_v"):
            continue
        is_up = inside is None and place in ups
        value = _divided(state, key, is_up=is_up) if leaf == "weight_orig" else state[key]
        result[f"{name}.{leaf.removesuffix('_orig')}"] = value
        stem = key.rpartition(".")[0]
        if leaf in ("weight", "weight_orig") and value.dim() == 4 and f"{stem}.bias" not in state:
            result[f"{name}.bias"] = torch.zeros(value.shape[1 if is_up else 0])
    quirks = ["SPADE's --netG pix2pixhd: keys renamed to pix2pixHD's, biases of 0 added under norms"]
    if any(key.endswith("weight_orig") for key in state):
        quirks.append("spectral norm folded into the weights")
    return result, quirks, has_norm


def _places(found: list[tuple[int, bool]]) -> dict[int, int]:
    """Place in SPADE's sequence → place in pix2pixHD's, where norms have places of their own."""
    direct = sorted({place for place, is_block in found if not is_block})
    blocks = sorted({place for place, is_block in found if is_block})
    downs = len(direct) // 2 - 1
    after = 3 * downs + 4
    places = {place: 1 + 3 * index for index, place in enumerate(direct[: downs + 1])}
    places |= {place: after + index for index, place in enumerate(blocks)}
    ups = direct[downs + 1 : -1]
    places |= {place: after + len(blocks) + 3 * index for index, place in enumerate(ups)}
    places[direct[-1]] = after + len(blocks) + 3 * len(ups) + 1
    return places


def _ups(places: list[int], state: Mapping[str, Tensor]) -> set[int]:
    """Places of the transposed convolutions: those after the residual blocks, but for the last."""
    blocks = [int(key.split(".")[1]) for key in state if ".conv_block." in key]
    last = max(blocks)
    return set(sorted(place for place in places if place > last)[:-1])


def _divided(state: Mapping[str, Tensor], key: str, *, is_up: bool) -> Tensor:
    """A weight as evaluation uses it: divided by uᵀWv, where W has the outputs as its rows."""
    stem, weight = key.removesuffix("weight_orig"), state[key]
    matrix = (weight.transpose(0, 1) if is_up else weight).flatten(1)
    left = state[f"{stem}weight_u"]
    right = state.get(f"{stem}weight_v")
    if right is None:
        right = torch.nn.functional.normalize(matrix.t() @ left, dim=0, eps=1e-12)
    return weight / torch.dot(left, matrix @ right)
