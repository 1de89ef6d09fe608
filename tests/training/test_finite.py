"""NaN in the data is refused before the first step, with file and value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import UsageError
from p2pcli.jobs.train import train

Folder = Callable[..., Path]


def floats(*corner: float) -> PillowImage.Image:
    values = np.full((40, 80), 0.5, np.float32)
    values[0, : len(corner)] = corner
    return PillowImage.fromarray(values)


def test_a_picture_with_nan_is_refused_before_the_first_step(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data = side_by_side(5)
    floats(np.nan, np.inf).save(data / "bad.tif")
    message = r"bad\.tif: 32-bit float values from nan to nan, 2 of 3200 NaN or infinite; expected 0 to 1"
    with pytest.raises(UsageError, match=message):
        train(data, output=tmp_path / "run", overrides=tiny)
    assert not (tmp_path / "run").exists()


def test_unpaired_pictures_are_looked_through_as_well(tmp_path: Path) -> None:
    for domain in ("trainA", "trainB"):
        (tmp_path / "data" / domain).mkdir(parents=True)
        for name in ("1", "2"):
            floats().save(tmp_path / "data" / domain / f"{name}.tiff")
    floats(np.nan).save(tmp_path / "data" / "trainB" / "2.tiff")
    with pytest.raises(UsageError, match=r"2\.tiff: .* 1 of 3200 NaN"):
        train(tmp_path / "data", recipe="cyclegan", output=tmp_path / "run", overrides=["variant=cpu"])


def test_finite_floats_are_data_like_any_other(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    data = side_by_side(5)
    floats(0.0, 1.0).save(data / "good.tif")
    report = train(data, output=tmp_path / "run", overrides=[*tiny, "train.steps=1"], dry_run=True)
    assert report.training_pairs + report.validation_pairs == 6
