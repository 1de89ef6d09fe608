"""Batches of squares, decoded and augmented ahead of the loop by a few threads, always in order.

Threads, because decoding and resizing leave the interpreter lock; processes would copy the pictures.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch

from p2pcli.conditions import input_planes, instance_ids, target_planes
from p2pcli.image import Image
from p2pcli.tasks import Batch
from p2pcli.tensors import sent, stacked, to_batch
from p2pcli.training.augment import Square
from p2pcli.training.sampler import Slot

AHEAD_BATCHES = 3


class SquareBatch(NamedTuple):
    """The slots of one batch and the pair of squares that each became."""

    slots: tuple[Slot, ...]
    squares: tuple[Square, ...]

    def to(self, device: torch.device, *, channels_last: bool) -> Batch:
        """As two float32 (B, C, H, W) in [-1, 1] on `device`."""
        return squares_to_batch(self.squares, device=device, channels_last=channels_last)


def squares_to_batch(squares: tuple[Square, ...], *, device: torch.device, channels_last: bool) -> Batch:
    """Squares of one recipe as the planes that networks see: two float32 (B, C, H, W) on `device`.

    Bytes travel, and become planes on the device; pictures are in [-1, 1], labels and holes 0 or 1.
    """
    data = squares[0].data
    inputs, targets = [square.input for square in squares], [square.target for square in squares]
    if data.is_plain:
        return Batch(
            to_batch(inputs, device=device, channels_last=channels_last),
            to_batch(targets, device=device, channels_last=channels_last),
        )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    packed = _on(inputs, device)
    return Batch(
        input_planes(packed, data).contiguous(memory_format=layout),
        target_planes(_on(targets, device), data).contiguous(memory_format=layout),
        instance_ids(packed, data),
    )


def _on(images: list[Image], device: torch.device) -> torch.Tensor:
    return sent(stacked(images), device)


def default_workers() -> int:
    """Decoding threads when none are asked for: few, since the network needs the cores on a CPU."""
    return max(1, min(8, (os.cpu_count() or 1) - 1))


def prefetch(
    jobs: Iterable[tuple[tuple[Slot, ...], Callable[[Slot], Square]]], *, workers: int
) -> Generator[SquareBatch]:
    """Load batch after batch with `workers` threads, a few batches ahead, in the order of `jobs`.

    A job is the slots of a batch, and what loads one of them. What that raises is raised here, at its place
    in the order. Close the generator to end the threads.
    """
    waiting: deque[tuple[tuple[Slot, ...], list[Future[Square]]]] = deque()
    pool = ThreadPoolExecutor(workers, "p2p-load")
    try:
        for slots, load in jobs:
            waiting.append((slots, [pool.submit(load, slot) for slot in slots]))
            if len(waiting) > AHEAD_BATCHES:
                yield _collect(*waiting.popleft())
        while waiting:
            yield _collect(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _collect(slots: tuple[Slot, ...], futures: list[Future[Square]]) -> SquareBatch:
    return SquareBatch(slots, tuple(future.result() for future in futures))
