"""The order of pairs and the place in it."""

from __future__ import annotations

from itertools import islice

from p2pcli.training.sampler import (
    Position,
    Slot,
    batches_from,
    epoch_order,
    position_after,
    steps_per_epoch,
)

KEYS = [f"k{index}" for index in range(7)]


def test_an_epoch_holds_every_key_once() -> None:
    assert sorted(epoch_order(KEYS, seed=0, epoch=3)) == KEYS


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = {epoch_order(KEYS, seed=seed, epoch=epoch) for seed in range(2) for epoch in range(3)}
    assert len(orders) == 6


def test_the_last_batch_of_an_epoch_keeps_its_rest() -> None:
    batches = list(islice(batches_from(KEYS, Position(), seed=0, batch_size=3), 4))
    assert [len(batch) for batch in batches] == [3, 3, 1, 3]
    assert steps_per_epoch(7, 3) == 3


def test_any_position_continues_the_same_sequence() -> None:
    whole = list(islice(batches_from(KEYS, Position(), seed=5, batch_size=2), 12))
    for done in range(1, 11):
        position = position_after(whole[done - 1])
        rest = list(islice(batches_from(KEYS, position, seed=5, batch_size=2), 12 - done))
        assert rest == whole[done:]


def test_a_slot_offers_its_own_key_first_and_then_every_other_once() -> None:
    slot = Slot(0, 2, ("a", "b", "c", "d"))
    assert list(slot.candidates()) == ["c", "d", "a", "b"]
