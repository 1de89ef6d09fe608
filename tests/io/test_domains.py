"""Two sets of pictures without partners."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import NothingMatchedError
from p2pcli.io.domains import open_domains


def picture(path: Path, value: int, *, width: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(np.full((8, width, 3), value, np.uint8)).save(path)


def test_folders_of_unequal_number_and_names_are_read_as_they_are(tmp_path: Path) -> None:
    for name in ("trainA/horse1", "trainA/horse2", "trainB/zebra1", "testA/horse3", "testB/zebra2"):
        picture(tmp_path / f"{name}.png", 7)
    a, b = open_domains(tmp_path)
    assert a.splits() == {"train": ["train/horse1", "train/horse2"], "test": ["test/horse3"]}
    assert b.splits() == {"train": ["train/zebra1"], "test": ["test/zebra2"]}


def test_each_domain_reads_its_own_picture_also_under_one_name(tmp_path: Path) -> None:
    picture(tmp_path / "A/x.png", 10)
    picture(tmp_path / "B/x.png", 20)
    values = [int(source.read("x").input.max()) for source in open_domains(tmp_path)]
    assert values == [10, 20]


def test_pairs_are_taken_apart(tmp_path: Path) -> None:
    for index in range(2):
        both = np.zeros((8, 16, 3), np.uint8)
        both[:, 8:] = 200
        PillowImage.fromarray(both).save(tmp_path / f"{index}.png")
    a, b = open_domains(tmp_path)
    assert [int(source.read("1").input.max()) for source in (a, b)] == [0, 200]
    assert a.read("1").target is None


def test_plain_photos_are_refused_with_the_layouts(tmp_path: Path) -> None:
    picture(tmp_path / "x.png", 1)
    with pytest.raises(
        NothingMatchedError, match=r"one set of pictures, where unpaired training needs two.*A/ \+ B/"
    ):
        open_domains(tmp_path)


def test_two_folders_of_any_names_can_be_named(tmp_path: Path) -> None:
    for name in ("horses/1", "horses/2", "zebras/9"):
        picture(tmp_path / f"{name}.png", 7)
    with pytest.raises(NothingMatchedError, match="--input A --target B"):
        open_domains(tmp_path)
    a, b = open_domains(tmp_path, input_side="zebras", target_side="horses")
    assert (a.splits(), b.splits()) == ({"all": ["9"]}, {"all": ["1", "2"]})
