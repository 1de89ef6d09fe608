"""The networks that a recipe names, and how a generator is run once it is trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, Network, SizeNeeds
from p2pcli.recipe import SPADE, FeatureEncoder, Recipe, StyleEncoder, UNet
from p2pcli.tasks.unpaired import DIRECTIONS, UNPAIRED_JUDGES

_NAMES = frozenset(
    {"generator", "style_encoder", "feature_encoder", *DIRECTIONS, "discriminator", *UNPAIRED_JUDGES}
)
"""What tasks call their networks."""

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


def required_encoder(recipe: Recipe) -> Network:
    """As `build_encoder`, of a recipe that is known to name one."""
    encoder = build_encoder(recipe)
    assert encoder is not None
    return encoder


def generators_of(recipe: Recipe) -> dict[str, Network]:
    """Name → network of all that a model file of `recipe` holds, with weights not yet initialised."""
    if recipe.task == "unpaired":
        return {way: build_generator(recipe_of_direction(recipe, way)) for way in DIRECTIONS}
    encoder = build_encoder(recipe)
    networks = {"generator": build_generator(recipe)}
    return networks if encoder is None else networks | {encoder_name(recipe): encoder}


def discriminators_of(recipe: Recipe) -> dict[str, Network]:
    """Name → discriminator of `recipe`, with weights not yet initialised."""
    if recipe.task == "paired":
        return {"discriminator": build_discriminator(recipe)}
    ways = zip(UNPAIRED_JUDGES, DIRECTIONS, strict=True)
    return {name: build_discriminator(recipe_of_direction(recipe, way)) for name, way in ways}


def encoder_name(recipe: Recipe) -> str:
    """What a task calls the encoder of `recipe`."""
    return "style_encoder" if isinstance(recipe.encoder, StyleEncoder) else "feature_encoder"


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


def states_by_name(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A model file's state by network; empty where no key has a network's name in front."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, _, own = key.partition(".")
        if name in _NAMES:
            found.setdefault(name, {})[own] = value
    return found


def runnable(recipe: Recipe, generator: nn.Module) -> nn.Module:
    """`generator` as a function of the input alone: features, unless they are given, are 0, mid-range."""
    if not isinstance(recipe.encoder, FeatureEncoder):
        return generator
    with torch.device("meta"):
        encoder = required_encoder(recipe)
    return WithFeatures(generator, recipe.encoder.output_channels, encoder_needs=encoder.size_needs)


class WithFeatures(nn.Module):
    """A generator whose last `count` input channels are features of their own."""

    def __init__(self, generator: nn.Module, count: int, *, encoder_needs: SizeNeeds) -> None:
        super().__init__()
        self.generator, self.count = generator, count
        needs: SizeNeeds = generator.size_needs  # type: ignore[assignment]
        # Both are powers of two, so that the larger suits the smaller.
        multiple = max(needs.multiple_of, encoder_needs.multiple_of)
        self.size_needs = SizeNeeds(multiple, max(needs.minimum, encoder_needs.minimum))

    def forward(self, x: Tensor, features: Tensor | None = None) -> Tensor:
        """Translate `x` (B, C, H, W) with `features` (B, count, H, W), None: 0."""
        if features is None:
            batch, _, height, width = x.shape
            features = x.new_zeros(batch, self.count, height, width)
        result: Tensor = self.generator(torch.cat([x, features], 1))
        return result
