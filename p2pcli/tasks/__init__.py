"""Objectives: networks plus losses. `build_task` makes the one that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from p2pcli.losses.perceptual import HD_LAYERS, SRGAN_LAYERS
from p2pcli.nets import Network, init_weights
from p2pcli.nets.growth import is_growing
from p2pcli.nets.vgg import load_vgg19
from p2pcli.recipe import Recipe, SRResNet, StyleEncoder
from p2pcli.tasks.fitness import require_size, require_usable, used_weights
from p2pcli.tasks.judging import JUDGING, Judging
from p2pcli.tasks.networks import (
    build_discriminator,
    build_encoder,
    build_generator,
    recipe_of_direction,
)
from p2pcli.tasks.paired import PairedTask, hd_perceptual, srgan_perceptual
from p2pcli.tasks.task import Batch, Task, networks_of
from p2pcli.tasks.unpaired import DIRECTIONS, UnpairedTask

__all__ = [
    "TASKS",
    "Batch",
    "PairedTask",
    "Task",
    "UnpairedTask",
    "build_discriminator",
    "build_generator",
    "build_task",
    "networks_of",
]


def build_task(recipe: Recipe, *, extractor: nn.Module | None = None) -> Task[Any]:
    """The task of `recipe` on the CPU, its weights drawn from the seed.

    `extractor` stands in for VGG19 behind the perceptual term. Raises `RecipeError` where sizes, terms and
    networks do not go together, `EnvironmentFaultError` where VGG19's weights cannot be had.
    """
    require_usable(recipe)
    return TASKS[recipe.task](recipe, extractor)


def _build_paired(recipe: Recipe, extractor: nn.Module | None) -> PairedTask:
    generator, discriminator = build_generator(recipe), build_discriminator(recipe)
    encoder = build_encoder(recipe)
    _require_sizes(recipe, generator, discriminator)
    if encoder is not None:
        require_size("encoder", encoder, recipe.data.size)
    # Streams of their own, so that changing one network leaves the others as they were.
    for stream, network in enumerate((generator, discriminator, encoder)):
        if network is not None:
            _init(network, recipe, stream=stream)
    takes_style = isinstance(recipe.encoder, StyleEncoder)
    is_srgan = recipe.losses.perceptual_layers == "srgan"
    if recipe.losses.perceptual and extractor is None:
        extractor = _vgg19(recipe)
    return PairedTask(
        generator,
        discriminator,
        weights=used_weights(recipe),
        objective=recipe.discriminator.objective,
        conditional=recipe.discriminator.conditional,
        judging=_judging(recipe),
        style_encoder=encoder if takes_style else None,
        feature_encoder=None if takes_style else encoder,
        extractor=extractor if recipe.losses.perceptual else None,
        feature_distance=srgan_perceptual if is_srgan else hd_perceptual,
    )


def _build_unpaired(recipe: Recipe, extractor: nn.Module | None) -> UnpairedTask:
    ways = [recipe_of_direction(recipe, direction) for direction in DIRECTIONS]
    generator_a, generator_b = (build_generator(way) for way in ways)
    discriminator_a, discriminator_b = (build_discriminator(way) for way in ways)
    _require_sizes(recipe, generator_a, discriminator_a)
    networks = (generator_a, discriminator_a, generator_b, discriminator_b)
    for stream, network in enumerate(networks):
        _init(network, recipe, stream=stream)
    return UnpairedTask(
        (generator_a, generator_b),
        (discriminator_a, discriminator_b),
        weights=used_weights(recipe),
        objective=recipe.discriminator.objective,
        judging=_judging(recipe),
        pool_size=recipe.train.pool_size,
        seed=recipe.train.seed,
    )


def _init(network: Network, recipe: Recipe, *, stream: int) -> None:
    train = recipe.train
    init_weights(network, kind=train.init, gain=train.init_gain, seed=train.seed + stream)


def _judging(recipe: Recipe) -> Judging:
    """As the discriminator was published; an unpaired task has both generators first, as CycleGAN does."""
    judging = JUDGING[recipe.discriminator.name]
    if recipe.task == "unpaired":
        judging = replace(judging, order="generator-first", renews_fakes=False)
    if recipe.train.diffaugment:
        data = recipe.data
        planes = data.labels is not None or data.mask or data.instances is not None or data.classes
        judging = replace(judging, policies=recipe.train.diffaugment, input_has_colours=not planes)
    if recipe.train.order is not None:
        judging = replace(judging, order=recipe.train.order)
    return judging


def _require_sizes(recipe: Recipe, generator: Network, discriminator: Network) -> None:
    size_px = recipe.data.size
    scale = recipe.generator.scale if isinstance(recipe.generator, SRResNet) else 1
    require_size("generator", generator, size_px // scale)
    require_size("discriminator", discriminator, size_px)
    for section, network in (("generator", generator), ("discriminator", discriminator)):
        # A growing network leaves layers out at smaller sizes.
        if recipe.train.stages and not is_growing(network):
            smallest = size_px >> len(recipe.train.stages)
            require_size(section, network, smallest, of="the first stage's size")


def _vgg19(recipe: Recipe) -> nn.Module:
    losses = recipe.losses
    file = None if losses.perceptual_weights is None else Path(losses.perceptual_weights)
    is_srgan = losses.perceptual_layers == "srgan"
    return load_vgg19(layers=SRGAN_LAYERS if is_srgan else HD_LAYERS, imagenet_range=is_srgan, weights=file)


TASKS: dict[str, Callable[[Recipe, nn.Module | None], Task[Any]]] = {
    "paired": _build_paired,
    "unpaired": _build_unpaired,
}
