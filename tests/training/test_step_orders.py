"""Both orders of updates, batches in parts, clipping, two learning rates."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.nets import PatchGAN, ResNet, init_weights
from p2pcli.recipe import Train
from p2pcli.tasks import Batch, PairedTask, UnpairedTask, networks_of
from p2pcli.tasks.judging import JUDGING, Judging
from p2pcli.training.optimizer import make_adam
from p2pcli.training.precision import Precision
from p2pcli.training.schedule import set_learning_rates
from p2pcli.training.step import Optimizers, StepLimits, training_step

PRECISION = Precision("cpu", name="float32")
SPADE = replace(JUDGING["spade_multiscale"], together=False)


def paired(judging: Judging) -> PairedTask:
    networks = (ResNet(channels=4, blocks=1), PatchGAN(channels=4, receptive_field=16, norm="instance"))
    for seed, network in enumerate(networks):
        init_weights(network, seed=seed, gain=0.1)
    return PairedTask(*networks, weights={"gan": 1, "l1": 10}, judging=judging)


def unpaired() -> UnpairedTask:
    generators = tuple(ResNet(channels=4, blocks=1) for _ in range(2))
    judges = tuple(
        PatchGAN(input_channels=3, channels=4, receptive_field=16, norm="instance") for _ in range(2)
    )
    for seed, network in enumerate((*generators, *judges)):
        init_weights(network, seed=seed, gain=0.1)
    weights = {"gan": 1.0, "cycle": 10.0, "cycle_b": 10.0, "identity": 5.0}
    return UnpairedTask(generators, judges, weights=weights, pool_size=0)  # type: ignore[arg-type]


def optimizers_of(task: Any, *, rate: float = 2e-4) -> Optimizers:
    sides = (task.generators, task.discriminators)
    return Optimizers(*(make_adam(nn.ModuleDict(side), learning_rate=rate) for side in sides))


def batch(size: int = 4) -> Batch:
    draw = torch.Generator().manual_seed(2)
    return Batch(*(torch.rand(size, 3, 32, 32, generator=draw) * 2 - 1 for _ in range(2)))


def weights_of(task: Any) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in networks_of(task).items()
        for key, value in network.state_dict().items()
    }


def plain(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(loss.detach()) for name, loss in losses.items()}


def test_generator_first_judges_by_the_discriminator_as_it_was() -> None:
    task = paired(JUDGING["multiscale"])
    expected = plain(task.generator_losses(batch(), task.forward(batch())))
    losses = training_step(task, batch(), optimizers_of(task), PRECISION)
    assert {name: float(losses[name]) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("judging", "is_renewed"), [(JUDGING["multiscale"], False), (SPADE, True)])
def test_the_discriminator_learns_from_old_fakes_or_renewed_ones(judging: Judging, is_renewed: bool) -> None:
    task = paired(judging)
    discriminator = copy.deepcopy(task.discriminator)
    old = task.forward(batch())
    losses = training_step(task, batch(), optimizers_of(task, rate=0.01), PRECISION)
    task.discriminator = discriminator
    fakes = task.forward(batch()) if is_renewed else old
    assert float(losses["fake"]) == pytest.approx(plain(task.discriminator_losses(batch(), fakes))["fake"])


@pytest.mark.parametrize("kind", ["discriminator-first", "generator-first", "renewed", "unpaired"])
def test_a_batch_in_parts_gives_the_update_of_the_whole(kind: str) -> None:
    make = {
        "discriminator-first": lambda: paired(Judging()),
        "generator-first": lambda: paired(JUDGING["multiscale"]),
        "renewed": lambda: paired(SPADE),
        "unpaired": unpaired,
    }[kind]
    ends, seen = [], []
    for accumulate in (1, 2, 4):
        task = make()
        optimizers = Optimizers(
            *(torch.optim.SGD(nn.ModuleDict(side).parameters(), lr=0.01) for side in _sides(task))
        )
        for _ in range(2):
            losses = training_step(
                task, batch(), optimizers, PRECISION, limits=StepLimits(accumulate=accumulate)
            )
        ends.append(weights_of(task))
        seen.append(plain(losses))
    for end, losses in zip(ends[1:], seen[1:], strict=True):
        torch.testing.assert_close(end, ends[0], rtol=1e-4, atol=1e-6)
        assert losses == pytest.approx(seen[0], rel=1e-4)


def test_parts_of_unequal_size_count_by_their_samples() -> None:
    ends = []
    for accumulate in (1, 2):
        task = paired(Judging())
        optimizers = Optimizers(
            *(torch.optim.SGD(nn.ModuleDict(side).parameters(), lr=0.01) for side in _sides(task))
        )
        training_step(task, batch(3), optimizers, PRECISION, limits=StepLimits(accumulate=accumulate))
        ends.append(weights_of(task))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_norm_of_all_gradients_of_an_update() -> None:
    task = paired(Judging())
    optimizers = Optimizers(
        *(torch.optim.SGD(nn.ModuleDict(side).parameters(), lr=1.0) for side in _sides(task))
    )
    before = weights_of(task)
    training_step(task, batch(), optimizers, PRECISION, limits=StepLimits(clip_norm=1e-3))
    after = weights_of(task)
    for side in ("generator", "discriminator"):
        moved = torch.stack([(after[k] - before[k]).norm() for k in before if k.startswith(side)]).norm()
        assert float(moved) == pytest.approx(1e-3, rel=1e-2)


def test_both_learning_rates_fall_by_one_factor() -> None:
    task = paired(Judging())
    optimizers = optimizers_of(task)
    train = Train(learning_rate=1e-4, discriminator_learning_rate=4e-4)
    assert set_learning_rates(optimizers, train, factor=0.5) == pytest.approx(5e-5)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([5e-5, 2e-4])


def _sides(task: Any) -> tuple[Any, Any]:
    return task.generators, task.discriminators
