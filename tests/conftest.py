"""Fixtures for all tests. Inputs are made in the tests; real data only where P2P_TEST_DATA names a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, pairs, films and weights; the test is skipped where it is not given."""
    folder = os.environ.get("P2P_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("P2P_TEST_DATA does not name a folder")
    return Path(folder)


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Makes a folder one that cannot be read, for root too."""
    listdir = os.listdir

    def locked(folder: Path) -> Path:
        def refusing(path: Path) -> list[str]:
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return listdir(path)

        monkeypatch.setattr(os, "listdir", refusing)
        return folder

    return locked


@pytest.fixture
def tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """Saves a U-Net for 32 px with a few thousand random weights; keyword arguments add to its recipe."""

    def save(name: str = "tiny.safetensors", *, seed: int = 0, **sections: dict[str, object]) -> Path:
        import torch

        from p2pcli.inference.model_file import ModelInfo, save_model
        from p2pcli.recipe import parse_recipe
        from p2pcli.tasks import build_generator

        defaults: dict[str, dict[str, object]] = {
            "data": {"size": 32, "load_size": 32},
            "generator": {"channels": 4},
        }
        named = {key: {**defaults.get(key, {}), **sections.get(key, {})} for key in {*defaults, *sections}}
        recipe = parse_recipe(named, where="test")
        torch.manual_seed(seed)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, build_generator(recipe).state_dict(), recipe=recipe, info=ModelInfo(trained_size=32))
        return path

    return save
