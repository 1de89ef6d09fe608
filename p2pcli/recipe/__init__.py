"""A recipe says what a run trains and how: TOML → frozen, strict models; `--set a.b=v` overrides.

Checks that need no network and no file happen here; nothing here imports torch.
"""

from __future__ import annotations

from p2pcli.recipe.discriminators import DISCRIMINATOR_SECTIONS, PatchGAN
from p2pcli.recipe.files import load_recipe, parse_recipe, recipes_folder, set_value, shipped_recipes
from p2pcli.recipe.generators import GENERATOR_SECTIONS, ResNet, SRResNet, UNet
from p2pcli.recipe.settings import Data, Inference, Losses, Pairs, Train
from p2pcli.recipe.whole import Recipe

__all__ = [
    "DISCRIMINATOR_SECTIONS",
    "GENERATOR_SECTIONS",
    "Data",
    "Inference",
    "Losses",
    "Pairs",
    "PatchGAN",
    "Recipe",
    "ResNet",
    "SRResNet",
    "Train",
    "UNet",
    "load_recipe",
    "parse_recipe",
    "recipes_folder",
    "set_value",
    "shipped_recipes",
]
