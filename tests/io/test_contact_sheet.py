"""Contact sheets: every pair shown, labelled, whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.image import Sample
from p2pcli.io.contact_sheet import contact_sheet


def pair(height: int, width: int, *, key: str = "a") -> Sample:
    return Sample(key, np.zeros((height, width, 1), np.uint8), np.full((height, width, 3), 99, np.uint8))


def test_input_is_left_of_target():
    sheet = contact_sheet([pair(8, 8)], cell_px=64)
    assert sheet[40, 30].tolist() == [0, 0, 0]
    assert sheet[40, 100].tolist() == [99, 99, 99]


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_as_many_rows_as_the_pairs_need(count):
    one = contact_sheet([pair(8, 8)], cell_px=32).shape[0]
    sheet = contact_sheet([pair(8, 8)] * count, columns=3, cell_px=32)
    assert (sheet.shape[0] - 8) == -(-count // 3) * (one - 8)


def test_long_and_foreign_names_and_odd_shapes_are_no_problem():
    sheet = contact_sheet([pair(300, 3, key="日本\n/" + "x" * 300), pair(3, 300)], cell_px=48)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3


def test_the_longer_side_gets_the_cell():
    sheet = contact_sheet([pair(20, 40)], cell_px=100)
    assert (sheet == 99).all(axis=2).sum() == 100 * 50


def test_a_name_with_a_line_break_is_labelled_all_the_same():
    assert contact_sheet([pair(8, 8, key="two\nlines\t")], cell_px=48).ndim == 3
