"""Small folders of pictures and a network small enough to train in a blink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

TINY = (
    "data.size=32",
    "data.load_size=36",
    "generator.channels=4",
    "discriminator.channels=4",
    "discriminator.receptive_field=16",
    "train.precision=float32",
    "train.steps=none",
    "train.epochs=2",
    "train.decay_epochs=1",
    "train.batch_size=2",
    "train.validation_images=2",
    "train.sample_images=2",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny layers gain nothing from threads, and threads that wait for each other stall on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> list[str]:
    """Overrides of any recipe: 32 px, networks of a few thousand weights, three epochs, float32."""
    return list(TINY)


@pytest.fixture
def side_by_side(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of `count` side-by-side pairs, left half blue-ish noise, right half its negative."""

    def make(count: int = 7, *, name: str = "facades", side: int = 40) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            rng = np.random.default_rng(index)
            left = np.kron(rng.integers(0, 256, (side // 8, side // 8, 3)), np.ones((8, 8, 1)))
            both = np.concatenate([left, 255 - left], axis=1).astype(np.uint8)
            PillowImage.fromarray(both).save(folder / f"pair{index:02d}.png")
        return folder

    return make


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five plain photos, 48×40."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        rng = np.random.default_rng(index)
        picture = np.kron(rng.integers(0, 256, (5, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        PillowImage.fromarray(picture).save(folder / f"photo{index}.png")
    return folder
