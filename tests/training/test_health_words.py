"""The health line reads each objective and each way of adding verdicts up."""

from __future__ import annotations

import math

import pytest

from p2pcli.recipe import parse_recipe
from p2pcli.tasks.judging import verdict_share
from p2pcli.training.health import Health


@pytest.mark.parametrize(
    ("name", "share"),
    [("patchgan", 0.5), ("multiscale", 1.0), ("spade_multiscale", 1.0), ("global_patch", 1.0)],
)
def test_how_far_ahead_a_discriminator_is_does_not_depend_on_its_scales(name: str, share: float) -> None:
    section = parse_recipe({"discriminator": {"name": name}}, where="t").discriminator
    assert verdict_share(section) == share
    sure = 0.97  # Of both kinds, at every scale.
    health = Health("bce", verdict_share(section))
    health.update({"fake": -share * math.log(sure), "real": -share * math.log(sure), "gan": 0.7})
    assert health.line().startswith("D far ahead")
    health = Health("bce", verdict_share(section))
    health.update({"fake": share * math.log(2), "real": share * math.log(2), "gan": 0.7})
    assert health.line().startswith("healthy")


def test_a_critic_has_no_right_answers_and_never_collapses() -> None:
    health = Health("wgan", 0.5)
    health.update({"fake": -2.0, "real": -1.0, "gan": 1.0}, steps=600)
    assert health.line() == "critic tells real from fake by 6"
    assert health.warning() is None


def test_both_directions_of_an_unpaired_run_count() -> None:
    health = Health("lsgan", 0.5)
    health.update({"fake_a": 0.0, "fake_b": 0.25, "real_a": 0.125, "real_b": 0.125})
    assert (health.fake, health.real) == (0.125, 0.125)


def test_a_discriminator_that_always_wins_is_told_once() -> None:
    health = Health("bce")
    health.update({"fake": 1e-4, "real": 1e-4, "gan": 9.0}, steps=500)
    first, second = health.warning(), health.warning()
    assert first is not None and "for 500 steps" in first
    assert second is None
