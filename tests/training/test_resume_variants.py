"""Every kind of task goes on from a stored state with the bits of a run that never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.tasks import Batch, networks_of
from p2pcli.training.checkpoint import newest_state, save_state
from p2pcli.training.state import TrainState, new_state
from p2pcli.training.step import StepLimits, training_step

STEPS = 5
TRAIN = {"precision": "float32", "ema": 0.9}
VARIANTS: dict[str, dict[str, Any]] = {
    "pix2pix": {"generator": {"name": "unet", "channels": 4}},
    "in parts, clipped, two rates": {
        "generator": {"name": "resnet", "channels": 4, "blocks": 1, "dropout": True},
        "train": {**TRAIN, "accumulate": 2, "clip_norm": 0.1, "discriminator_learning_rate": 1e-3},
    },
    "pix2pixHD": {
        "generator": {"name": "pix2pixhd_local", "channels": 4, "downsamplings": 1, "blocks": 1},
        "discriminator": {"name": "multiscale", "channels": 4, "layers": 1},
        "losses": {"l1": 0.0, "feature_matching": 10.0},
    },
    "SPADE VAE": {
        "data": {"size": 64, "load_size": 64},
        "generator": {"name": "spade", "channels": 2, "hidden": 4},
        "discriminator": {"name": "spade_multiscale", "channels": 4, "layers": 2},
        "encoder": {"name": "spade_style", "channels": 2},
        "losses": {"l1": 0.0, "feature_matching": 10.0, "kld": 0.05},
    },
    "WGAN-GP": {
        "generator": {"name": "resnet", "channels": 4, "blocks": 1},
        "discriminator": {"channels": 4, "receptive_field": 16, "norm": "instance", "objective": "wgan"},
        "losses": {"gradient_penalty": 10.0},
    },
    "CycleGAN": {
        "task": "unpaired",
        "generator": {"name": "resnet", "channels": 4, "blocks": 1},
        "discriminator": {"channels": 4, "receptive_field": 16},
        "train": {**TRAIN, "pool_size": 2},
    },
}


def recipe_of(values: dict[str, Any]) -> Recipe:
    judge = {"channels": 4, "receptive_field": 16}
    whole = {"data": {"size": 32, "load_size": 32}, "train": TRAIN, "discriminator": judge, **values}
    return parse_recipe(whole, where="test")


def train_steps(run: TrainState, until: int) -> None:
    train, data = run.recipe.train, run.recipe.data
    limits = StepLimits(accumulate=train.accumulate, clip_norm=train.clip_norm)
    while run.step < until:
        draw = torch.Generator().manual_seed(run.step)
        shape = (2, 3, data.size, data.size)
        batch = Batch(*(torch.rand(shape, generator=draw) * 2 - 1 for _ in range(2)))
        training_step(run.task, batch, run.optimizers, run.precision, limits=limits)
        run.step += 1


def everything(run: TrainState) -> dict[str, Tensor]:
    tensors = {
        f"{name}.{key}": value
        for name, network in networks_of(run.task).items()
        for key, value in network.state_dict().items()
    }
    for side, optimizer in run.optimizers._asdict().items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{side}.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    return {**tensors, "random": torch.get_rng_state()}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_that_is_stored_and_read_back_after_any_step_goes_on_bit_for_bit(
    name: str, tmp_path: Path
) -> None:
    recipe, device = recipe_of(VARIANTS[name]), torch.device("cpu")
    whole = new_state(recipe, device)
    train_steps(whole, STEPS)
    expected = everything(whole)
    cut = new_state(recipe, device)
    for step in range(1, STEPS + 1):
        train_steps(cut, step)
        save_state(tmp_path, cut.capture(), step=step, keep_last=1)
        torch.manual_seed(999)
        cut = new_state(recipe, device)
        stored = newest_state(tmp_path)
        assert stored is not None
        cut.restore(stored[1])
    found = everything(cut)
    assert found.keys() == expected.keys()
    assert [key for key, value in expected.items() if not torch.equal(found[key], value)] == []
