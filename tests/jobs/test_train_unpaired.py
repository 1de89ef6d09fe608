"""An unpaired run from end to end: cut anywhere and resumed, and its model in both directions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from p2pcli.errors import UsageError
from p2pcli.events import Stop, TrainProgress
from p2pcli.inference.model_file import read_model
from p2pcli.inference.translator import load_model
from p2pcli.jobs.train import train
from p2pcli.training.checkpoint import newest_state

RECIPE = """
task = "unpaired"
[data]
size = 16
load_size = 18
[generator]
name = "resnet"
channels = 4
blocks = 1
dropout = true
[discriminator]
channels = 4
receptive_field = 1
norm = "instance"
objective = "lsgan"
[train]
epochs = 3
decay_epochs = 0
pool_size = 2
ema = 0.9
precision = "float32"
sample_images = 1
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "horses"
    rng = np.random.default_rng(0)
    for name in ("trainA/0", "trainA/1", "trainB/0", "trainB/1", "trainB/2", "valA/0", "valB/0"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
    (tmp_path / "r.toml").write_text(RECIPE)
    return folder


class StopAt:
    """Sets the flag once so many steps are done."""

    def __init__(self, step: int) -> None:
        self.step, self.stop = step, Stop()

    def __call__(self, event: object) -> None:
        if isinstance(event, TrainProgress) and event.step >= self.step:
            self.stop.set()


def run(data: Path, output: Path, **options: Any) -> Any:
    return train(data, recipe=data.parent / "r.toml", output=output, workers=1, **options)


def flat(values: Any, name: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {k: v for key, value in values.items() for k, v in flat(value, f"{name}/{key}").items()}
    if isinstance(values, list | tuple):
        return {k: v for i, value in enumerate(values) for k, v in flat(value, f"{name}/{i}").items()}
    return {name: values}


@pytest.mark.parametrize("steps", [(1,), (3, 6), (7,)])
def test_a_run_cut_anywhere_and_resumed_has_the_bits_of_an_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...]
) -> None:
    monkeypatch.setattr("p2pcli.training.progress._EVENT_SECONDS", 0.0)
    run(data, tmp_path / "whole")
    for index, step in enumerate(steps):
        at = StopAt(step)
        report = run(data, tmp_path / "cut", resume=index > 0, observe=at, stop=at.stop)
        assert report.interrupted
    run(data, tmp_path / "cut", resume=True)
    states = [newest_state(tmp_path / name / "state") for name in ("whole", "cut")]
    whole, cut = (flat(state[1]) for state in states if state is not None)
    assert whole.keys() == cut.keys()
    different = [
        key
        for key, value in whole.items()
        if not (torch.equal(value, cut[key]) if isinstance(value, torch.Tensor) else value == cut[key])
    ]
    assert different == []
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_the_best_model_is_best_in_cycles_and_translates_both_ways(data: Path, tmp_path: Path) -> None:
    report = run(data, tmp_path / "run")
    assert set(report.metrics) == {"cycle"}
    assert report.best.metrics["cycle"] <= report.metrics["cycle"]
    picture = np.random.default_rng(1).integers(0, 256, (21, 19, 3), dtype=np.uint8)
    results = {way: load_model(tmp_path / "run", direction=way)(picture) for way in ("AtoB", "BtoA")}
    assert results["AtoB"].shape == picture.shape
    assert not np.array_equal(results["AtoB"], results["BtoA"])
    assert np.array_equal(load_model(tmp_path / "run")(picture), results["AtoB"])


def test_the_model_file_holds_the_averaged_generators_of_both_ways(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run")
    weights, _, _ = read_model(tmp_path / "run/model.safetensors")
    newest = newest_state(tmp_path / "run/state")
    assert newest is not None
    average = newest[1]["average"]
    assert weights.keys() == average.keys()
    assert {key.partition(".")[0] for key in weights} == {"AtoB", "BtoA"}
    assert all(torch.equal(weights[key], value) for key, value in average.items())


def test_a_direction_that_a_paired_model_lacks_is_refused(data: Path, tmp_path: Path) -> None:
    overrides = ["task=paired", "losses.l1=1", "train.best_metric=ssim", "train.epochs=1"]
    (data / "trainB/2.png").unlink()
    for name in ("valA", "valB"):
        shutil.rmtree(data / name)
    run(data, tmp_path / "run", overrides=[*overrides, "discriminator.conditional=true"])
    with pytest.raises(UsageError, match=r"translates AtoB only; BtoA was asked for.*data\.direction=BtoA"):
        load_model(tmp_path / "run", direction="BtoA")
    with pytest.raises(UsageError, match=r"no direction 'btoa'\. Known: AtoB, BtoA"):
        load_model(tmp_path / "run", direction="btoa")
