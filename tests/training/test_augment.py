"""From samples to squares."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.image import Sample
from p2pcli.pairs import MAKERS
from p2pcli.randomness import rng_for
from p2pcli.recipe import Data
from p2pcli.training.augment import OnTheFly, Square, load_pair, random_square


def ramp(height: int, width: int, *, value: int = 0) -> np.ndarray:
    """Red tells the column, green the row."""
    image = np.full((height, width, 3), value, np.uint8)
    image[:, :, 0] = np.arange(width)
    image[:, :, 1] = np.arange(height)[:, None]
    return image


def squares(data: Data, sample: Sample, count: int = 16) -> list[Square]:
    side = data.load_size or data.size
    pair = load_pair(sample, data=data, on_the_fly=None, side=side)
    return [
        random_square(pair, data=data, on_the_fly=None, rng=rng_for(0, n), jitter=True) for n in range(count)
    ]


def is_mirrored(square: Square) -> bool:
    return bool(square.input[0, 0, 0] > square.input[0, -1, 0])


def test_input_and_target_share_crop_and_mirroring() -> None:
    data = Data(size=16, load_size=20)
    sample = Sample("k", ramp(20, 20, value=1), ramp(20, 20, value=2))
    results = squares(data, sample)
    assert all(np.array_equal(square.input[..., :2], square.target[..., :2]) for square in results)
    assert len({(int(square.input[0, 0, 0]), int(square.input[0, 0, 1])) for square in results}) > 4


def test_about_half_of_the_squares_are_mirrored_and_none_without_flip() -> None:
    sample = Sample("k", ramp(20, 20), ramp(20, 20))
    mirrored = [is_mirrored(square) for square in squares(Data(size=16, load_size=20), sample, 100)]
    assert 30 < sum(mirrored) < 70
    still = squares(Data(size=16, load_size=20, flip=False), sample, 30)
    assert not any(is_mirrored(square) for square in still)


def test_stretch_is_pillows_bicubic_whatever_the_aspect() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 50, 3), dtype=np.uint8)
    data = Data(size=16, load_size=16)
    pair = load_pair(Sample("k", image, image), data=data, on_the_fly=None, side=16)
    expected = PillowImage.fromarray(image).resize((16, 16), PillowImage.Resampling.BICUBIC)
    assert np.array_equal(pair.target, np.asarray(expected))


def test_crop_keeps_the_aspect() -> None:
    data = Data(size=16, load_size=20, fit="crop")
    pair = load_pair(Sample("k", ramp(40, 80), ramp(40, 80)), data=data, on_the_fly=None, side=20)
    assert pair.target.shape == (20, 40, 3)


def test_direction_swaps_the_pair() -> None:
    sample = Sample("k", ramp(16, 16, value=1), ramp(16, 16, value=2))
    data = Data(size=16, load_size=16, direction="BtoA")
    pair = load_pair(sample, data=data, on_the_fly=None, side=16)
    assert pair.input is not None and (pair.input[0, 0, 2], pair.target[0, 0, 2]) == (2, 1)


@pytest.mark.parametrize(("channels", "shape"), [(1, (16, 16, 1)), (3, (16, 16, 3))])
def test_channels_are_as_asked_for(channels: int, shape: tuple[int, ...]) -> None:
    data = Data(size=16, load_size=16, input_channels=channels, target_channels=channels)
    for source in (
        ramp(16, 16),
        ramp(16, 16)[:, :, :1],
        np.dstack([ramp(16, 16), np.full((16, 16), 9, np.uint8)]),
    ):
        pair = load_pair(Sample("k", source, source), data=data, on_the_fly=None, side=16)
        assert pair.input is not None and pair.input.shape == pair.target.shape == shape


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_maker_makes_inputs_of_the_targets_size(name: str) -> None:
    data = Data(size=32, load_size=32, input_channels=1)
    on_the_fly = OnTheFly(MAKERS[name], {})
    pair = load_pair(Sample("k", ramp(40, 50)), data=data, on_the_fly=on_the_fly, side=32)
    square = random_square(pair, data=data, on_the_fly=on_the_fly, rng=rng_for(0, "x"), jitter=True)
    assert square.input.shape == (32, 32, 1) and square.target.shape == (32, 32, 3)


def test_without_load_size_nothing_jitters_but_the_mirroring() -> None:
    data = Data(size=16, load_size=None, flip=False, fit="crop")
    results = squares(data, Sample("k", ramp(16, 30), ramp(16, 30)))
    assert {int(square.input[0, 0, 0]) for square in results} == {7}
