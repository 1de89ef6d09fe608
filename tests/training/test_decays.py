"""The rules by which the learning rate falls, each against the numbers of the code it was published with."""

from __future__ import annotations

import math

import pytest

from p2pcli.errors import RecipeError
from p2pcli.recipe import Train, parse_recipe
from p2pcli.training.schedule import DECAYS, Plateau, learning_rate_factor


def rates(epochs: list[int], **keys: object) -> list[float]:
    train = Train(**{"epochs": 100, "decay_epochs": 100, **keys})  # type: ignore[arg-type]
    return [learning_rate_factor(train, step=0, epoch=epoch - 1) for epoch in epochs]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("linear", [1, 1, 1 - 1 / 101, 1 / 101]),
        ("linear-2020", [1, 1 - 1 / 101, 1 - 2 / 101, 0]),
        ("linear-2018", [1, 1 - 1 / 101, 1 - 2 / 101, 0]),
        ("linear-hd", [1, 1, 1, 1 / 100]),
        ("none", [1, 1, 1, 1]),
        ("plateau", [1, 1, 1, 1]),
    ],
)
def test_epochs_1_100_101_and_200_have_the_published_rates(decay: str, expected: list[float]) -> None:
    assert rates([1, 100, 101, 200], decay=decay) == pytest.approx(expected)


def test_the_first_epoch_of_pix2pixhd_with_less_is_the_second_after_the_whole_ones() -> None:
    assert rates([101, 102, 103], decay="linear-hd") == pytest.approx([1.0, 0.99, 0.98])


def test_the_cosine_is_half_way_down_in_the_middle_and_above_zero_at_the_end() -> None:
    train = Train(epochs=0, decay_epochs=9, decay="cosine")
    factors = [learning_rate_factor(train, step=0, epoch=epoch) for epoch in range(9)]
    assert factors[4] == pytest.approx(0.5)
    assert factors == sorted(factors, reverse=True) and factors[-1] > 0


def test_one_whole_epoch_makes_the_cosine_the_published_one() -> None:
    train = Train(epochs=1, decay_epochs=9, decay="cosine")
    published = [0.5 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10)]
    assert [learning_rate_factor(train, step=0, epoch=epoch) for epoch in range(10)] == pytest.approx(
        published
    )


def test_steps_fall_by_the_factor_every_so_many_epochs() -> None:
    assert rates([1, 50, 51, 101, 200], decay="step") == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    assert rates([4, 5, 9], decay="step", decay_every=4, decay_factor=0.5) == [1, 0.5, 0.25]


@pytest.mark.parametrize("decay", sorted(set(DECAYS) - {"step"}))
def test_with_steps_the_first_half_is_whole_in_every_decay(decay: str) -> None:
    train = Train(steps=20, decay=decay)  # type: ignore[arg-type]
    factors = [learning_rate_factor(train, step=step, epoch=0) for step in range(20)]
    assert factors[:9] == [1.0] * 9
    assert all(0 <= factor <= 1 for factor in factors)


def test_a_plateau_bears_five_validations_without_a_gain_of_a_hundredth() -> None:
    plateau, train = Plateau(), Train(decay="plateau")
    seen = [0.5, 0.504, 0.49, 0.501, 0.502, 0.503, 0.504]
    assert [plateau.take(ssim, train=train, lower_is_better=False) for ssim in seen] == [False] * 6 + [True]
    assert plateau.factor == pytest.approx(0.2)


def test_a_gain_ends_the_waiting_of_a_plateau() -> None:
    plateau, train = Plateau(), Train(decay="plateau", decay_patience=1, decay_factor=0.5)
    falls = [plateau.take(l1, train=train, lower_is_better=True) for l1 in (1.0, 1.0, 0.9, 0.9, 0.9)]
    assert falls == [False, False, False, False, True]


def test_an_unknown_decay_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"train\.decay: Input should be 'linear', 'linear-2020'"):
        parse_recipe({"train": {"decay": "exponential"}}, where="recipe")
