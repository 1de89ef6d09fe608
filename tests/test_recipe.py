"""Recipes: strict keys and types, overrides, and errors that say what to do."""

from __future__ import annotations

import pytest

from p2pcli.errors import RecipeError
from p2pcli.recipe import Data, Recipe, load_recipe, parse_recipe, set_value

DATA_KEYS = ", ".join(sorted(Data.model_fields))


def parse(*overrides: str) -> Recipe:
    values: dict = {}
    for override in overrides:
        set_value(values, override)
    return parse_recipe(values, where="x.toml")


def test_defaults_are_the_published_pix2pix_setting():
    recipe = Recipe()
    assert (recipe.losses.gan, recipe.losses.l1, recipe.train.learning_rate) == (1.0, 100.0, 2e-4)
    assert (recipe.data.size, recipe.data.load_size, recipe.train.beta1) == (256, 286, 0.5)


def test_set_takes_toml_values_and_bare_words():
    recipe = parse("train.epochs=5", "generator.norm=instance", "data.flip=false", "data.load_size=none")
    assert (recipe.train.epochs, recipe.generator.norm) == (5, "instance")
    assert (recipe.data.flip, recipe.data.load_size) == (False, None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.flap=true", f"x.toml: unknown key 'data.flap'. data has: {DATA_KEYS}. Did you mean 'flip'?"),
        ("generator.name=unt", "x.toml: unknown generator 'unt'. Did you mean 'unet'?"),
        ("train.epochs=2.5", "x.toml: train.epochs: Input should be a valid integer (found 2.5)."),
        ('train.epochs="2"', 'x.toml: train.epochs: Input should be a valid integer (found "2").'),
        ("train.epochs=-1", "x.toml: train.epochs: Input should be greater than or equal to 0 (found -1)."),
        ("data.load_size=100", "x.toml: data: load_size 100 is smaller than size 256."),
    ],
)
def test_a_mistake_names_the_key_and_what_was_expected(override, message):
    with pytest.raises(RecipeError) as caught:
        parse(override)
    assert str(caught.value) == message


def test_an_unknown_loss_term_gets_its_did_you_mean():
    with pytest.raises(RecipeError, match=r"unknown key 'losses\.l_1'\. .*Did you mean 'l1'\?$"):
        parse("losses.l_1=3")


def test_unpaired_data_change_the_defaults_that_they_leave_no_choice_in():
    recipe = parse("task=unpaired", "losses.identity=0.0")
    weights = {name: value for name, value in recipe.losses.weights().items() if value}
    assert weights == {"gan": 1.0, "cycle": 10.0, "cycle_b": 10.0}
    assert (recipe.discriminator.conditional, recipe.train.best_metric) == (False, "cycle")


def test_a_size_that_the_unet_cannot_halve_is_refused_with_the_two_ways_out():
    with pytest.raises(RecipeError, match=r"data.size 100 is not a multiple of 64.*generator.depth"):
        parse("data.size=100", "data.load_size=110")


@pytest.mark.parametrize("override", ["train.epochs", "=3", "a..b=1"])
def test_an_override_without_key_or_value_is_refused(override):
    with pytest.raises(RecipeError, match="expected key=value"):
        set_value({}, override)


def test_an_unknown_recipe_suggests_a_shipped_one():
    with pytest.raises(RecipeError, match=r"no recipe 'pix2pixx'.*Did you mean 'pix2pix'\?"):
        load_recipe("pix2pixx")


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("task = ", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"mine\.toml: not valid TOML"):
        load_recipe(path)


def test_a_recipe_survives_json():
    recipe = parse("train.ema=0.999", "generator.depth=6", "data.size=64", "data.load_size=72")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("override", ["losses.l1=inf", "train.learning_rate=inf", "data.validation=nan"])
def test_a_number_that_is_not_finite_is_refused(override: str) -> None:
    with pytest.raises(RecipeError, match=override.partition("=")[0]):
        load_recipe("pix2pix", [override])


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        (["data.size=512"], (512, 572)),
        (["data.size=128"], (128, 143)),
        (["data.size=512", "data.load_size=600"], (512, 600)),
        (["data.load_size=none", "data.size=512"], (512, None)),
        (["variant=cpu", "data.size=128"], (128, 144)),
        (["data.load_size=300"], (256, 300)),
    ],
)
def test_the_load_size_follows_the_size_unless_it_is_given(overrides, sizes):
    data = load_recipe("pix2pix", overrides).data
    assert (data.size, data.load_size) == sizes


def test_a_key_without_its_section_is_recognised():
    with pytest.raises(RecipeError, match=r"unknown key 'epochs'.*Did you mean 'train.epochs'\?"):
        load_recipe("pix2pix", ["epochs=20"])
