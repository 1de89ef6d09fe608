"""Length and learning rate."""

from __future__ import annotations

import pytest

from p2pcli.recipe import Train
from p2pcli.training.schedule import learning_rate_factor, total_epochs, total_steps


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1.0), (99, 1.0), (100, 1 - 1 / 101), (149, 1 - 50 / 101), (199, 1 / 101)]
)
def test_the_published_rate_falls_linearly_and_never_reaches_zero(epoch: int, factor: float) -> None:
    train = Train(epochs=100, decay_epochs=100)
    assert learning_rate_factor(train, step=0, epoch=epoch) == pytest.approx(factor)


def test_with_steps_the_first_half_is_whole_and_the_last_step_above_zero() -> None:
    train = Train(steps=10)
    factors = [learning_rate_factor(train, step=step, epoch=0) for step in range(10)]
    assert factors[:5] == [1.0] * 5
    assert factors[5:] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_a_run_has_epochs_times_batches_steps() -> None:
    train = Train(epochs=2, decay_epochs=1, batch_size=4)
    assert total_steps(train, 9) == 9
    assert total_epochs(train, 9) == 3


def test_steps_stand_in_for_epochs() -> None:
    train = Train(steps=10, batch_size=4)
    assert (total_steps(train, 9), total_epochs(train, 9)) == (10, 4)
