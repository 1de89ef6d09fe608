"""What is done to a picture before the network sees it: the pair maker that made the training inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from p2pcli.errors import UsageError
from p2pcli.image import Image, as_rgb8
from p2pcli.inference.model_file import ModelInfo
from p2pcli.pairs import draw_options, maker_named
from p2pcli.randomness import rng_for
from p2pcli.recipe import Recipe

Prepare = Literal["auto", "maker", "none"]

DEGRADING_MAKERS = frozenset({"downsample", "mask", "restore"})
"""Makers that spoil a picture. What such a model is given is poor already, so "auto" leaves it as it is."""


@dataclass(frozen=True)
class Preparation:
    """A pair maker and its options, ready to be applied. Without a name it does nothing."""

    maker: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    apply: Callable[[Image, str], Image] | None = None
    """(picture (H, W, C), key) → input uint8 (H, W, 1, 3 or 4)."""

    def describe(self) -> str:
        """A sentence for the user; empty where nothing is done."""
        if self.maker is None:
            return ""
        given = " ".join(f"{name}={value}" for name, value in self.options.items())
        return (
            f"the model learned from what '{self.maker}' makes of pictures, so each picture goes through it "
            f"first{f' ({given})' if given else ''}; --prepare none switches that off"
        )


def preparation_for(recipe: Recipe, info: ModelInfo, *, prepare: str, seed: int) -> Preparation:
    """What "auto", "maker" or "none" means for a model.

    The maker is the one of the recipe (pairs made on the fly) or the one recorded with the dataset, with the
    options given there and its defaults for the rest. "auto" applies it unless it is one that degrades.
    Raises `UsageError` for "maker" where none is recorded.
    """
    if prepare not in ("auto", "maker", "none"):
        raise UsageError(f"no way to prepare called '{prepare}'. Known: auto, maker, none.")
    name, given = recorded_maker(recipe, info)
    if name is None and prepare == "maker":
        raise UsageError(
            "--prepare maker was asked for, but the model does not record a pair maker: it was trained on "
            "pairs that came from elsewhere. Leave the option out and give it pictures like its inputs."
        )
    if name is None or prepare == "none" or (prepare == "auto" and name in DEGRADING_MAKERS):
        return Preparation()
    maker = maker_named(name)
    options = draw_options(maker, given, rng_for(seed, "options", name), jitter=False)

    def apply(image: Image, key: str) -> Image:
        return maker.make(as_rgb8(image), rng=rng_for(seed, key, maker.name), options=options)

    return Preparation(name, dict(given), apply)


def recorded_maker(recipe: Recipe, info: ModelInfo) -> tuple[str | None, Mapping[str, object]]:
    """Name and given options of the maker behind the training inputs, or (None, {})."""
    if recipe.pairs.maker is not None:
        return recipe.pairs.maker, recipe.pairs.options
    return info.maker, info.maker_options
