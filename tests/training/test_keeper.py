"""What becomes of a model file when a newer one takes its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from p2pcli.events import Event, Note
from p2pcli.inference.clusters import Clusters, holds_clusters
from p2pcli.inference.model_file import read_model, save_model
from p2pcli.recipe import load_recipe
from p2pcli.training.keeper import Keeper
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.state import TrainState, new_state

LOOKS = Clusters(np.zeros((1, 3), np.float32), np.zeros(1, np.int64), np.ones(1, np.int64))


@pytest.fixture
def run(tiny: list[str]) -> TrainState:
    features = ["encoder.name=pix2pixhd_features", "encoder.channels=2", "encoder.downsamplings=1"]
    hd = ["data.labels=2", "data.instances=labels", *features]
    return new_state(load_recipe("pix2pix", [*tiny, *hd]), torch.device("cpu"))


@pytest.fixture
def saved(run: TrainState, tmp_path: Path) -> Callable[[], list[str]]:
    """Saves the run and gives the warnings."""

    def save() -> list[str]:
        told: list[Event] = []
        Keeper(RunFolder(tmp_path), minutes=1, keep_last=1, observe=told.append).save(run)
        return [event.text for event in told if isinstance(event, Note) and event.level == "warning"]

    return save


def test_stored_looks_that_go_with_an_older_encoder_are_reported(
    saved: Callable[[], list[str]], tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    assert not holds_clusters(model) and saved() == []
    state, recipe, info = read_model(model)
    save_model(model, {**state, **LOOKS.tensors()}, recipe=recipe, info=info)
    assert holds_clusters(model)
    (warning,) = saved()
    assert f"p2p cluster DATA -m {tmp_path}." in warning
    assert not holds_clusters(model) and saved() == []
