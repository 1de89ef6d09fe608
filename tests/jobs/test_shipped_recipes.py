"""Every shipped recipe: as it is, it builds; with one override, it trains and translates on a CPU."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from p2pcli.image import Image
from p2pcli.inference.translator import load_model
from p2pcli.io.codec import encode
from p2pcli.jobs.train import train
from p2pcli.recipe import Recipe, load_recipe, shipped_recipes
from p2pcli.tasks import build_discriminator, build_generator
from p2pcli.tasks.fitness import require_usable

HEIGHT, WIDTH = 70, 78
NAMES = ("1", "2", "3")


def picture(seed: int, *, most: int = 255, channels: int = 3) -> Image:
    blocks = np.random.default_rng(seed).integers(0, most + 1, (7, 8, channels), dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(10, 0).repeat(10, 1)[:, :WIDTH])


def write(folder: Path, *, seed: int, most: int = 255, channels: int = 3) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        image = picture(seed + number, most=most, channels=channels)
        (folder / f"{name}.png").write_bytes(encode(image, ".png"))


def make_data(root: Path, recipe: Recipe) -> Path:
    """Data of the kind that the recipe's first lines ask for."""
    data = recipe.data
    if recipe.task == "unpaired":
        write(root / "trainA", seed=0)
        write(root / "trainB", seed=9)
    elif data.labels is not None:
        write(root / "label", seed=0, most=data.labels - 1, channels=1)
        write(root / "inst", seed=20, channels=1)
        write(root / "img", seed=9)
    elif data.classes:
        for number, name in enumerate(data.classes):
            write(root / name, seed=10 * number)
    elif recipe.pairs.maker is not None or data.color == "lab":
        write(root / "photos", seed=0)
    else:
        for number, name in enumerate(("A", "B", *data.extra)):
            write(root / name, seed=10 * number)
    return root


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_is_usable_as_shipped(name: str) -> None:
    recipe = load_recipe(name)
    require_usable(recipe)
    with torch.device("meta"):
        assert build_generator(recipe).state_dict() and build_discriminator(recipe).state_dict()


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_first_lines_tell_paper_time_and_result(name: str) -> None:
    text = shipped_recipes()[name].read_text(encoding="utf-8")
    head = text[: text.index("title =")]
    assert re.search(r"\(\d{4}\.\d{5}\)|, \d{4}\.\d{5}\)", head)
    assert "# Time: " in head and "# Result: " in head


@pytest.mark.parametrize("name", shipped_recipes())
def test_with_one_override_a_recipe_trains_and_translates_on_a_cpu(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, ["variant=cpu"])
    data = make_data(tmp_path / "data", recipe)
    short = ["train.steps=2", "train.batch_size=2", "train.validation_images=1", "train.precision=float32"]
    report = train(
        data, recipe=name, output=tmp_path / "run", overrides=["variant=cpu", *short], device="cpu", workers=1
    )
    assert (report.steps, report.tally.failed) == (2, [])
    translator = load_model(tmp_path / "run", device="cpu")
    extras = {folder: picture(5, channels=1 if folder == "inst" else 3) for folder in recipe.data.folders}
    source = picture(1, most=(recipe.data.labels or 256) - 1, channels=1 if recipe.data.labels else 3)
    key = f"{recipe.data.classes[0]}/x" if recipe.data.classes else "x"
    result = translator(source, key=key, extras=extras)
    assert result.shape == (HEIGHT * recipe.data.scale, WIDTH * recipe.data.scale, 3)
