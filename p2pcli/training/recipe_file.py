"""A resolved recipe as TOML text, which `load_recipe` reads back to an equal recipe."""

from __future__ import annotations

import json

from p2pcli.errors import RecipeError
from p2pcli.recipe import Recipe


def recipe_as_toml(recipe: Recipe) -> str:
    """Every key with its value; "none" where there is no value, since TOML has no null."""
    lines: list[str] = []
    values = recipe.model_dump(mode="json")
    lines += [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in section.items()]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON strings are TOML basic strings, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    raise RecipeError(f"a recipe value of type {type(value).__name__} has no TOML form: {value!r}.")
