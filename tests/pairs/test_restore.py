"""The restore maker: each fault alone, and none of them."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.pairs import MAKERS, draw_options

RESTORE = MAKERS["restore"]
NONE = {
    "blur_sigma": 0.0,
    "fade": 0.0,
    "flicker": 0.0,
    "noise_sigma": 0.0,
    "dust": 0,
    "scratches": 0,
    "jpeg_quality": None,
}


def aged(target: np.ndarray, **given: object) -> np.ndarray:
    rng = np.random.default_rng(0)
    return RESTORE.make(target, rng=rng, options=draw_options(RESTORE, {**NONE, **given}, rng, jitter=False))


@pytest.fixture
def target() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_without_faults_nothing_changes(target: np.ndarray) -> None:
    assert np.array_equal(aged(target), target)


@pytest.mark.parametrize(
    "fault",
    [
        {"blur_sigma": 1.0},
        {"fade": 0.5},
        {"flicker": 0.2},
        {"noise_sigma": 8.0},
        {"dust": 5},
        {"scratches": 2},
        {"jpeg_quality": 40},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_each_fault_alone_changes_the_picture(target: np.ndarray, fault: dict[str, object]) -> None:
    assert not np.array_equal(aged(target, **fault), target)


def test_a_scratch_runs_down_and_leaves_the_rest(target: np.ndarray) -> None:
    changed = (aged(target, scratches=1) != target).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert np.ptp(columns) <= 2
    assert len(set(rows)) > np.ptp(columns)
    assert changed.mean() < 0.05


def test_grain_is_as_strong_as_asked_for_and_gray() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    noisy = aged(flat, noise_sigma=8.0).astype(float)
    assert noisy.std() == pytest.approx(8.0, rel=0.05)
    assert np.array_equal(noisy[:, :, 0], noisy[:, :, 2])


def test_full_fading_keeps_a_fifth_of_the_colour() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[:, :, 0] = 200
    # Gray is 59.8: R 59.8 + 0.2·140.2 = 87.84, then 0.4 of the way to 150: 112.7; G 0.8·59.8 → 88.7.
    assert aged(red, fade=1.0)[0, 0].tolist() == [113, 89, 89]
