"""Training data with conditions: third folders, what is refused before the first step, aligned crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from p2pcli.errors import RecipeError, UsageError
from p2pcli.image import Image, resize
from p2pcli.io import open_source
from p2pcli.io.codec import encode
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.training.batches import squares_to_batch
from p2pcli.training.dataset import first_sample, open_pairs
from p2pcli.training.failures import FailureLog
from p2pcli.training.sampler import Slot

CPU = torch.device("cpu")


def write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image, path.suffix))


def photo(side: int = 40, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def recipe(**data: object) -> Recipe:
    return parse_recipe({"data": {"size": 32, "load_size": 36, "validation": 0.0, **data}}, where="test")


def ids(value: int = 1, side: int = 40) -> Image:
    image = np.zeros((side, side, 1), np.uint8)
    image[:, side // 2 :] = value
    return image


def labelled(root: Path, *values: int) -> Path:
    for number, value in enumerate(values):
        write(root / f"label/{number}.png", ids(value))
        write(root / f"img/{number}.png", photo(seed=number))
    return root


@pytest.mark.parametrize("names", ["train_{}", "train-{}", "train/{}", "{}/train"])
def test_a_third_folder_comes_with_the_pair(tmp_path: Path, names: str) -> None:
    for name, image in (("label", ids()), ("img", photo()), ("inst", ids(9))):
        write(tmp_path / names.format(name) / "1.png", image)
    sample = open_source(tmp_path, extras=["inst"]).read("train/1")
    assert np.array_equal(sample.extras["inst"], ids(9))


def test_a_third_folder_is_left_alone_unless_asked_for(tmp_path: Path) -> None:
    write(labelled(tmp_path, 1) / "inst/0.png", ids())
    assert open_source(tmp_path).read("0").extras == {}


def test_labels_out_of_range_are_refused_before_the_first_step(tmp_path: Path) -> None:
    pairs = open_pairs(labelled(tmp_path, 1, 1, 8), recipe(labels=3))
    with pytest.raises(UsageError, match=r"label/2\.png: label 8 at column 20, row 0; expected 0 to 2"):
        first_sample(pairs)


def test_a_missing_instance_map_is_refused_before_the_first_step(tmp_path: Path) -> None:
    write(labelled(tmp_path, 1, 1) / "inst/0.png", ids())
    with pytest.raises(UsageError, match=r"1: no picture in inst/"):
        first_sample(open_pairs(tmp_path, recipe(labels=3, instances="inst")))


def test_an_input_of_the_wrong_scale_is_refused_before_the_first_step(tmp_path: Path) -> None:
    write(tmp_path / "A/1.png", photo(40))
    write(tmp_path / "B/1.png", photo(40))
    sr = parse_recipe(
        {
            "data": {"size": 32, "load_size": "none", "scale": 4, "fit": "source"},
            "generator": {"name": "srresnet"},
            "discriminator": {"name": "srgan"},
        },
        where="test",
    )
    with pytest.raises(UsageError, match=r"A/1\.png: 40×40 for a target of 40×40; expected 10×10"):
        first_sample(open_pairs(tmp_path, sr))


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    labelled(tmp_path / "train", 1)
    for folder in ("label", "img"):
        (tmp_path / "train" / folder / "0.png").unlink()
    with pytest.raises(UsageError, match="0 pairs"):
        open_pairs(tmp_path, recipe(labels=3))


def test_the_crops_of_a_small_input_and_its_target_cover_the_same(tmp_path: Path) -> None:
    large = photo(67)
    large = np.ascontiguousarray(resize(large[:16, :16], 67, 67, kernel="bicubic"))
    write(tmp_path / "A/1.png", resize(large[:64, :64], 16, 16, kernel="area"))
    write(tmp_path / "B/1.png", large[:64, :64])
    sr = parse_recipe(
        {
            "data": {"size": 32, "load_size": "none", "scale": 4, "fit": "source", "validation": 0.0},
            "generator": {"name": "srresnet"},
            "discriminator": {"name": "srgan"},
        },
        where="test",
    )
    pairs = open_pairs(tmp_path, sr)
    for epoch in range(6):
        slot = Slot(epoch, 0, ("1",))
        square = pairs.training_square(slot, FailureLog(None, source="", observe=print))
        assert square.input.shape == (8, 8, 3) and square.target.shape == (32, 32, 3)
        small = resize(square.target, 8, 8, kernel="area")
        assert np.abs(small.astype(int) - square.input).max() <= 1


def test_labels_are_resized_without_new_ids(tmp_path: Path) -> None:
    pairs = open_pairs(labelled(tmp_path, 2), recipe(labels=3))
    batch = squares_to_batch((pairs.validation_square("0"),), device=CPU, channels_last=True)
    assert batch.input.unique().tolist() == [0, 1]
    assert batch.input[0, 1].sum() == 0


def test_input_and_target_are_mirrored_alike(tmp_path: Path) -> None:
    write(tmp_path / "label/0.png", ids())
    write(tmp_path / "img/0.png", np.repeat(ids(255), 3, axis=2))
    pairs = open_pairs(tmp_path, recipe(labels=2, load_size="none"))
    for epoch in range(8):
        square = pairs.training_square(Slot(epoch, 0, ("0",)), FailureLog(None, source="", observe=print))
        batch = squares_to_batch((square,), device=CPU, channels_last=False)
        assert ((batch.target[0, 0] > 0) == (batch.input[0, 1] > 0)).float().mean() > 0.95


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"scale": 4}}, "generator unet enlarges 1 times, data.scale is 4"),
        ({"generator": {"name": "srresnet"}}, "generator srresnet enlarges 4 times, data.scale is 1"),
        ({"pairs": {"maker": "mask"}}, "data.mask = true"),
        ({"pairs": {"maker": "gray"}, "data": {"labels": 3}}, "both say what the input is"),
        ({"data": {"labels": 3, "dontcare": 2}}, "is one of the 3 labels"),
        ({"data": {"palette": "facades"}}, "set labels to their number"),
        ({"data": {"labels": 3, "palette": "facades"}}, "12 colours for 3 labels"),
        ({"task": "unpaired", "data": {"labels": 3}}, "task unpaired maps plain pictures"),
        ({"encoder": {"name": "pix2pixhd_features"}}, "needs instances"),
    ],
)
def test_contradictions_are_refused_with_the_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(values, where="test")
