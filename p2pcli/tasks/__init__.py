"""Objectives: networks plus losses. `build_task` makes the one that a recipe names."""

from __future__ import annotations

from collections.abc import Callable

from p2pcli.errors import RecipeError
from p2pcli.nets import DISCRIMINATORS, GENERATORS, Network, init_weights
from p2pcli.recipe import Recipe, SRResNet, UNet
from p2pcli.tasks.paired import Batch, PairedTask

__all__ = ["TASKS", "Batch", "PairedTask", "build_discriminator", "build_generator", "build_task"]


def build_generator(recipe: Recipe) -> Network:
    """The generator of `recipe` with weights not yet initialised (torch's own defaults)."""
    section = recipe.generator
    options = section.model_dump(exclude={"name"})
    if isinstance(section, UNet) and section.depth is None:
        options["depth"] = recipe.data.size.bit_length() - 1
    return GENERATORS[section.name](
        input_channels=recipe.data.input_channels, output_channels=recipe.data.target_channels, **options
    )


def build_discriminator(recipe: Recipe) -> Network:
    """The discriminator of `recipe` with weights not yet initialised."""
    section = recipe.discriminator
    seen = recipe.data.target_channels + (recipe.data.input_channels if section.conditional else 0)
    options = section.model_dump(exclude={"name", "conditional", "objective"})
    return DISCRIMINATORS[section.name](input_channels=seen, **options)


def build_task(recipe: Recipe) -> PairedTask:
    """The task of `recipe` on the CPU, its weights drawn from the seed.

    Raises `RecipeError` where sizes or loss weights cannot be used.
    """
    return TASKS[recipe.task](recipe)


def _build_paired(recipe: Recipe) -> PairedTask:
    weights = recipe.losses.model_dump()
    if not any(weights.values()):
        raise RecipeError("losses: every weight is 0, so there is nothing to learn. Set losses.l1=100.")
    _require_pictures(recipe)
    generator, discriminator = build_generator(recipe), build_discriminator(recipe)
    for section, network in (("generator", generator), ("discriminator", discriminator)):
        _require_size(section, network, recipe.data.size)
    kind, gain, seed = recipe.train.init, recipe.train.init_gain, recipe.train.seed
    init_weights(generator, kind=kind, gain=gain, seed=seed)
    # Another stream than the generator's, so that changing one network leaves the other as it was.
    init_weights(discriminator, kind=kind, gain=gain, seed=seed + 1)
    return PairedTask(
        generator,
        discriminator,
        weights=weights,
        objective=recipe.discriminator.objective,
        conditional=recipe.discriminator.conditional,
    )


def _require_pictures(recipe: Recipe) -> None:
    """An imported model may have any channels and any scale; training reads pictures of one size."""
    channels = {"input": recipe.data.input_channels, "target": recipe.data.target_channels}
    for side, count in channels.items():
        if count not in (1, 3):
            raise RecipeError(
                f"data.{side}_channels {count}: training reads pictures, which have 1 or 3 channels. "
                f"Set data.{side}_channels=3."
            )
    if isinstance(recipe.generator, SRResNet):
        raise RecipeError(
            "generator srresnet: its target is larger than its input, while training reads pairs of one "
            "size. Choose another generator, such as resnet."
        )


def _require_size(section: str, network: Network, size_px: int) -> None:
    needs = network.size_needs
    if size_px % needs.multiple_of or size_px < needs.minimum:
        raise RecipeError(
            f"data.size {size_px} does not suit the {section}, which needs a multiple of {needs.multiple_of} "
            f"from {needs.minimum} px on. Change data.size, or the {section}'s settings."
        )


TASKS: dict[str, Callable[[Recipe], PairedTask]] = {"paired": _build_paired}
