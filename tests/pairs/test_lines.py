"""Thinning and the removal of specks."""

from __future__ import annotations

import cv2
import numpy as np

from p2pcli.pairs.lines import drop_short, thin_lines


def drawn(*rows: str) -> np.ndarray:
    return np.array([[255 if dot == "#" else 0 for dot in row] for row in rows], dtype=np.uint8)


def test_a_thick_bar_becomes_a_line_of_one_pixel():
    bar = np.zeros((9, 15), dtype=np.uint8)
    bar[3:6, 2:13] = 255
    thin = thin_lines(bar)
    assert (thin > 0).sum(axis=0).max() == 1
    assert (thin[4] > 0).sum() >= 8


def test_a_line_of_one_pixel_stays():
    line = drawn(".......", ".#####.", ".......")
    assert np.array_equal(thin_lines(line), line)


def test_thinning_neither_cuts_nor_joins_lines():
    noise = np.random.default_rng(1).random((60, 60))
    blobs = np.where(cv2.GaussianBlur(noise, (0, 0), 2.0) > 0.51, 255, 0).astype(np.uint8)
    before, _ = cv2.connectedComponents(blobs, connectivity=8)
    after, _ = cv2.connectedComponents(thin_lines(blobs), connectivity=8)
    assert before == after > 3


def test_components_below_min_length_go_and_diagonals_connect():
    lines = drawn("#......", ".#...#.", "..#....", "......#")
    assert np.array_equal(drop_short(lines, 3), drawn("#......", ".#.....", "..#....", "......."))


def test_a_min_length_of_one_changes_nothing():
    lines = drawn("#.#", "...", "#.#")
    assert np.array_equal(drop_short(lines, 1), lines)
