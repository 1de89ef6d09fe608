"""What `train` settles before anything is built: which data, which recipe, which folder, new or resumed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from p2pcli import __version__
from p2pcli.errors import NothingMatchedError, UsageError, did_you_mean
from p2pcli.io.atomic import write_bytes
from p2pcli.io.begun import is_begun
from p2pcli.io.listing import list_media
from p2pcli.io.pairs_folder import find_pair_folders
from p2pcli.io.parquet import is_parquet_dataset
from p2pcli.io.places import path_of, paths_of, real, require_folder, require_no_links, require_outside
from p2pcli.io.sidebyside import is_side_by_side
from p2pcli.plan import differences, require_same
from p2pcli.recipe import Recipe, load_recipe, parse_recipe, set_value
from p2pcli.training.recipe_file import recipe_as_toml
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.stored import recipe_of_origin

_LAYOUT = "data: layout"

RECIPE = "pix2pix"
"""The recipe where none is asked for."""

TUNED = "fine-tuned"
"""What a run is called that takes its recipe from the model it starts from."""

LAYOUT_KEYS = frozenset({"layout", "input_folder", "target_folder", "group"})
"""Keys of [data] that say which pictures are meant; what came of them is in the names and the layout."""

FREE_KEYS = frozenset({"checkpoint_minutes", "keep_last", "learning_rate", "precision", "tensorboard"})
"""Keys of [train] that may change on resume: when to write, and what mends a NaN."""


_LATER: dict[str, object] = {
    "discriminator.widens": True,
    "discriminator.norm": "instance",
    "encoder.norm": "instance",
}
"""Keys that plans of older runs lack → what their networks were."""


@dataclass(frozen=True)
class Chosen:
    """Data, recipe and folder of a run, and what was chosen without being asked for."""

    data: Path
    recipe: Recipe
    recipe_name: str
    folder: RunFolder
    limit: int | None
    """How many training pairs are taken; None: all."""
    notes: tuple[str, ...]


def choose(
    data: str | Path | None,
    *,
    recipe: str | Path | None,
    output: str | Path | None,
    overrides: Iterable[str],
    seed: int | None,
    resume: bool,
    limit: int | None = None,
    init: Iterable[str | Path] = (),
    weights: str | Path | None = None,
) -> Chosen:
    """Fill what was left open: newest dataset, recipe, run folder; a resumed run knows all of its own."""
    notes: list[str] = []
    data = None if data is None else path_of(data, "data")
    recipe = None if recipe is None else path_of(recipe, "recipe")
    origins = [str(path) for path in paths_of(init, "init")]
    changes = [*_changes(overrides), *([] if seed is None else [f"train.seed={seed}"])]
    changes += [f"train.init_from={json.dumps(origins, ensure_ascii=False)}"] if origins else []
    if weights is not None:
        changes.append(f"losses.perceptual_weights={json.dumps(str(weights), ensure_ascii=False)}")
    if resume and data is None and output is None:
        output = newest_run(Path("runs"))
        notes.append(f"Resuming {output}, the newest run.")
    about: Mapping[str, Any] = {}
    if resume and output is not None:
        if RunFolder(Path(output)).is_run:
            about = RunFolder(Path(output)).read_about()
        elif data is None:
            raise UsageError(_no_run(Path(output)))
    if data is None and "data" in about:
        data = str(about["data"])
    if limit is None:
        limit = about.get("plan", {}).get("limit")
    if data is None:
        data = newest_dataset(Path("pairs"))
        notes.append(f"Training on {data}, the newest dataset.")
    if about and _knows_no_layout(about.get("plan", {})):
        changes = [*_as_it_was_read(Path(data)), *changes]
    tuned = TUNED if origins else None
    name = str(recipe or about.get("recipe name") or tuned or RECIPE)
    if recipe is None and about:
        loaded = load_recipe(RunFolder(Path(str(output))).recipe, changes)
    elif recipe is None and origins:
        loaded = _changed(recipe_of_origin(Path(origins[0])), changes, where=origins[0])
        notes.append(f"The recipe is that of {origins[0]}.")
    else:
        loaded = load_recipe(name, changes)
    if output is None:
        output = Path("runs") / f"{real(Path(data)).name}-{Path(name).stem}"
    folder = RunFolder(path_of(output, "output"))
    return Chosen(path_of(data, "data"), loaded, name, folder, limit, tuple(notes))


def _changes(overrides: object) -> list[str]:
    if isinstance(overrides, str | Mapping) or not isinstance(overrides, Iterable):
        found = repr(overrides) if isinstance(overrides, str) else type(overrides).__name__
        raise UsageError(f'overrides: expected a list such as ["train.steps=500"], not {found}.')
    return [str(override) for override in overrides]


def _knows_no_layout(plan: Mapping[str, Any]) -> bool:
    """True for the plan of a run from before layouts were named and clips kept together."""
    return bool(plan) and _LAYOUT not in plan


def _as_it_was_read(data: Path) -> list[str]:
    """Settings by which such a run goes on with the pictures that it was begun with."""
    settings = ['data.group="none"']
    if is_parquet_dataset(data):
        return settings
    try:
        folders = find_pair_folders(data) if data.is_dir() else ()
    except UsageError:
        folders = ()
    if folders and all(one.has_first_names for one in folders):
        return [*settings, 'data.layout="folders"']
    entries = list_media(data, kinds=("image",)).entries
    layout = "side-by-side" if is_side_by_side(entries) else "photos"
    return [*settings, f'data.layout="{layout}"']


def _changed(recipe: Recipe, changes: Iterable[str], *, where: str) -> Recipe:
    values = recipe.model_dump(mode="json")
    for change in changes:
        set_value(values, change)
    return parse_recipe(values, where=where)


def newest_dataset(folder: Path) -> Path:
    """The dataset below `folder` that was written last. Raises `NothingMatchedError` where there is none."""
    found = [path for path in folder.glob("*/") if not path.name.startswith(".")] if folder.is_dir() else []
    if not found:
        raise NothingMatchedError(
            f"no DATA was named, and there is no dataset under {folder}/. Make one with p2p make-pairs edges "
            f"PHOTOS, or name a folder: p2p train PHOTOS --set pairs.maker=edges."
        )
    return max(found, key=lambda path: (path.stat().st_mtime, path.name))


def newest_run(folder: Path) -> Path:
    """The run below `folder` that was started last. Raises `NothingMatchedError` where there is none."""
    found = [path for path in folder.glob("*/") if RunFolder(path).is_run] if folder.is_dir() else []
    if not found:
        raise NothingMatchedError(f"no run to resume under {folder}/. Name one: p2p train --resume -o RUN.")
    return max(found, key=lambda path: (RunFolder(path).about.stat().st_mtime, path.name))


def require_usable_folder(chosen: Chosen, *, resume: bool, overwrite: bool) -> None:
    """Raise `UsageError` where the run folder is taken, is no run, or lies in the data."""
    folder = chosen.folder
    if resume and overwrite:
        raise UsageError("--resume goes on with a run, --overwrite begins it anew: give one of them.")
    if chosen.data.is_dir():
        require_outside(folder.path, [chosen.data])
    require_folder(folder.path)
    require_no_links(folder.path, (folder.samples, folder.states, folder.tensorboard))
    if resume and not folder.is_run:
        raise UsageError(_no_run(folder.path))
    if folder.is_run and not resume and not overwrite:
        raise UsageError(
            f"{folder.path} already holds a run. To go on with it: p2p train --resume -o {folder.path}. To "
            f"begin anew: add --overwrite, or choose another folder with -o."
        )
    is_ours = folder.is_run or is_begun(folder.path)
    strangers = folder.path.iterdir() if folder.path.exists() and not is_ours else ()
    if any(not path.name.startswith(".") for path in strangers):
        raise UsageError(f"{folder.path} is not empty and holds no run. Choose another folder with -o.")


def _no_run(folder: Path) -> str:
    found = "holds no run" if folder.exists() else "is not there, so there is no run"
    runs = sorted(path.parent.name for path in folder.parent.glob("*/run.json"))
    hint = did_you_mean(folder.name, runs) if runs else ""
    near = f" {hint}" if hint.startswith("Did") else ""
    return f"{folder} {found} to resume.{near} Leave out --resume to start one there."


def plan_of(recipe: Recipe, identity: Mapping[str, object], limit: int | None) -> dict[str, object]:
    """What must be the same for a run to be resumed, flat, so that differences read well."""
    plan: dict[str, object] = {f"data: {name}": value for name, value in identity.items()}
    plan["limit"] = limit
    for section, values in recipe.model_dump(mode="json").items():
        if not isinstance(values, dict):
            plan[section] = values
            continue
        for key, value in values.items():
            is_free = (section == "train" and key in FREE_KEYS) or (section == "data" and key in LAYOUT_KEYS)
            if not is_free:
                plan[f"{section}.{key}"] = value
    plan.pop("title")
    return plan


def require_same_run(folder: RunFolder, plan: Mapping[str, object]) -> None:
    """Raise `ResumeMismatchError` with the differences, unless the run was started with this plan."""
    before = folder.read_about().get("plan", {})
    if _knows_no_layout(before):
        plan = {name: value for name, value in plan.items() if name != _LAYOUT}
    plan = {name: value for name, value in plan.items() if name in before or _LATER.get(name, ...) != value}
    remedy = (
        f"Resume with p2p train --resume -o {folder.path} and nothing else, or train anew with -o OTHER or "
        f"--overwrite."
    )
    require_same(before, plan, what=str(folder.path), remedy=remedy)


def adopt_changes(chosen: Chosen, *, dry_run: bool) -> list[str]:
    """Keep what a resumed run changes of its recipe, for the next resume too; a line for each change."""
    path = chosen.folder.recipe
    before = load_recipe(path).train.model_dump(mode="json")
    changed = differences(before, chosen.recipe.train.model_dump(mode="json"))
    if changed and not dry_run:
        write_bytes(path, recipe_as_toml(chosen.recipe).encode())
    return [f"Changed on resume: train.{line}." for line in changed]


def environment(device: str, precision: str) -> dict[str, object]:
    """What the numbers of a run may depend on besides its recipe and data."""
    import cv2
    import numpy as np
    import PIL

    return {
        "p2p": __version__,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "device": device,
        "precision": precision,
    }
