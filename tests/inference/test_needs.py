"""The estimate of a network's memory, against the tensors that are alive while it runs."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from p2pcli.inference.batch_invariance import batch_invariant
from p2pcli.inference.modes import inference_mode
from p2pcli.inference.needs import PICTURES_BYTES, VALUES_PER_PIXEL, bytes_per_pixel
from p2pcli.inference.precision import reduced_copy
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.recipe.generators import GENERATOR_SECTIONS
from p2pcli.tasks import build_generator


class _Alive(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, and the most that there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_bytes(recipe: Recipe, *, size: int) -> int:
    """The most that is alive while the generator of `recipe` translates a picture of `size` px."""
    network = batch_invariant(reduced_copy(build_generator(recipe), torch.float32)).requires_grad_(False)
    with inference_mode(network), _Alive() as alive:
        network(
            torch.zeros(1, recipe.data.input_planes, size, size).contiguous(memory_format=torch.channels_last)
        )
    return alive.peak


SMALL: dict[str, dict[str, object]] = {
    "unet": {"depth": 5},
    "progressive": {"depth": 4},
    "spade": {"hidden": 32},
    "resnet": {"blocks": 2},
    "pix2pixhd_global": {"blocks": 2, "downsamplings": 2},
    "pix2pixhd_local": {"blocks": 2, "downsamplings": 2},
    "srresnet": {"blocks": 2},
    "inpainting": {"blocks": 2},
}
FURTHER: list[tuple[str, dict[str, object]]] = [
    ("unet", {"skips": False}),
    ("unet", {"upsampling": "resize"}),
    ("unet", {"upsampling": "shuffle"}),
    ("unet", {"norm": "none"}),
    ("resnet", {"upsampling": "resize"}),
    ("resnet", {"upsampling": "shuffle"}),
    ("pix2pixhd_global", {"upsampling": "resize"}),
    ("pix2pixhd_local", {"upsampling": "resize"}),
    ("pix2pixhd_local", {"upsampling": "shuffle"}),
    ("spade", {"doublings": "most"}),
    ("spade", {"hidden": 8}),
    ("srresnet", {"scale": 2}),
    ("srresnet", {"adds_to_bicubic": True}),
    ("inpainting", {"upsampling": "deconv"}),
    ("progressive", {"norm": "none"}),
]


def recipe_of(name: str, **keys: object) -> Recipe:
    data: dict[str, object] = {"size": 256, "load_size": 256}
    if name == "spade":
        data["labels"] = 5
    if name == "srresnet":
        data["scale"] = keys.get("scale", 4)
    section = {"name": name, "channels": 16, **SMALL[name], **keys}
    return parse_recipe({"data": data, "generator": section}, where="test")


@pytest.mark.parametrize("size", [256, 384, 640])
@pytest.mark.parametrize("name", GENERATOR_SECTIONS)
def test_the_estimate_is_within_a_quarter_of_what_is_alive(name: str, size: int) -> None:
    recipe = recipe_of(name)
    side = size // 4 if name == "srresnet" else size
    estimate = (bytes_per_pixel(recipe, torch.float32) - PICTURES_BYTES) * side**2
    assert estimate == pytest.approx(peak_bytes(recipe, size=side), rel=0.25)


@pytest.mark.parametrize(("name", "keys"), FURTHER, ids=str)
def test_the_estimate_follows_the_keys_of_the_recipe(name: str, keys: dict[str, object]) -> None:
    recipe = recipe_of(name, **keys)
    side = 96 if name == "srresnet" else 384
    estimate = (bytes_per_pixel(recipe, torch.float32) - PICTURES_BYTES) * side**2
    assert estimate == pytest.approx(peak_bytes(recipe, size=side), rel=0.25)


def test_every_generator_has_an_estimate() -> None:
    assert VALUES_PER_PIXEL.keys() == GENERATOR_SECTIONS.keys()
