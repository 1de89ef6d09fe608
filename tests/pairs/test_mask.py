"""The mask maker: holes are transparent, the rest is the target."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.pairs import MAKERS, draw_options

MASK = MAKERS["mask"]


def holes(target: np.ndarray, seed: int = 0, **given: object) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return MASK.make(target, rng=rng, options=draw_options(MASK, given, rng, jitter=False))


@pytest.fixture
def target() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def test_what_is_opaque_is_the_target_and_what_is_not_is_gray(target: np.ndarray) -> None:
    made = holes(target)
    opaque = made[:, :, 3] == 255
    assert set(np.unique(made[:, :, 3])) == {0, 255}
    assert np.array_equal(made[opaque, :3], target[opaque])
    assert (made[~opaque, :3] == 128).all()


@pytest.mark.parametrize("shape", ["rectangles", "brush", "both"])
@pytest.mark.parametrize("area", [0.1, 0.4])
def test_at_least_the_asked_area_is_hidden(target: np.ndarray, shape: str, area: float) -> None:
    hidden = (holes(target, shape=shape, area=area)[:, :, 3] == 0).mean()
    assert area <= hidden < area + 0.3


def test_another_seed_hides_something_else(target: np.ndarray) -> None:
    assert not np.array_equal(holes(target, 0), holes(target, 1))
