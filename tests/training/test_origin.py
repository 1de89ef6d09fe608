"""The model file remembers which maker made the inputs, so that translate can do the same."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.image import Sample
from p2pcli.recipe import parse_recipe
from p2pcli.training.origin import made_by
from p2pcli.training.state import MadeBy

PICTURE = np.zeros((4, 4, 3), np.uint8)


def sample(**meta: object) -> Sample:
    """A pair with such provenance."""
    return Sample("a", PICTURE, PICTURE, meta)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"op": "edges", "op_params": '{"method": "xdog", "k": 1.6}'}, MadeBy("edges", {"method": "xdog"})),
        ({"op": "gray", "op_params": '{"gamma": 1.0}'}, MadeBy("gray")),
        ({"op": "gray"}, MadeBy("gray")),
        ({"op": "gray", "op_params": "{"}, MadeBy("gray")),
        ({"op": "hed"}, MadeBy()),
        ({}, MadeBy()),
    ],
)
def test_the_maker_and_its_unusual_options_are_known_from_a_pair(meta, expected):
    assert made_by(sample(**meta), parse_recipe({}, where="test")) == expected


def test_turned_round_pairs_have_no_maker_behind_their_inputs():
    recipe = parse_recipe({"data": {"direction": "BtoA"}}, where="test")
    assert made_by(sample(op="edges", op_params="{}"), recipe) == MadeBy()
