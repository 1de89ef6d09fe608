"""Recipes from TOML files and plain values, with overrides, and errors that name the key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from p2pcli.errors import RecipeError, did_you_mean
from p2pcli.recipe.data import Data
from p2pcli.recipe.discriminators import DISCRIMINATOR_SECTIONS
from p2pcli.recipe.encoders import ENCODER_SECTIONS
from p2pcli.recipe.generators import GENERATOR_SECTIONS
from p2pcli.recipe.section import Section
from p2pcli.recipe.whole import Recipe
from p2pcli.untrusted import DEPTH, KEY_PARTS, kind_of, parse_toml, read_text, require_shallow

NETWORK_SECTIONS: dict[str, tuple[str, dict[str, type[Section]]]] = {
    "generator": ("unet", GENERATOR_SECTIONS),
    "discriminator": ("patchgan", DISCRIMINATOR_SECTIONS),
    "encoder": ("spade_style", ENCODER_SECTIONS),
}
"""Section of a recipe → the network it holds when it names none, and all that it can hold."""

_NETWORKS = {**GENERATOR_SECTIONS, **DISCRIMINATOR_SECTIONS, **ENCODER_SECTIONS}


def recipes_folder() -> Path:
    """Where the shipped recipes lie: inside an installed wheel, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Name → file of every recipe that comes with p2p, sorted by name."""
    return {path.stem: path for path in sorted(recipes_folder().glob("*.toml"))}


def load_recipe(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe called or stored so, with `--set`-style overrides ("train.epochs=5") applied in order.

    "variant=cpu" takes the keys of the file's [variants.cpu] before all others. Raises `RecipeError` that
    names file and key, with a did-you-mean.
    """
    overrides, path = list(overrides), Path(name_or_path)
    shipped = shipped_recipes()
    if str(name_or_path) in shipped:
        path = shipped[str(name_or_path)]
    elif not path.is_file():
        raise RecipeError(
            f"no recipe '{name_or_path}': neither a shipped name nor a TOML file. "
            f"{did_you_mean(str(name_or_path), shipped)}"
        )
    try:
        values = parse_toml(read_text(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Expected a TOML file.") from None
    except ValueError as error:
        raise RecipeError(f"{path}: not valid TOML ({error}). Compare with a shipped recipe.") from None
    changes: dict[str, Any] = {}
    for override in overrides:
        set_value(changes, override)
    values = _with_variant(values, changes.pop("variant", None), where=str(name_or_path))
    before = values.get("data")
    before = dict(before) if isinstance(before, dict) else {}
    for override in overrides:
        if _key_of(override) != "variant":
            set_value(values, override)
    _scale_load_size(values, before, changes)
    return parse_recipe(values, where=str(name_or_path))


def _with_variant(values: dict[str, Any], name: object, *, where: str) -> dict[str, Any]:
    """`values` without its [variants], the keys of the one called `name` in the place of its own."""
    variants = values.pop("variants", {})
    if name is None:
        return values
    if not isinstance(variants, dict) or str(name) not in variants:
        known = did_you_mean(str(name), variants) if variants else "It has none."
        raise RecipeError(f"{where}: no variant '{name}'. {known}")
    chosen = variants[str(name)]
    if not isinstance(chosen, dict):
        raise RecipeError(f"{where}: variants.{name} is {kind_of(chosen)}, where sections are expected.")
    for section, keys in chosen.items():
        replaced = values.get(section, {})
        if not isinstance(replaced, dict):
            replaced = {}
        is_other = isinstance(keys, dict) and keys.get("name", replaced.get("name")) != replaced.get("name")
        values[section] = {**({} if is_other else replaced), **keys} if isinstance(keys, dict) else keys
    return values


def _scale_load_size(values: dict[str, Any], before: dict[str, Any], changes: dict[str, Any]) -> None:
    """Where only `data.size` is changed, `data.load_size` keeps its ratio to it: 286 of 256 is 572 of 512."""
    data = changes.get("data")
    if not isinstance(data, dict) or "size" not in data or "load_size" in data:
        return
    sizes = before.get("size", Data().size), before.get("load_size", Data().load_size), data["size"]
    if all(type(size) is int and size > 0 for size in sizes):
        old, loaded, new = sizes
        values["data"]["load_size"] = round(loaded * new / old)


def _key_of(override: str) -> str:
    return override.partition("=")[0].strip()


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Check plain values (as TOML or JSON gives them) against the models; `where` goes into messages."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: {kind_of(values)}, where sections with keys are expected.")
    values = _with_names(values, where)
    try:
        require_shallow(values, depth=DEPTH)
        # JSON mode: strict about types, while TOML arrays may still become tuples.
        return Recipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: a value has a type that recipes do not use ({error}).") from None


def _with_names(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy in which a network without a name has the default one; an unknown name gets its did-you-mean."""
    named = dict(values)
    for section, (default, known) in NETWORK_SECTIONS.items():
        network = values.get(section)
        if not isinstance(network, dict):
            continue
        name = network.get("name", default)
        if not isinstance(name, str) or name not in known:
            raise RecipeError(
                f"{where}: unknown {section} '{_cut(str(name))}'. {did_you_mean(str(name), known)}"
            )
        named[section] = {**network, "name": name}
    return named


def set_value(values: dict[str, Any], override: str) -> None:
    """Apply one "a.b=v" in place; v is a TOML value, or else taken as a plain string."""
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts) or len(parts) > KEY_PARTS:
        raise RecipeError(f"--set {_cut(override)}: expected key=value, such as --set train.epochs=20.")
    try:
        value = parse_toml(f"value = {text.strip()}")["value"]
    except ValueError:
        value = text.strip()
    section = values
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise RecipeError(f"--set {override}: '{part}' is a value, not a section.")
    section[parts[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first problem as "unknown key 'losses.l_1'. Did you mean 'l1'?" or "key: what was expected"."""
    problem = error.errors(include_url=False)[0]
    place = [str(part) for part in problem["loc"] if part not in _NETWORKS]
    dotted = ".".join(place)
    if problem["type"] == "extra_forbidden":
        section = ".".join(place[:-1]) or "a recipe"
        known = _known_keys(problem["loc"][:-1])
        elsewhere = [key for key in keys_called(place[-1]) if key != dotted]
        hint = _suggest(place[-1], known) or (f"Did you mean '{elsewhere[0]}'?" if elsewhere else "")
        return f"unknown key '{dotted}'. {section} has: {', '.join(known)}. {hint}".strip()
    value = problem["input"]
    found = "" if isinstance(value, dict) else f" (found {_cut(json.dumps(value, default=str))})"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{dotted}: {message}{found}." if dotted else f"{message}."


def keys_called(name: str) -> list[str]:
    """The dotted keys of a recipe whose last part is `name`: ["train.epochs"] for "epochs"."""
    named = {section: networks[default] for section, (default, networks) in NETWORK_SECTIONS.items()}
    found = []
    for section, field in Recipe.model_fields.items():
        model = named.get(section, field.annotation)
        if isinstance(model, type) and issubclass(model, Section) and name in model.model_fields:
            found.append(f"{section}.{name}")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def _suggest(word: str, known: list[str]) -> str:
    sentence = did_you_mean(word, known)
    return sentence if sentence.startswith("Did") else ""


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        if part in _NETWORKS:
            model = _NETWORKS[str(part)]
            continue
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return sorted(model.model_fields)
