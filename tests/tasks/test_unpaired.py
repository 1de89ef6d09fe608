"""CycleGAN's task: which network judges what, terms worked by hand, the pool, both directions in one file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.recipe import parse_recipe
from p2pcli.tasks import Batch, build_task, networks_of
from p2pcli.tasks.networks import model_state, recipe_of_direction, state_of
from p2pcli.tasks.unpaired import UnpairedTask

A, B = torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), -0.25)
BATCH = Batch(A, B)
WEIGHTS = {"gan": 1.0, "cycle": 10.0, "cycle_b": 4.0, "identity": 5.0}


class Times(nn.Module):
    """x · factor, with the inputs remembered."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return x * self.factor


def task_of(*, weights: dict[str, float] = WEIGHTS, pool_size: int = 0) -> UnpairedTask:
    """G_A doubles, G_B is the identity, both discriminators give back what they see."""
    return UnpairedTask(
        (Times(2.0), Times(1.0)), (Times(1.0), Times(1.0)), weights=weights, pool_size=pool_size
    )


def test_the_terms_of_the_generators_by_hand() -> None:
    task = task_of()
    losses = task.generator_losses(BATCH, task.forward(BATCH))
    # A → 1 → 1 (off by 0.5); B → -0.25 → -0.5 (off by 0.25). lsgan: (logit - 1)².
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        {
            "gan_a": 0.0,
            "gan_b": 1.5625,
            "cycle_a": 10 * 0.5,
            "cycle_b": 4 * 0.25,
            "identity_a": 5 * 0.25,
            "identity_b": 0.0,
        },
        abs=1e-6,
    )


def test_the_terms_of_the_discriminators_by_hand() -> None:
    task = task_of()
    losses = task.discriminator_losses(BATCH, task.forward(BATCH))
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        {"fake_a": 0.5, "real_a": 1.5625 / 2, "fake_b": 0.0625 / 2, "real_b": 0.25 / 2}
    )


def test_the_discriminator_of_the_way_to_b_sees_domain_b() -> None:
    task = task_of()
    task.discriminator_losses(BATCH, task.forward(BATCH))
    assert [float(x.mean()) for x in task.discriminator_a.seen] == [1.0, -0.25]  # type: ignore[union-attr]
    assert [float(x.mean()) for x in task.discriminator_b.seen] == [-0.25, 0.5]  # type: ignore[union-attr]


def test_no_loss_of_one_side_reaches_the_other() -> None:
    for losses, still in (("generator_losses", "discriminators"), ("discriminator_losses", "generators")):
        task = task_of()
        found = getattr(task, losses)(BATCH, task.forward(BATCH))
        sum(found.values(), torch.zeros(())).backward()
        grads = [p.grad for network in getattr(task, still).values() for p in network.parameters()]
        assert grads == [None, None]


def test_with_a_pool_the_discriminators_are_shown_earlier_fakes() -> None:
    task = task_of(pool_size=2)
    for value in range(20):
        batch = Batch(torch.full((1, 1, 2, 2), float(value)), B)
        task.discriminator_losses(batch, task.forward(batch))
    shown = [float(x.mean()) / 2 for x in task.discriminator_a.seen[::2]]  # type: ignore[union-attr]
    assert shown[:2] == [0, 1]
    assert shown != list(range(20))
    assert all(value <= step for step, value in enumerate(shown))


def test_a_restored_pool_draws_as_if_never_interrupted() -> None:
    one, other = task_of(pool_size=2), task_of(pool_size=2)
    fakes = [Batch(torch.full((1, 1, 2, 2), float(value)), B) for value in range(12)]
    for batch in fakes[:6]:
        one.discriminator_losses(batch, one.forward(batch))
    other.load_state_dict(one.state_dict())
    for task in (one, other):
        for batch in fakes[6:]:
            task.discriminator_losses(batch, task.forward(batch))
    seen_one, seen_other = one.discriminator_a.seen[12:], other.discriminator_a.seen
    assert [float(x.mean()) for x in seen_one] == [float(x.mean()) for x in seen_other]


def recipe(**data: Any) -> Any:
    values = {
        "task": "unpaired",
        "data": {"size": 32, "load_size": 32, **data},
        "generator": {"name": "resnet", "channels": 4, "blocks": 1},
        "discriminator": {"channels": 4, "receptive_field": 16},
        "losses": {"identity": 0.0},
    }
    return parse_recipe(values, where="test")


def test_the_pools_have_the_size_of_the_recipe() -> None:
    values = recipe().model_dump()
    values["train"]["pool_size"] = 7
    task = build_task(parse_recipe(values, where="test"))
    assert [pool.size for pool in task.pools.values()] == [7, 7]  # type: ignore[attr-defined]


def test_domains_may_differ_in_channels() -> None:
    task = build_task(recipe(input_channels=1))
    batch = Batch(torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 32, 32))
    fakes = task.forward(batch)
    assert (fakes.b.shape[1], fakes.a.shape[1]) == (3, 1)
    assert set(task.discriminator_losses(batch, fakes)) == {"fake_a", "real_a", "fake_b", "real_b"}


def test_the_four_networks_begin_with_weights_of_their_own() -> None:
    networks = networks_of(build_task(recipe()))
    firsts = {name: next(network.parameters()) for name, network in networks.items()}
    assert list(firsts) == ["AtoB", "BtoA", "D_A", "D_B"]
    assert not torch.equal(firsts["AtoB"], firsts["BtoA"])
    assert not torch.equal(firsts["D_A"], firsts["D_B"])


def test_a_model_file_holds_both_generators_and_gives_back_each() -> None:
    task = build_task(recipe())
    state = model_state(task.generators)
    for direction, network in task.generators.items():
        found = state_of(state, direction)
        assert found.keys() == network.state_dict().keys()
        assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def test_the_way_back_has_the_channels_changed_round() -> None:
    back = recipe_of_direction(recipe(input_channels=1), "BtoA")
    assert (back.data.input_channels, back.data.target_channels) == (3, 1)
