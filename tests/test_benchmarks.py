"""The plain steps that benchmarks compare with: the same losses as p2p's, so that the same work is timed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = {
    "pix2pixhd": ["data.size=64", "generator.channels=4", "generator.blocks=1"],
    "cyclegan": ["data.size=32", "generator.channels=4", "generator.blocks=1"],
    "spade": ["data.size=64", "generator.channels=2"],
    "srresnet": ["data.size=32", "generator.channels=8", "generator.blocks=1"],
    "srgan": ["data.size=32", "generator.channels=8", "generator.blocks=1"],
    "inpainting": ["data.size=32", "generator.channels=4", "generator.blocks=1"],
}


@pytest.fixture
def relatives_step(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("relatives_step")


@pytest.mark.parametrize("name", SMALL)
def test_two_steps_of_the_plain_form_have_the_losses_of_ours(name: str, relatives_step: Any) -> None:
    relative = relatives_step.RELATIVES[name]
    settings = ["discriminator.channels=4", "train.precision=float32", "train.channels_last=false"]
    run = relatives_step.our_run(relative, [*SMALL[name], *settings, "train.batch_size=2"])
    batch = relatives_step.batch_for(run.recipe)
    plain, ours = relatives_step.plain_step(relative, run, batch), relatives_step.our_step(run, batch)
    for _ in range(2):
        expected = {side: float(loss) for side, loss in plain().items()}
        assert {side: float(loss) for side, loss in ours().items()} == pytest.approx(expected, rel=1e-4)


def test_every_relative_of_the_benchmark_is_compared(relatives_step: Any) -> None:
    assert set(SMALL) == set(relatives_step.RELATIVES)


def test_a_convolution_is_counted_forward_and_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    step_timing = importlib.import_module("step_timing")
    layer, x = torch.nn.Conv2d(2, 4, 3), torch.zeros(1, 2, 5, 5)
    passes = step_timing.convolutions_of(lambda: layer(x).sum().backward())
    # 3·3 positions times 4·2·3·3 weights, a multiplication and an addition each; backward for weights alone.
    assert [work.gflop * 1e9 for work in passes] == pytest.approx([2 * 9 * 72, 2 * 9 * 72])
