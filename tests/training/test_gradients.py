"""Norms of gradients: the numbers, the line for people, the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from p2pcli.jobs.train import train
from p2pcli.nets import PatchGAN, ResNet
from p2pcli.tasks import PairedTask
from p2pcli.training.gradients import gradient_norms
from p2pcli.training.health import Health
from p2pcli.training.runlog import read_log


def test_the_norm_is_that_of_all_gradients_of_a_side_together() -> None:
    generator, judge = ResNet(channels=2, blocks=1), PatchGAN(channels=2, receptive_field=16)
    task = PairedTask(generator, judge, weights={"gan": 1.0, "l1": 1.0})
    first, second, *_ = generator.parameters()
    first.grad, second.grad = torch.zeros_like(first), torch.zeros_like(second)
    first.grad.view(-1)[0], second.grad.view(-1)[0] = 3.0, 4.0
    assert gradient_norms(task) == {"G": pytest.approx(5.0)}


def test_the_health_line_shows_the_norms() -> None:
    health = Health("bce")
    health.update({"fake": 0.35, "real": 0.35, "gan": 0.7})
    health.norms = {"D": 0.5, "G": 12.34}
    assert health.line().endswith(" · gradients G 12.3, D 0.5")


def test_the_log_holds_the_norms_after_clipping(
    tiny: list[str], side_by_side: Callable[..., Path], tmp_path: Path
) -> None:
    changes = [*tiny, "train.steps=2", "train.clip_norm=0.01"]
    train(side_by_side(4), recipe="pix2pix", output=tmp_path / "run", overrides=changes)
    rows = [row for row in read_log(tmp_path / "run" / "log.jsonl") if row["kind"] == "step"]
    assert rows[-1]["gradient_norms"] == {
        "G": pytest.approx(0.01, rel=0.01),
        "D": pytest.approx(0.01, rel=0.01),
    }
