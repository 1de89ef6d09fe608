"""A recipe says what a run trains and how: TOML → frozen, strict models; `--set a.b=v` overrides.

Checks that need no network and no file happen here; nothing here imports torch.
"""

from __future__ import annotations

from p2pcli.recipe.data import Data, Pairs
from p2pcli.recipe.discriminators import DISCRIMINATOR_SECTIONS, PatchGAN
from p2pcli.recipe.encoders import ENCODER_SECTIONS, FeatureEncoder, StyleEncoder
from p2pcli.recipe.files import (
    keys_called,
    load_recipe,
    parse_recipe,
    recipes_folder,
    set_value,
    shipped_recipes,
)
from p2pcli.recipe.generators import GENERATOR_SECTIONS, SPADE, ResNet, SRResNet, UNet
from p2pcli.recipe.losses import Losses
from p2pcli.recipe.train import Inference, Train
from p2pcli.recipe.whole import Discriminator, Encoder, Generator, Recipe

__all__ = [
    "DISCRIMINATOR_SECTIONS",
    "ENCODER_SECTIONS",
    "GENERATOR_SECTIONS",
    "SPADE",
    "Data",
    "Discriminator",
    "Encoder",
    "FeatureEncoder",
    "Generator",
    "Inference",
    "Losses",
    "Pairs",
    "PatchGAN",
    "Recipe",
    "ResNet",
    "SRResNet",
    "StyleEncoder",
    "Train",
    "UNet",
    "keys_called",
    "load_recipe",
    "parse_recipe",
    "recipes_folder",
    "set_value",
    "shipped_recipes",
]
