"""What a training run takes where something was left open, and what short options stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pcli.jobs.train_plan import choose


@pytest.mark.parametrize("name", ["vgg.pth", 'a "quoted" ünï.pth'])
def test_weights_are_the_recipes_perceptual_weights(tmp_path: Path, name: str) -> None:
    chosen = choose(
        tmp_path, recipe="quick", output=tmp_path / "r", overrides=[], seed=None, resume=False, weights=name
    )
    assert chosen.recipe.losses.perceptual_weights == name
