"""Line drawings: known pixels, OpenCV's Canny as the yardstick, and what photos of any light need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from p2pcli.pairs import MAKERS, draw_options
from p2pcli.pairs.gradient import canny, gradient

METHODS = ("canny", "sobel", "dog", "xdog")


def draw(target: np.ndarray, **given: object) -> np.ndarray:
    maker = MAKERS["edges"]
    options = draw_options(maker, given, np.random.default_rng(0), jitter=False)
    return maker.make(target, rng=np.random.default_rng(0), options=options)[:, :, 0]


def scene(low: int = 40, high: int = 200) -> np.ndarray:
    """A bright disc and a bright square on dark ground, 64 px."""
    image = np.full((64, 64, 3), low, dtype=np.uint8)
    cv2.circle(image, (20, 32), 12, (high,) * 3, -1)
    cv2.rectangle(image, (42, 20), (56, 44), (high,) * 3, -1)
    return image


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (70, 90), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.88, 0.995, 1.0])
@pytest.mark.parametrize("kind", ["texture", "flat", "ramp", "glint", "tiny"])
def test_a_quantile_is_the_sorted_value(kind, share):
    pictures = {
        "texture": texture(3),
        "flat": np.full((64, 80), 7, dtype=np.uint8),
        "ramp": np.tile(np.arange(0, 256, 2, dtype=np.uint8) ** 2, (40, 1)),
        # What a regular sample never meets.
        "glint": np.pad(np.full((1, 3), 255, dtype=np.uint8), ((20, 43), (21, 40))),
        "tiny": texture(4)[:2, :3],
    }
    found = gradient(pictures[kind], sigma=0.0, aperture=3)
    ordered = np.sort(found.strength, axis=None)
    expected = ordered[min(ordered.size - 1, int(share * ordered.size))]
    assert found.quantile(share) == max(0.0, expected - 0.5) ** 0.5


@pytest.mark.parametrize("method", METHODS)
def test_options_that_are_said_to_have_no_effect_have_none(method):
    values = {
        "sigma": 2.0, "detail": 0.3, "low": 90.0, "high": 100.0, "aperture": 5, "l2": False, "gamma": 0.5,
        "k": 3.0, "tau": 0.5, "p": 40.0, "epsilon": 0.9, "phi": 2.0, "threshold": 0.2, "thin": True,
    }  # fmt: skip
    target = cv2.cvtColor(texture(7), cv2.COLOR_GRAY2RGB)
    plain = draw(target, method=method)
    for name, value in values.items():
        given = {"method": method, name: value}
        options = draw_options(MAKERS["edges"], given, np.random.default_rng(0), jitter=False)
        is_idle = bool(options.without_effect(given))
        assert np.array_equal(draw(target, **given), plain) == is_idle, name


def test_a_step_gives_one_dark_column_on_white():
    target = np.zeros((6, 6, 3), dtype=np.uint8)
    target[:, 3:] = 255
    expected = np.full((6, 6), 255)
    expected[:, 2] = 0
    assert np.array_equal(draw(target, sigma=0.0), expected)


@pytest.mark.parametrize("method", METHODS)
def test_inversion_gives_light_lines_on_black(method):
    assert np.array_equal(draw(scene(), method=method, invert=True), 255 - draw(scene(), method=method))


@pytest.mark.parametrize("method", METHODS)
def test_most_of_a_drawing_is_white_paper_with_some_dark_lines(method):
    drawing = draw(scene(), method=method)
    assert 0.02 < (drawing < 128).mean() < 0.5
    assert np.median(drawing) == 255


@pytest.mark.parametrize("aperture", [3, 5])
@pytest.mark.parametrize("l2", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_canny_equals_opencv_on_one_thread(seed, l2, aperture):
    gray = texture(seed)
    low, high, unit = 30.5, 80.5, {3: 1, 5: 12}[aperture]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    expected = cv2.Canny(gray, low * unit, high * unit, apertureSize=aperture, L2gradient=l2)
    cv2.setNumThreads(threads)
    assert expected.any()
    # OpenCV repeats the border for its own Sobel; ours mirrors it, so the outermost pixels may differ.
    ours = canny(gradient(gray, sigma=0.0, aperture=aperture, l2=l2), low, high)
    assert np.mean(ours[4:-4, 4:-4] != expected[4:-4, 4:-4]) < 0.002


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_lines_do_not_depend_on_the_number_of_threads(method, threads):
    target = np.repeat(texture(9)[:, :, None], 3, axis=2)
    before = cv2.getNumThreads()
    expected = draw(target, method=method)
    cv2.setNumThreads(threads)
    try:
        assert np.array_equal(draw(target, method=method), expected)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("low", "high"), [(0, 40), (215, 255), (110, 140)], ids=["dark", "bright", "hazy"])
def test_dark_bright_and_hazy_scenes_get_the_same_outlines(low, high):
    assert np.mean((draw(scene(low, high)) == 0) != (draw(scene()) == 0)) < 0.01


def test_noise_on_an_empty_wall_gives_no_lines():
    wall = np.random.default_rng(0).normal(128, 2.0, (96, 96, 3)).round().astype(np.uint8)
    assert (draw(wall) == 255).all()


def test_more_detail_gives_more_lines():
    target = np.repeat(texture(2)[:, :, None], 3, axis=2)
    assert (draw(target, detail=0.3) == 0).sum() > (draw(target, detail=0.05) == 0).sum()


def test_explicit_thresholds_replace_the_automatic_ones():
    assert (draw(scene(40, 60), high=1400.0, low=1000.0) == 255).all()


def test_lines_shorter_than_min_length_go():
    target = np.full((40, 40, 3), 255, dtype=np.uint8)
    target[20, 20] = 0
    assert (draw(target, sigma=0.5, min_length=0) == 0).any()
    assert (draw(target, sigma=0.5, min_length=40) == 255).all()


def test_thin_sobel_keeps_only_the_crest():
    target = np.zeros((9, 9, 3), dtype=np.uint8)
    target[:, 5:] = 255
    dark = draw(target, method="sobel", thin=True) < 255
    assert dark.sum(axis=1).tolist() == [1] * 9


def test_thin_dog_is_one_pixel_wide():
    lines = (draw(scene(), method="dog", thin=True, min_length=0) == 0).astype(np.uint8)
    # A 2×2 block of ink would be a line two pixels wide.
    assert lines.any()
    assert (cv2.filter2D(lines, -1, np.ones((2, 2))) < 4).mean() > 0.995


def test_a_threshold_makes_soft_lines_black_or_white():
    assert set(np.unique(draw(scene(), method="xdog", threshold=0.5))) == {0, 255}


def test_xdog_keeps_a_dark_photo_from_becoming_a_black_page():
    assert (draw(scene(4, 30), method="xdog") > 200).mean() > 0.3
