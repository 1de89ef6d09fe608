"""Unpaired data: which picture meets which, what fails, what a resumed run compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import NothingMatchedError, RecipeError
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.training.domains import DomainData, open_two_domains, rounds
from p2pcli.training.failures import FailureLog
from p2pcli.training.sampler import Slot


def recipe(**sections: object) -> Recipe:
    data = {"size": 16, "load_size": 16, "flip": False, "validation": 0.0}
    return parse_recipe(
        {"task": "unpaired", "generator": {"name": "resnet"}, "data": data, **sections}, where="t"
    )


def folder(tmp_path: Path, a: int, b: int) -> Path:
    """Domain A holds plain pictures of value 1, 2, …; B of 101, 102, …"""
    for domain, count, first in (("A", a, 1), ("B", b, 101)):
        (tmp_path / domain).mkdir()
        for index in range(count):
            value = np.full((16, 16, 3), first + index, np.uint8)
            PillowImage.fromarray(value).save(tmp_path / domain / f"{domain}{index}.png")
    return tmp_path


def log(tmp_path: Path) -> FailureLog:
    return FailureLog(None, source=str(tmp_path), observe=lambda event: None)


def values(data: DomainData, epoch: int, failures: FailureLog) -> list[tuple[int, int]]:
    order = data.split.train
    squares = [data.training_square(Slot(epoch, index, order), failures) for index in range(len(order))]
    return [(int(square.input.max()), int(square.target.max())) for square in squares]


def test_an_epoch_is_as_long_as_the_larger_domain(tmp_path: Path) -> None:
    data = open_two_domains(folder(tmp_path, 2, 5), recipe())
    met = values(data, 0, log(tmp_path))
    assert [a for a, _ in met] == [1, 2, 1, 2, 1]
    assert {b for _, b in met} <= set(range(101, 106))


def test_partners_depend_on_seed_epoch_and_key_alone(tmp_path: Path) -> None:
    path = folder(tmp_path, 6, 6)
    runs = [open_two_domains(path, recipe()) for _ in range(2)]
    first, second = (values(data, 0, log(tmp_path)) for data in runs)
    assert first == second
    assert values(runs[0], 1, log(tmp_path)) != first
    other = open_two_domains(path, recipe(train={"seed": 1}))
    assert values(other, 0, log(tmp_path)) != first


def test_a_damaged_picture_of_either_domain_is_recorded_and_replaced(tmp_path: Path) -> None:
    path = folder(tmp_path, 3, 2)
    (path / "A/A1.png").write_bytes(b"no picture")
    (path / "B/B0.png").write_bytes(b"no picture")
    failures = log(tmp_path)
    met = [pair for epoch in range(4) for pair in values(open_two_domains(path, recipe()), epoch, failures)]
    assert {b for _, b in met} == {102}
    assert 2 not in {a for a, _ in met}
    assert [row.key for row in failures.rows] == ["A1", "B: B0"]


def test_a_domain_without_a_readable_picture_ends_the_run(tmp_path: Path) -> None:
    path = folder(tmp_path, 2, 1)
    (path / "B/B0.png").write_bytes(b"no picture")
    with pytest.raises(NothingMatchedError, match="none of the pictures of domain B can be read"):
        values(open_two_domains(path, recipe()), 0, log(tmp_path))


def test_another_picture_in_either_domain_makes_another_identity(tmp_path: Path) -> None:
    path = folder(tmp_path, 2, 2)
    before = open_two_domains(path, recipe()).identity()
    assert open_two_domains(path, recipe()).identity() == before
    PillowImage.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path / "B/B9.png")
    assert open_two_domains(path, recipe()).identity() != before


def test_a_pair_maker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="pair maker"):
        open_two_domains(folder(tmp_path, 1, 1), recipe(pairs={"maker": "edges"}))


def test_places_go_round_the_keys() -> None:
    assert rounds(("a", "b"), 5) == ("a", "b", "a//2", "b//2", "a//3")
