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


PUBLISHED = {
    "pix2pix": {
        "losses": {"gan": 1.0, "l1": 100.0},
        "train": {"epochs": 100, "decay_epochs": 100, "batch_size": 1, "learning_rate": 2e-4, "beta1": 0.5},
        "discriminator": {"objective": "bce", "receptive_field": 70, "norm": "batch"},
        "generator": {"name": "unet", "norm": "batch", "dropout": True},
    },
    "cyclegan": {
        "losses": {"gan": 1.0, "cycle": 10.0, "identity": 5.0},
        "train": {"pool_size": 50, "batch_size": 1, "learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999},
        "discriminator": {"objective": "lsgan", "norm": "instance", "conditional": False},
        "generator": {"name": "resnet", "blocks": 9, "norm": "instance", "dropout": False},
    },
    "pix2pixhd-512": {
        "losses": {"gan": 1.0, "l1": 0.0, "feature_matching": 10.0, "perceptual": 10.0},
        "train": {"epochs": 100, "decay_epochs": 100, "decay": "linear-hd", "learning_rate": 2e-4},
        "discriminator": {"objective": "lsgan", "scales": 2, "layers": 3, "norm": "instance"},
        "generator": {"channels": 64, "downsamplings": 4, "blocks": 9, "norm": "instance"},
    },
    "pix2pixhd-1024": {
        "train": {"epochs": 50, "decay_epochs": 50, "decay": "linear-hd", "freeze_global_epochs": 20},
        "discriminator": {"objective": "lsgan", "scales": 3},
        "generator": {"channels": 32, "downsamplings": 4, "blocks": 9, "enhancers": 1, "local_blocks": 3},
    },
    "spade": {
        "losses": {"gan": 1.0, "l1": 0.0, "feature_matching": 10.0, "perceptual": 10.0},
        "train": {
            "epochs": 50,
            "decay_epochs": 0,
            "learning_rate": 1e-4,
            "discriminator_learning_rate": 4e-4,
            "beta1": 0.0,
            "beta2": 0.9,
            "init": "xavier",
            "init_gain": 0.02,
        },
        "discriminator": {"objective": "hinge", "scales": 2, "layers": 4, "spectral_norm": True},
        "generator": {"channels": 64, "hidden": 128, "norm": "batch", "spectral_norm": True},
    },
    "srresnet": {
        "losses": {"gan": 0.0, "l1": 0.0, "l2": 1.0},
        "train": {"steps": 1_000_000, "batch_size": 16, "learning_rate": 1e-4, "beta1": 0.9, "decay": "none"},
        "generator": {"channels": 64, "blocks": 16, "scale": 4, "adds_to_bicubic": False},
        "data": {"size": 96},
    },
    "srgan": {
        "losses": {"gan": 1e-3, "l1": 0.0, "perceptual": 1.0, "perceptual_layers": "srgan"},
        "train": {"steps": 200_000, "decay": "step", "decay_every": 100_000, "learning_rate": 1e-4},
    },
    "inpainting": {"losses": {"gan": 0.0025, "l1": 0.995}, "generator": {"upsampling": "resize"}},
}
"""Recipe → section → what the paper or its code has."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_has_the_published_numbers(name):
    recipe = load_recipe(name).model_dump()
    for section, values in PUBLISHED[name].items():
        assert {key: recipe[section][key] for key in values} == values
