"""A step asks its device for no number, so that a GPU never waits for the host: tried on a CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from p2pcli.nets.blocks import PReLU
from p2pcli.recipe import load_recipe
from p2pcli.tasks import networks_of
from p2pcli.training.ema import update_average
from p2pcli.training.estimate import random_batch
from p2pcli.training.loss_watch import LossNotFiniteError
from p2pcli.training.precision import Precision
from p2pcli.training.state import TrainState, new_state
from p2pcli.training.step import StepLimits, training_step

_ASKS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.unique_dim.default,
}
"""What lets CUDA wait: a number, or a shape, that only the device knows."""

SIDE_32, SIDE_64 = (["data.size=32", "data.load_size=32"], ["data.size=64", "data.load_size=64"])
FAMILIES = {
    "pix2pix": ["generator.channels=4", *SIDE_32],
    "colorize-lab": ["generator.channels=4", *SIDE_32],
    "pix2pixhd-512": [*SIDE_64, "data.labels=4", "data.instances=labels", "generator.channels=2"],
    "spade": [*SIDE_64, "data.labels=4", "data.instances=labels", "generator.channels=2"],
    "cyclegan": ["generator.channels=2", "generator.blocks=1", *SIDE_32],
    "srgan": [*SIDE_32, "losses.l2=1", "generator.blocks=1"],
    "inpainting": [*SIDE_32, "generator.channels=2"],
    "progressive": ["variant=cpu"],
}


class _Asked(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _ASKS:
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Precision, "defers_checks", True)
    # A CPU's own backward pass for it reads the slope.
    monkeypatch.setattr(PReLU, "forward", torch.nn.PReLU.forward)


def small_run(name: str, overrides: list[str]) -> TrainState:
    small = ["losses.perceptual=0", "discriminator.channels=4", "train.precision=bfloat16"]
    sizes = (
        []
        if any("size" in one or "variant" in one for one in overrides)
        else ["data.size=64", "data.load_size=64"]
    )
    run = new_state(load_recipe(name, ["train.ema=0.9", *small, *sizes, *overrides]), torch.device("cpu"))
    for network in networks_of(run.task).values():
        network.train()
    return run


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_asks_for_no_number(name: str, as_on_cuda: None) -> None:
    run = small_run(name, FAMILIES[name])
    batch = random_batch(run, samples=2)
    limits = StepLimits(clip_norm=1.0)
    training_step(run.task, batch, run.optimizers, run.precision, limits=limits)
    with _Asked() as asked:
        training_step(run.task, batch, run.optimizers, run.precision, limits=limits)
        assert run.average is not None
        update_average(run.average, torch.nn.ModuleDict(run.task.generators), decay=0.9, step=2)
    assert asked.names == []


def test_a_question_would_be_seen() -> None:
    run = small_run("pix2pix", FAMILIES["pix2pix"])
    with _Asked() as asked:
        training_step(run.task, random_batch(run, samples=1), run.optimizers, run.precision)
    assert asked.names


def test_an_update_that_a_loss_would_spoil_is_skipped_and_named_when_asked(as_on_cuda: None) -> None:
    run = small_run("pix2pix", FAMILIES["pix2pix"])
    batch = random_batch(run, samples=2)
    training_step(run.task, batch, run.optimizers, run.precision)
    run.precision.watch.require_finite()
    spoiled = batch._replace(target=torch.full_like(batch.target, torch.nan))
    training_step(run.task, spoiled, run.optimizers, run.precision)
    training_step(run.task, batch, run.optimizers, run.precision)
    with pytest.raises(LossNotFiniteError, match="the loss 'real' became nan"):
        run.precision.watch.require_finite()
    run.precision.watch.require_finite()


def test_a_spoiled_update_changes_no_weight(as_on_cuda: None) -> None:
    run = small_run("pix2pix", FAMILIES["pix2pix"])
    batch = random_batch(run, samples=2)
    spoiled = batch._replace(target=torch.full_like(batch.target, torch.nan))
    before = [p.clone() for network in networks_of(run.task).values() for p in network.parameters()]
    training_step(run.task, spoiled, run.optimizers, run.precision)
    after = [p for network in networks_of(run.task).values() for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_steps_are_the_same_with_checks_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for deferred in (False, True):
        monkeypatch.setattr(Precision, "defers_checks", deferred)
        run = small_run("pix2pix", FAMILIES["pix2pix"])
        batch = random_batch(run, samples=2)
        for _ in range(3):
            training_step(run.task, batch, run.optimizers, run.precision)
        ends.append([p.clone() for network in networks_of(run.task).values() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
