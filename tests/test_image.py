"""Geometry and resampling: hand-worked cases on tiny arrays."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.image import apply_geometry, as_gray8, as_rgb8, fit_geometry, resize


@pytest.mark.parametrize(
    ("fit", "crop", "size", "pad"),
    [
        ("crop", (2, 0, 4, 4), (2, 2), (0, 0, 0, 0)),
        ("stretch", (0, 0, 8, 4), (2, 2), (0, 0, 0, 0)),
        ("inside", (0, 0, 8, 4), (4, 2), (0, 0, 0, 0)),
        ("pad", (0, 0, 8, 4), (2, 1), (0, 0, 0, 1)),
        ("source", (0, 0, 8, 4), (8, 4), (0, 0, 0, 0)),
    ],
)
def test_each_fit_brings_an_8x4_picture_to_2_px_as_documented(fit, crop, size, pad):
    geometry = fit_geometry(8, 4, size=2, fit=fit)
    assert (geometry.crop_xywh, (geometry.width, geometry.height), geometry.pad) == (crop, size, pad)


def test_no_size_leaves_the_picture_as_it_is():
    assert fit_geometry(7, 5, size=None, fit="crop").is_identity_for(7, 5)


def test_padding_makes_the_asked_square_and_reflects_the_edge():
    image = np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    padded = apply_geometry(image, fit_geometry(4, 2, size=4, fit="pad"))
    assert padded[:, :, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7]]


def test_uint8_bicubic_equals_pillow_which_the_published_pipelines_use():
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    expected = PillowImage.fromarray(image).resize((9, 21), PillowImage.Resampling.BICUBIC)
    assert np.array_equal(resize(image, 9, 21, kernel="bicubic"), np.asarray(expected))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kernel", ["area", "bilinear", "bicubic", "lanczos"])
def test_shrinking_a_checkerboard_is_antialiased_with_every_kernel(kernel, dtype):
    top = np.iinfo(dtype).max
    board = (np.indices((32, 32)).sum(0) % 2 * top).astype(dtype)[:, :, None]
    small = resize(board, 4, 4, kernel=kernel)
    assert small.dtype == dtype
    assert np.all(np.abs(small.astype(float) / top - 0.5) < 0.02)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_resize_keeps_the_channels(channels):
    assert resize(np.zeros((4, 6, channels), np.uint8), 3, 2, kernel="auto").shape == (2, 3, channels)


def test_16_bit_comes_to_8_bit_by_rounding():
    image = np.array([0, 128, 129, 65535], np.uint16).reshape(1, 4, 1)
    assert as_rgb8(image)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_alpha_is_composited_on_the_background():
    image = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
    assert as_rgb8(image, background=255).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_gray_is_bt601_luma():
    assert as_gray8(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))[0, :, 0].tolist() == [76, 150]


def test_gray_is_pillows_to_the_last_bit():
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert np.array_equal(as_gray8(image)[:, :, 0], np.asarray(PillowImage.fromarray(image).convert("L")))
