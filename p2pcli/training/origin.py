"""Which pair maker made the inputs that a run learns from; the model file remembers it for `translate`."""

from __future__ import annotations

from p2pcli.image import Sample
from p2pcli.pairs import MAKERS
from p2pcli.recipe import Recipe
from p2pcli.training.state import MadeBy
from p2pcli.untrusted import parse_json_object


def made_by(sample: Sample, recipe: Recipe) -> MadeBy:
    """Maker and options behind the inputs, after the columns "op" and "op_params" of a pair's provenance.

    Options at their default are left out. No maker where the pairs come from elsewhere, or where the
    direction is turned round, so that what the maker made is the target. A dataset made with drawn options
    is known by those of its first pair.
    """
    name, options = sample.meta.get("op"), sample.meta.get("op_params")
    if recipe.data.direction == "BtoA" or not isinstance(name, str) or name not in MAKERS:
        return MadeBy()
    try:
        values = parse_json_object(options) if isinstance(options, str) else {}
    except ValueError:
        values = {}
    defaults = {key: field.default for key, field in MAKERS[name].options.model_fields.items()}
    given = {key: value for key, value in values.items() if key in defaults and value != defaults[key]}
    return MadeBy(name, given)
