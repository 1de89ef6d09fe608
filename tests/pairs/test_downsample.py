"""Downsampling: sizes, antialiasing, noise, JPEG."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.pairs import MAKERS, draw_options


def shrink(target: np.ndarray, *, seed: int = 0, **given: object) -> np.ndarray:
    maker = MAKERS["downsample"]
    options = draw_options(maker, given, np.random.default_rng(0), jitter=False)
    return maker.make(target, rng=np.random.default_rng(seed), options=options)


@pytest.fixture
def stripes() -> np.ndarray:
    """Black and white columns of one pixel: what aliases first."""
    image = np.zeros((24, 30, 3), dtype=np.uint8)
    image[:, ::2] = 255
    return image


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_without_restoring_each_side_is_factor_times_smaller_rounded_up(factor, stripes):
    made = shrink(stripes, factor=factor, restore_size=False)
    assert made.shape == (-(-24 // factor), -(-30 // factor), 3)


def test_by_default_the_size_of_the_target_comes_back(stripes):
    assert shrink(stripes).shape == stripes.shape


@pytest.mark.parametrize("kernel", ["bicubic", "area", "bilinear", "lanczos"])
def test_shrinking_antialiases(kernel, stripes):
    inner = shrink(stripes, factor=4, kernel=kernel, restore_size=False)[:, 2:-2]
    assert np.abs(inner.astype(int) - 128).max() < 30


def test_nearest_does_not_antialias(stripes):
    assert set(np.unique(shrink(stripes, factor=2, kernel="nearest", restore_size=False))) <= {0, 255}


def test_noise_depends_on_the_generator_alone(stripes):
    first, again, other = (shrink(stripes, seed=seed, noise_sigma=5.0) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_low_jpeg_quality_leaves_its_marks():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    clean = shrink(photo, factor=2, restore_size=False).astype(int)
    worse = [
        np.abs(shrink(photo, factor=2, restore_size=False, jpeg_quality=q) - clean).mean() for q in (95, 10)
    ]
    assert 0 < worse[0] < worse[1]
