"""What `train` says before its first step."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from p2pcli.jobs import train_words
from p2pcli.jobs.train_plan import Chosen
from p2pcli.jobs.train_words import suggest_smaller
from p2pcli.recipe import load_recipe
from p2pcli.training.run_folder import RunFolder


def suggested(monkeypatch, name: str, overrides: list[str], *, smaller_step: float, device: str = "cpu"):
    """The lines after the time, for 10 000 steps of a second; a smaller one's take `smaller_step`."""
    monkeypatch.setattr(train_words, "recipe_seconds_per_step", lambda recipe, device: smaller_step)
    recipe = load_recipe(name, overrides)
    chosen = Chosen(Path("data"), recipe, name, RunFolder(Path("run")), None, ())
    pairs = SimpleNamespace(split=SimpleNamespace(train=["a"] * 100))
    run = SimpleNamespace(precision=SimpleNamespace(device=torch.device(device)))
    return suggest_smaller(chosen, pairs, run, steps=10_000, step_seconds=1.0)[1:]


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("pix2pix", [], "-r quick is smaller (128 px"),
        ("pix2pix", ["data.direction=BtoA"], "-r quick --set data.direction=BtoA is"),
        ("edges2photo", [], "-r quick --set pairs.maker=edges is"),
        ("cyclegan", [], "--set variant=cpu is smaller (64 px"),
        ("spade", [], "--set variant=cpu is smaller (64 px"),
        ("srresnet", [], "--set variant=cpu is"),
    ],
)
def test_on_a_slow_cpu_what_fits_the_task_is_suggested(monkeypatch, name, overrides, words):
    (line,) = suggested(monkeypatch, name, overrides, smaller_step=0.1)
    assert line.startswith(f"On a CPU, {words}")


@pytest.mark.parametrize(
    ("name", "overrides", "smaller_step", "device"),
    [
        ("pix2pix", [], 100.0, "cpu"),
        ("pix2pix", [], 0.1, "cuda"),
        ("cyclegan", ["variant=cpu"], 0.1, "cpu"),
        ("spade", ["variant=cpu"], 0.1, "cpu"),
        ("quick", [], 100.0, "cpu"),
    ],
)
def test_nothing_is_suggested_that_is_slower_the_same_or_not_needed(
    monkeypatch, name, overrides, smaller_step, device
):
    assert suggested(monkeypatch, name, overrides, smaller_step=smaller_step, device=device) == []
