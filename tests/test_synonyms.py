"""Words of other tools lead to what p2p calls the same thing; everything that the table names exists."""

from __future__ import annotations

import pytest

from p2pcli.errors import did_you_mean
from p2pcli.pairs import MAKERS
from p2pcli.recipe import keys_called, load_recipe, shipped_recipes
from p2pcli.synonyms import MEANINGS


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("sketch", MAKERS, "edges"),
        ("colorize", MAKERS, "gray"),
        ("super-resolution", MAKERS, "downsample"),
        ("Super_Resolution", MAKERS, "downsample"),
        ("inpainting", MAKERS, "mask"),
        ("segment", MAKERS, "p2p train FOLDER/ -r spade"),
        ("gaugan", shipped_recipes(), "spade"),
        ("cityscapes", shipped_recipes(), "spade"),
        ("pix2pixhd", shipped_recipes(), "pix2pixhd-512"),
        ("horse2zebra", shipped_recipes(), "cyclegan"),
        ("--style", ["--look", "--seed"], "--look"),
        ("--samples", ["--look", "--limit"], "--look sample"),
        ("--batch", ["--batch-size", "--seed"], "--batch-size"),
        ("--batch", ["--set", "--seed"], "--set train.batch_size=4"),
        ("--lambda", ["--set", "--seed"], "--set losses.l1=100"),
        ("--epochs", ["--set", "--seed"], "--set train.epochs=20"),
        ("--size", ["--set", "--seed"], "--set data.size=256"),
    ],
)
def test_a_word_of_another_tool_leads_to_ours(word, known, meant):
    assert did_you_mean(word, known) == f"Did you mean '{meant}'?"


def test_dashes_make_no_two_options_alike():
    assert did_you_mean("--size", ["--seed", "--model"]) == "Known: --model, --seed."


@pytest.mark.parametrize(
    "setting", sorted({m for meanings in MEANINGS.values() for m in meanings if m.startswith("--set ")})
)
def test_every_setting_that_is_suggested_is_a_key_of_a_recipe(setting):
    key, _, value = setting.removeprefix("--set ").partition("=")
    assert key in keys_called(key.rpartition(".")[2])
    if value:
        load_recipe("pix2pix", [f"{key}={value}"])


def test_every_other_meaning_is_a_maker_a_recipe_a_verb_or_an_option():
    from p2pcli.cli.verbs import VERBS, command_of

    options = {
        flag
        for verb in ("train", "translate", "import", "export")
        for param in command_of(verb).params
        for flag in param.opts
    }
    known = {*MAKERS, *shipped_recipes(), *VERBS, *options, "p2p"}
    meant = {m.split(" ")[0] for meanings in MEANINGS.values() for m in meanings}
    assert meant - known == set()
