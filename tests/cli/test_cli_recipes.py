"""`p2p recipes`: lists and shows what is shipped."""

from __future__ import annotations

import json

import pytest

from p2pcli.recipe import shipped_recipes


def test_every_shipped_recipe_is_listed_with_its_title(run):
    ended = run("recipes")
    assert [line.split()[0] for line in ended.out.splitlines()] == list(shipped_recipes())
    assert all(len(line.split()) > 1 for line in ended.out.splitlines())


def test_list_and_its_json_say_the_same(run):
    assert list(json.loads(run("recipes", "list", "--json").out)) == list(shipped_recipes())


@pytest.mark.parametrize("name", ["pix2pix", "quick"])
def test_show_prints_the_file_as_it_is(run, name):
    assert run("recipes", "show", name).out == shipped_recipes()[name].read_text(encoding="utf-8")
