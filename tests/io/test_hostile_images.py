"""The hostile collection: every file has its fate, and it is the fate that Pillow's own reading gives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import ItemError
from p2pcli.io.codec import read_image


def _fates(folder: Path) -> dict[str, bool]:
    lines = (folder / "PILLOW_BASELINE.txt").read_text().splitlines()
    return {
        name: fate.startswith("OK") for name, _, fate in (line.partition(" | ") for line in lines) if fate
    }


@pytest.mark.real
def test_every_hostile_file_is_read_or_refused_as_an_item(real_data: Path) -> None:
    folder = real_data / "hostile"
    fates = _fates(folder)
    found = {}
    for name in fates:
        try:
            image = read_image(folder / name).image
        except ItemError:
            found[name] = False
            continue
        found[name] = True
        assert image.ndim == 3
        assert image.shape[2] in (1, 3, 4)
        assert image.dtype in (np.uint8, np.uint16)
    assert len(found) == 96
    assert found == fates


@pytest.mark.real
def test_a_photo_stored_in_any_orientation_comes_out_the_same(real_data: Path) -> None:
    photos = [read_image(path).image for path in sorted((real_data / "hostile").glob("orient__*Portrait*"))]
    assert {photo.shape for photo in photos} == {(600, 450, 3)}
    # The numeral in the middle differs, and some were saved again: the corners tell.
    corners = [photo[:150, :150].astype(int) for photo in photos]
    assert max(np.abs(corner - corners[0]).mean() for corner in corners) < 12


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "first"),
    [("depth__sharp__p3.png", (255, 0, 0, 255)), ("depth__sharp__prophoto.png", (117, 160, 210))],
)
def test_wide_gamut_colours_come_as_srgb(real_data: Path, name: str, first: tuple[int, ...]) -> None:
    pixel = read_image(real_data / "hostile" / name).image[0, 0].astype(int)
    assert np.abs(pixel - first).max() <= 1
