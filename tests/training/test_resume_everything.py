"""A run that is cut anywhere and resumed ends with the bits of an uninterrupted one, whatever is on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from p2pcli.jobs.train import train
from p2pcli.training import loop
from p2pcli.training.checkpoint import newest_state

Folder = Callable[..., Path]
HD = """
[data]
size = 64
[generator]
name = "pix2pixhd_local"
channels = 2
downsamplings = 2
blocks = 1
local_blocks = 1
[discriminator]
channels = 4
receptive_field = 16
[train]
precision = "float32"
epochs = 3
decay_epochs = 0
batch_size = 2
freeze_global_epochs = 1
"""
PROGRESSIVE = """
[data]
size = 32
load_size = 36
[generator]
name = "progressive"
channels = 2
depth = 2
growths = 1
[discriminator]
name = "progressive_patch"
channels = 2
growths = 1
[train]
precision = "float32"
stages = [0.5]
fade = 1.0
ema = 0.9
epochs = 3
decay_epochs = 0
batch_size = 2
"""
EVERYTHING = [
    'train.freeze=["model.model.0"]',
    "train.warmup_discriminator=2",
    'train.diffaugment=["color", "translation", "cutout"]',
    "train.ema=0.9",
    "train.clip_norm=1.0",
    "train.accumulate=2",
    "train.decay=cosine",
]
PLATEAU = ["train.decay=plateau", "train.decay_patience=0", "train.epochs=3", "train.best_metric=psnr"]


class KilledError(Exception):
    """Stands for a SIGKILL: nothing in p2p catches it."""


def die_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the run be killed as it begins step `step` (from 1)."""
    real, calls = loop.set_learning_rates, 0

    def set_or_die(*arguments: Any, **named: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KilledError
        return real(*arguments, **named)

    monkeypatch.setattr(loop, "set_learning_rates", set_or_die)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("killed_at", [2, 6])
@pytest.mark.parametrize(
    "switched_on",
    [EVERYTHING, PLATEAU, HD, PROGRESSIVE],
    ids=["everything", "plateau", "hd", "in a fade"],
)
def test_a_killed_run_resumes_to_the_same_bits(
    switched_on: list[str] | str,
    killed_at: int,
    tiny: list[str],
    side_by_side: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, recipe, changes = side_by_side(5, side=72), "pix2pix", [*tiny, *switched_on]
    if isinstance(switched_on, str):
        recipe, changes = str(tmp_path / "own.toml"), []
        Path(recipe).write_text(switched_on)
    changes += ["train.checkpoint_minutes=1e-9", "train.validation_images=1"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(data, recipe=recipe, output=whole, overrides=changes)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, killed_at)
        train(data, recipe=recipe, output=cut, overrides=changes)
    train(output=cut, resume=True)
    one, other = newest_state(whole / "state"), newest_state(cut / "state")
    assert one is not None and other is not None
    assert [key for key in one[1] if not same(one[1][key], other[1][key])] == []


def test_the_global_part_of_pix2pixhd_learns_only_after_its_epochs(
    side_by_side: Folder, tmp_path: Path
) -> None:
    recipe, out = tmp_path / "hd.toml", tmp_path / "run"
    recipe.write_text(HD)
    keep_all = ["train.keep_last=100", "train.checkpoint_minutes=1e-9", "data.validation=0"]
    train(side_by_side(4, side=72), recipe=recipe, output=out, overrides=keep_all)
    states = [torch.load(path, weights_only=True) for path in sorted((out / "state").glob("*.pt"))]
    weights = [state["networks"]["generator"] for state in states]
    moved = [
        {key.startswith("model1") for key in after if not torch.equal(after[key], before[key])}
        for before, after in pairwise(weights)
    ]
    assert [state["epoch"] for state in states] == [0, 1, 1, 2, 2, 3]
    assert moved == [{True}, {True, False}, {True, False}, {True, False}, {True, False}]
    # The new Adam has seen one step when the fourth of the run is over.
    assert states[2]["generator_optimizer"]["state"][0]["step"] == 1
