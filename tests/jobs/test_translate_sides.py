"""The translate job where a folder holds both sides of pairs, and where pictures are label maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.events import Note
from p2pcli.inference.translator import load_model
from p2pcli.io.codec import encode, read_image
from p2pcli.jobs.translate import translate

Model = Callable[..., Path]


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 36, 3)).astype(np.uint8)
    path.write_bytes(encode(pixels, path.suffix))


@pytest.mark.parametrize(
    ("model", "target", "translated"),
    [
        ({}, "hr", {"lr/1.png", "lr/2.png"}),
        ({"data": {"direction": "BtoA"}}, "hr", {"hr/1.png", "hr/2.png"}),
        ({}, "other", {"lr/1.png", "lr/2.png", "other/1.png", "other/2.png"}),
    ],
)
def test_of_two_sides_of_pairs_the_inputs_are_translated_and_it_is_said(
    tmp_path: Path,
    tiny_model: Model,
    model: dict[str, dict[str, object]],
    target: str,
    translated: set[str],
) -> None:
    for folder in ("lr", target):
        for name in ("1", "2"):
            photo(tmp_path / "in" / folder / f"{name}.png")
    notes: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    report = translate(
        tmp_path / "in", model=tiny_model(**model), output=tmp_path / "out", device="cpu", observe=observe
    )
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert found == translated
    assert (report.tally.planned, report.tally.written) == (4, len(translated))
    assert report.tally.skipped["the other side of a pair"] == 4 - len(translated)
    assert any("are two sides of pairs" in note for note in notes) == (len(translated) == 2)


def test_palette_label_maps_are_ids_to_a_model_of_labels(tmp_path: Path, tiny_model: Model) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (32, 32)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    coloured = PillowImage.fromarray(ids)
    coloured.putpalette([0, 0, 0, 230, 25, 75, 60, 180, 75])
    coloured.save(tmp_path / "in/palette.png", transparency=0)
    PillowImage.fromarray(ids).save(tmp_path / "in/gray.png")
    model = tiny_model(data={"labels": 3})
    report = translate(tmp_path / "in", model=model, output=tmp_path / "out", device="cpu", encoding="png")
    assert report.tally.written == 2
    results = [read_image(tmp_path / "out" / name).image for name in ("palette.png", "gray.png")]
    assert np.array_equal(*results)


def test_palette_label_maps_are_ids_from_python_too(tmp_path: Path, tiny_model: Model) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (32, 32)).astype(np.uint8)
    coloured = PillowImage.fromarray(ids)
    coloured.putpalette([0, 0, 0, 230, 25, 75, 60, 180, 75])
    coloured.save(tmp_path / "palette.png", transparency=0)
    model = load_model(tiny_model(data={"labels": 3}), device="cpu")
    expected = model(ids)
    for given in (coloured, tmp_path / "palette.png"):
        assert np.array_equal(model(given), expected)
