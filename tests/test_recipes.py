"""Every shipped recipe: it loads, says what it is, and describes networks that can be built and run."""

from __future__ import annotations

import pytest
import torch

from p2pcli.conditions.layers import channels_of
from p2pcli.conditions.planes import input_planes
from p2pcli.pairs import MAKERS, draw_options
from p2pcli.randomness import rng_for
from p2pcli.recipe import Recipe, load_recipe, shipped_recipes
from p2pcli.tasks import build_generator
from p2pcli.tasks.networks import runnable

NAMES = list(shipped_recipes())


def test_these_recipes_are_shipped():
    assert {"pix2pix", "edges2photo", "colorize", "super-resolution", "quick"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_loads_and_has_a_title(name):
    assert load_recipe(name).title


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_opens_with_its_paper_its_time_and_its_result(name):
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    comment = text.split("\n\n")[0].split("title =")[0]
    assert all(line.startswith("#") for line in comment.strip().splitlines())
    assert "# Time: " in comment
    assert "# Result: " in comment
    assert "section" in comment or "abstract" in comment


@pytest.mark.parametrize("name", NAMES)
def test_a_recipes_pair_maker_exists_and_takes_its_options(name):
    pairs = load_recipe(name).pairs
    if pairs.maker is not None:
        draw_options(MAKERS[pairs.maker], pairs.options, rng_for(0, "test"), jitter=True)


def small(name: str) -> Recipe:
    """The recipe with its networks made narrow, so that building them costs nothing."""
    return load_recipe(name, ["generator.channels=2", "discriminator.channels=2"])


@pytest.mark.parametrize("name", NAMES)
def test_a_recipes_generator_keeps_the_size_it_is_trained_with(name):
    recipe = small(name)
    data = recipe.data
    generator = runnable(recipe, build_generator(recipe)).eval()
    layers = max(place.stop for place in channels_of(data).values())
    packed = torch.zeros(1, data.input_size, data.input_size, layers, dtype=torch.uint8)
    with torch.no_grad():
        result = generator(input_planes(packed, data))
    assert result.shape == (1, data.target_planes, data.size, data.size)
