"""How much memory a network takes at its peak while it translates, and whether there is so much."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from p2pcli.free_memory import free_memory
from p2pcli.kept_memory import KEPT_BYTES, arrays_freed_at_once
from p2pcli.recipe import Recipe
from p2pcli.recipe.generators import (
    SPADE,
    GlobalGenerator,
    Inpainting,
    LocalEnhancer,
    Progressive,
    ResNet,
    SRResNet,
    UNet,
)

PICTURES_BYTES = 24
"""For each pixel, beside the network: source, prepared picture and the batch as float32."""


_MUCH = KEPT_BYTES // 4
"""From here on what is kept beside what is used would weigh more than the time that keeping it saves."""

_SPARE_WITH_KEPT = 3
"""Times what is needed that may be taken where freed arrays are kept and wait for arrays of their size."""


def memory_for(what: str, needed: float, *, device: torch.device) -> AbstractContextManager[None]:
    """How `needed` bytes are to be had for `what` ("2 × 640×480 px"): inside, the network may run.

    Raises `MemoryError` before the system ends the process, which a CPU's allocator cannot foresee.
    """
    if device.type != "cpu":
        return nullcontext()
    free = free_memory()
    if free is not None and needed > free:
        raise MemoryError(
            f"{what} need about {needed / 1e9:.1f} GB in this network; {free / 1e9:.1f} GB are free."
        )
    is_tight = free is not None and needed * _SPARE_WITH_KEPT > free
    return arrays_freed_at_once() if is_tight or needed > _MUCH else nullcontext()


def bytes_per_pixel(recipe: Recipe, dtype: torch.dtype) -> float:
    """Bytes that the network needs at its peak for each pixel of its input, without its weights."""
    section = recipe.generator
    values = recipe.data.input_planes + VALUES_PER_PIXEL[section.name](section)
    return PICTURES_BYTES + values * torch.empty((), dtype=dtype).element_size()


# What is alive when most is, beside the input: feature maps as multiples of `channels`, at the whole size.


def _unet(section: UNet) -> float:
    if section.upsampling == "resize":
        # The outermost 2c at half the size, and enlarged; the result.
        return 2.5 * section.channels + 3
    # The outermost concatenation and its two halves; without skips, three maps of the outermost norm.
    return (1.0 if section.skips else 0.75) * section.channels


def _resnet(section: ResNet | GlobalGenerator) -> float:
    # The last map and its padded copy. Before them, 2c at half the size, enlarged, and what becomes of it.
    return {"deconv": 2.0, "resize": 3.5, "shuffle": 2.5}[section.upsampling] * section.channels


def _local_enhancer(section: LocalEnhancer) -> float:
    # As `_resnet`, beside what the global generator and the enhancer's way in have left; the input halved.
    return {"deconv": 3.0, "resize": 4.5, "shuffle": 3.5}[section.upsampling] * section.channels + 1


def _spade(section: SPADE) -> float:
    # The last block: its map of c, four of 2c while one is scaled and shifted, what comes of the labels.
    width = section.channels / (2 if section.doublings == "most" else 1)
    return 9.5 * width + section.hidden


def _srresnet(section: SRResNet) -> float:
    # At the size of the result: what is rectified, and rectified.
    return 2 * section.channels * section.scale**2 + 3


def _inpainting(section: Inpainting) -> float:
    return (3.75 if section.upsampling == "resize" else 2.75) * section.channels


def _progressive(section: Progressive) -> float:
    # The outermost level's skip beside what was enlarged (3c), the norms' maps, and the skips of all others.
    return 7.42 * section.channels + 3


VALUES_PER_PIXEL: dict[str, Callable[[Any], float]] = {
    "unet": _unet,
    "resnet": _resnet,
    "pix2pixhd_global": _resnet,
    "pix2pixhd_local": _local_enhancer,
    "spade": _spade,
    "srresnet": _srresnet,
    "inpainting": _inpainting,
    "progressive": _progressive,
}
"""Generator → values alive at its peak for each pixel of its input, the input left out."""
