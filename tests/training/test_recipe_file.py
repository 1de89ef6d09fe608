"""A recipe as TOML and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pcli.recipe import load_recipe, shipped_recipes
from p2pcli.training.recipe_file import recipe_as_toml


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_survives_its_own_file(name: str, tmp_path: Path) -> None:
    changes = ['title=a "quoted" \\\\ title', "data.load_size=none", "train.ema=0.999"]
    recipe = load_recipe(name, changes)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_as_toml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_maker_options_survive(tmp_path: Path) -> None:
    recipe = load_recipe("edges2photo", ['pairs.options.method="sobel"', "pairs.options.invert=true"])
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_as_toml(recipe), encoding="utf-8")
    assert load_recipe(path).pairs.options == {"method": "sobel", "invert": True}
