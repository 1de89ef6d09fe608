"""Progressive resolution: which steps train at which size, and what fades in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from p2pcli.errors import RecipeError
from p2pcli.inference.translator import load_model
from p2pcli.jobs.train import train
from p2pcli.recipe import Data, Recipe, load_recipe
from p2pcli.tasks import Batch, build_task
from p2pcli.training.augment import at_size
from p2pcli.training.runlog import read_log
from p2pcli.training.stages import faded, stage_at, stages_of

CHANGES = [
    "variant=cpu",
    "data.size=32",
    "data.load_size=36",
    "generator.channels=2",
    "generator.depth=3",
    "generator.growths=1",
    "discriminator.channels=2",
    "discriminator.growths=1",
    "train.stages=[0.5]",
    "train.fade=0.5",
    "train.steps=8",
    "train.batch_size=2",
    "train.validate_every=1",
    "train.precision=float32",
    "train.checkpoint_minutes=1e-9",
]


def recipe(*changes: str) -> Recipe:
    return load_recipe("progressive", changes)


def test_stages_share_the_steps_and_double_the_size() -> None:
    stages = stages_of(recipe("train.steps=100", "train.fade=0.5"), count=10)
    assert [(s.first, s.steps, s.fade_steps, s.size) for s in stages] == [
        (0, 25, 0, 64),
        (25, 25, 12, 128),
        (50, 50, 25, 256),
    ]


def test_a_run_without_stages_is_one_at_the_whole_size() -> None:
    (stage,) = stages_of(load_recipe("pix2pix", ["train.steps=9"]), count=3)
    assert (stage.first, stage.steps, stage.size, stage.lod_at(0)) == (0, 9, 256, 0.0)


def test_a_stage_too_short_for_a_step_is_left_out() -> None:
    assert [stage.size for stage in stages_of(recipe("train.steps=2"), count=1)] == [128, 256]


def test_a_resolution_fades_in_from_above_zero_to_one() -> None:
    stages = stages_of(recipe("train.steps=16", "train.stages=[0.25, 0.25]", "train.fade=0.5"), count=1)
    alphas = [stage_at(stages, step).alpha_at(step) for step in range(16)]
    assert alphas[:8] == [1, 1, 1, 1, pytest.approx(1 / 3), pytest.approx(2 / 3), 1, 1]
    assert alphas[8:12] == [pytest.approx(share / 5) for share in (1, 2, 3, 4)]
    assert [stage_at(stages, step).lod_at(step) for step in (0, 4, 7, 15)] == [2, pytest.approx(5 / 3), 1, 0]


@pytest.mark.parametrize(("size", "load_size"), [(64, 72), (128, 143), (256, 286)])
def test_the_room_for_jitter_keeps_its_proportion(size: int, load_size: int) -> None:
    data = at_size(Data(size=256, load_size=286), size)
    assert (data.size, data.load_size) == (size, load_size)


def test_real_pictures_fade_with_the_networks_and_inputs_stay() -> None:
    checks = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).view(1, 1, 2, 2)
    batch = Batch(checks, checks)
    soft = faded(batch, recipe(), alpha=0.25)
    assert torch.equal(soft.target, checks * 0.25) and soft.input is checks
    assert faded(batch, recipe(), alpha=1) is batch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.stages=[0.5, 0.5]", "leave nothing to the last"),
        ("train.stages=[0.5]", "progressive can double 2 times, and train.stages has 1 entries"),
        ("data.size=32", "cannot be halved 2 times to 16 px"),
        ("generator.name=unet", "the first stage's size 64 does not suit the generator"),
    ],
)
def test_stages_that_do_not_suit_are_refused(change: str, message: str) -> None:
    if "unet" in change:
        change = 'generator={name = "unet"}'
    with pytest.raises(RecipeError, match=message):
        build_task(recipe(change, "data.load_size=none"))


def test_a_run_grows_and_its_model_is_whole(side_by_side: Callable[..., Path], tmp_path: Path) -> None:
    data, out = side_by_side(5), tmp_path / "run"
    report = train(data, recipe="progressive", output=out, overrides=CHANGES, device="cpu")
    rows = [row for row in read_log(out / "log.jsonl") if row["kind"] == "step"]
    assert [(row["stage"], row["size"]) for row in rows] == [(1, 16)] * 4 + [(2, 32)] * 4
    assert [row["alpha"] for row in rows] == pytest.approx([1, 1, 1, 1, 1 / 3, 2 / 3, 1, 1], rel=1e-5)
    assert report.best is not None and report.best.step > 4
    translator = load_model(out, device="cpu")
    assert float(translator.network.growth.lod) in (0.0, pytest.approx(1 / 3))
    assert translator(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30, 3)
