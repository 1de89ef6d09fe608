"""What is found around a source: its class and the pictures beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pcli.inference.beside import key_with_class, pictures_beside
from p2pcli.io.base import Entry
from p2pcli.io.codec import encode


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("/x/shoes/1.png", "1", "shoes/1"),
        ("/x/hats/shoes/new/1.png", "new/1", "shoes/new/1"),
        ("/x/hats/shoes/1.png", "shoes/1", "shoes/1"),
        ("/x/y/1.png", "1", "1"),
    ],
)
def test_the_nearest_folder_that_is_a_class_comes_in_front(path: str, key: str, expected: str) -> None:
    entry = Entry(key, Path(path), f"{key}.png", "image")
    assert key_with_class(entry, ("shoes", "hats")) == expected


def test_without_classes_a_key_stays_as_it_is() -> None:
    assert key_with_class(Entry("1", Path("/x/shoes/1.png"), "1.png", "image"), ()) == "1"


def test_a_still_in_the_folder_beside_a_film_is_its_further_picture(tmp_path: Path) -> None:
    (tmp_path / "mask").mkdir()
    (tmp_path / "mask/film.png").write_bytes(encode(np.full((4, 6, 1), 255, np.uint8), ".png"))
    found = pictures_beside(tmp_path / "films/film.mp4", ("mask", "pose"))
    assert {name: image.shape for name, image in found.items()} == {"mask": (4, 6, 1)}
