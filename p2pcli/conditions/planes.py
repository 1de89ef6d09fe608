"""Packed inputs and targets as the planes that networks see, and a network's result as a picture again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from p2pcli.conditions.lab import lab_to_rgb, rgb_to_lab
from p2pcli.conditions.labels import boundaries, one_hot, require_known
from p2pcli.conditions.layers import channels_of
from p2pcli.recipe import Data
from p2pcli.tensors import from_bytes

_MIDDLE_L, _LARGEST_AB = 50.0, 110.0
"""L/50 − 1 and ab/110 come to [-1, 1]: the published colourisation's normalisation."""


def input_planes(packed: Tensor, data: Data) -> Tensor:
    """`packed` (B, H, W, K) uint8, as `channels_of` has it, as float32 (B, data.input_planes, H, W).

    Pictures in [-1, 1], with 0 in holes; labels, boundaries, holes and classes 0 or 1.
    """
    layers = {name: packed[..., place] for name, place in channels_of(data).items()}
    parts = [part for make in PLANES.values() for part in make(layers, data)]
    planes = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    return planes.contiguous(memory_format=torch.channels_last)


def target_planes(target: Tensor, data: Data) -> Tensor:
    """`target` (B, H, W, C) uint8 as float32 (B, data.target_planes, H, W) in [-1, 1]."""
    if data.color == "lab":
        return rgb_to_lab(target)[:, 1:] / _LARGEST_AB
    return from_bytes(target, device=target.device)


def instance_ids(packed: Tensor, data: Data) -> Tensor | None:
    """The ids (B, 1, H, W) int64 behind `data.instances`; None without."""
    if data.instances is None:
        return None
    return _ids(packed[..., channels_of(data)[data.instances]])[:, None]


def label_ids(packed: Tensor, data: Data) -> Tensor | None:
    """The label of each pixel (B, 1, H, W) int64; None where the input is no label map."""
    if data.labels is None:
        return None
    return _ids(packed[..., channels_of(data)["labels"]])[:, None]


def as_picture(result: Tensor, packed: Tensor, data: Data) -> Tensor:
    """A network's `result` (B, C, H, W) as the picture it stands for, float32 in [-1, 1].

    a and b get the source's own lightness; outside a hole the source's pixels are kept.
    """
    if data.color == "lab":
        lightness = rgb_to_lab(packed[..., channels_of(data)["picture"]].to(result.device))[:, :1]
        return lab_to_rgb(torch.cat([lightness, result.float() * _LARGEST_AB], 1)) * 2 - 1
    if not data.mask:
        return result
    places = channels_of(data)
    source = from_bytes(packed[..., places["picture"]], device=result.device).to(result.dtype)
    hole = _hole(packed[..., places["hole"]].to(result.device)).to(result.dtype)
    return torch.where(hole > 0, result, source if source.shape[1] == result.shape[1] else source[:, :1])


Layers = dict[str, Tensor]
"""Name → (B, H, W, channels) uint8."""


def _main(layers: Layers, data: Data) -> list[Tensor]:
    if data.labels is not None:
        ids = _ids(layers["labels"])
        if ids.device.type == "cpu":  # elsewhere the look costs a wait, and who packs has looked
            require_known(int(ids.max()), data)
        return [one_hot(ids, data.labels + (data.dontcare is not None))]
    picture = layers["picture"]
    if data.color == "lab":
        return [rgb_to_lab(picture)[:, :1] / _MIDDLE_L - 1]
    planes = from_bytes(picture, device=picture.device)
    return [planes * (1 - _hole(layers["hole"]))] if data.mask else [planes]


def _holes(layers: Layers, data: Data) -> list[Tensor]:
    return [_hole(layers["hole"])] if data.mask else []


def _boundaries(layers: Layers, data: Data) -> list[Tensor]:
    return [boundaries(_ids(layers[data.instances]))] if data.instances is not None else []


def _further(layers: Layers, data: Data) -> list[Tensor]:
    return [from_bytes(layers[name], device=layers[name].device) for name in data.extra]


def _classes(layers: Layers, data: Data) -> list[Tensor]:
    return [one_hot(layers["class"][..., 0].long(), len(data.classes))] if data.classes else []


PLANES: dict[str, Callable[[Layers, Data], list[Tensor]]] = {
    "main": _main,
    "hole": _holes,
    "boundaries": _boundaries,
    "further": _further,
    "classes": _classes,
}
"""What the input's planes are made of, in this order."""


def _ids(two_bytes: Tensor) -> Tensor:
    low, high = two_bytes.long().unbind(-1)
    return low + 256 * high


def _hole(layer: Tensor) -> Tensor:
    return (layer > 0).permute(0, 3, 1, 2).float()
