"""The health line."""

from __future__ import annotations

import math

import pytest

from p2pcli.training.health import Health, confidence


@pytest.mark.parametrize(
    ("objective", "loss", "expected"),
    [("bce", math.log(2), 0.5), ("bce", 0.0, 1.0), ("lsgan", 0.25, 0.5), ("hinge", 1.0, 0.5)],
)
def test_an_undecided_discriminator_is_half_sure(objective: str, loss: float, expected: float) -> None:
    assert confidence(loss, objective) == pytest.approx(expected)


def test_a_long_collapse_warns_once() -> None:
    health = Health("bce")
    health.update({"fake": 1e-3, "real": 1e-3, "gan": 7.0}, steps=499)
    assert health.warning() is None
    health.update({"fake": 1e-3, "real": 1e-3, "gan": 7.0})
    assert "receptive_field=16" in (health.warning() or "")
    assert health.warning() is None


def test_a_balanced_game_is_healthy() -> None:
    health = Health("bce")
    health.update({"fake": 0.35, "real": 0.35, "gan": 0.7}, accuracy={"fake": 0.625, "real": 0.5})
    assert health.line() == "healthy · D right on 62% of fakes, 50% of reals · G/D 1.0"


def test_accuracy_moves_slowly_and_both_discriminators_of_a_cycle_count() -> None:
    health = Health("lsgan")
    health.update({"fake_a": 0.1, "real_a": 0.1}, accuracy={"fake_a": 1.0, "fake_b": 0.5, "real_a": 0.5})
    assert (health.right_fakes, health.right_reals) == (0.75, 0.5)
    health.update({"fake_a": 0.1, "real_a": 0.1}, accuracy={"fake_a": 0.0, "real_a": 0.0})
    assert health.right_fakes == pytest.approx(0.75 * 0.98)


def test_without_a_discriminator_the_line_says_so() -> None:
    health = Health("bce")
    health.update({"l1": 10.0})
    assert health.line() == "no discriminator (losses.gan = 0)"
