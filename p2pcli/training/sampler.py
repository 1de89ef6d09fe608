"""The order in which a run sees its pairs, and the place in that order that a checkpoint stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from p2pcli.randomness import rng_for


@dataclass(frozen=True)
class Position:
    """`index` pairs of epoch `epoch` (from 0) are behind us."""

    epoch: int = 0
    index: int = 0


@dataclass(frozen=True)
class Slot:
    """The keys one place in an epoch's order may take: its own first, then its successors."""

    epoch: int
    index: int
    order: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key that the order has at this place."""
        return self.order[self.index]

    def candidates(self) -> Iterator[str]:
        """Every key once, from this place on: a key that cannot be read is replaced by the next one."""
        yield from self.order[self.index :]
        yield from self.order[: self.index]


def epoch_order(keys: Sequence[str], *, seed: int, epoch: int) -> tuple[str, ...]:
    """A permutation of `keys` that depends on nothing but the arguments."""
    permutation = rng_for(seed, "order", epoch).permutation(len(keys))
    return tuple(keys[int(i)] for i in permutation)


def batches_from(
    keys: Sequence[str], position: Position, *, seed: int, batch_size: int
) -> Iterator[tuple[Slot, ...]]:
    """Batches of slots from `position` on, without end; the last batch of an epoch may be smaller."""
    epoch, start = position.epoch, position.index
    while True:
        order = epoch_order(keys, seed=seed, epoch=epoch)
        for first in range(start, len(order), batch_size):
            last = min(first + batch_size, len(order))
            yield tuple(Slot(epoch, index, order) for index in range(first, last))
        epoch, start = epoch + 1, 0


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in an epoch of `count` pairs, the smaller last one included."""
    return -(-count // batch_size)


def position_after(slots: Sequence[Slot]) -> Position:
    """Where a run stands once a batch of these slots is done."""
    last = slots[-1]
    if last.index + 1 == len(last.order):
        return Position(last.epoch + 1, 0)
    return Position(last.epoch, last.index + 1)
