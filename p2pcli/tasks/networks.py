"""The networks that a recipe names, and how a generator is run once it is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, Network
from p2pcli.recipe import SPADE, FeatureEncoder, Recipe, StyleEncoder, UNet
from p2pcli.tasks.unpaired import DIRECTIONS

SPADE_DOUBLINGS = {"normal": 5, "more": 6, "most": 7}


def build_generator(recipe: Recipe) -> Network:
    """The generator of `recipe` with weights not yet initialised (torch's own defaults)."""
    section = recipe.generator
    options = section.model_dump(exclude={"name"})
    if isinstance(section, UNet) and section.depth is None:
        options["depth"] = recipe.data.size.bit_length() - 1
    if isinstance(section, SPADE) and isinstance(recipe.encoder, StyleEncoder) and section.style_grid is None:
        cells = recipe.data.size >> SPADE_DOUBLINGS[section.doublings]
        options["style_grid"] = (cells, cells)
    channels = recipe.data.input_planes + feature_channels(recipe)
    return GENERATORS[section.name](
        input_channels=channels, output_channels=recipe.data.target_planes, **options
    )


def feature_channels(recipe: Recipe) -> int:
    """Input channels of the generator that a feature encoder fills; 0 without one."""
    return recipe.encoder.output_channels if isinstance(recipe.encoder, FeatureEncoder) else 0


def build_discriminator(recipe: Recipe) -> Network:
    """The discriminator of `recipe` with weights not yet initialised."""
    section = recipe.discriminator
    seen = recipe.data.target_planes + (recipe.data.input_planes if section.conditional else 0)
    options = section.model_dump(exclude={"name", "conditional", "objective"})
    return DISCRIMINATORS[section.name](input_channels=seen, **options)


def build_encoder(recipe: Recipe) -> Network | None:
    """The encoder of `recipe` with weights not yet initialised; None where it names none."""
    if recipe.encoder is None:
        return None
    options = recipe.encoder.model_dump(exclude={"name"})
    return ENCODERS[recipe.encoder.name](input_channels=recipe.data.target_planes, **options)


def recipe_of_direction(recipe: Recipe, direction: str) -> Recipe:
    """`recipe` as the generator of "AtoB" or "BtoA" sees it: the way back has the channels changed round."""
    if direction == DIRECTIONS[0]:
        return recipe
    data = recipe.data
    swapped = {"input_channels": data.target_channels, "target_channels": data.input_channels}
    return recipe.model_copy(update={"data": data.model_copy(update=swapped)})


def model_state(generators: nn.Module | Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The state dict that a model file holds.

    One generator: its own keys, which are the published ones. Several networks: each with its name in front.
    """
    networks = dict(generators.named_children()) if isinstance(generators, nn.Module) else dict(generators)
    if len(networks) == 1:
        (network,) = networks.values()
        return network.state_dict()
    return {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def state_of(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The part of a model file's state that belongs to network `name`; all of it where no key has a name."""
    start = f"{name}."
    inside = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
    return inside or dict(state)


def runnable(recipe: Recipe, generator: nn.Module) -> nn.Module:
    """`generator` as a function of the input alone: an encoder's features are 0, mid-range."""
    count = feature_channels(recipe)
    return generator if count == 0 else WithoutFeatures(generator, count)


class WithoutFeatures(nn.Module):
    """A generator whose last `count` input channels are 0."""

    def __init__(self, generator: nn.Module, count: int) -> None:
        super().__init__()
        self.generator, self.count = generator, count
        self.size_needs = generator.size_needs

    def forward(self, x: Tensor) -> Tensor:
        """Translate `x` (B, C, H, W) without those channels."""
        batch, _, height, width = x.shape
        zeros = x.new_zeros(batch, self.count, height, width)
        result: Tensor = self.generator(torch.cat([x, zeros], 1))
        return result
