"""Measuring a generator on held-out pairs, as `translate` will run it, and the input as the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2pcli.inference.modes import inference_mode
from p2pcli.metrics import METRICS
from p2pcli.recipe import Inference
from p2pcli.tasks import Batch
from p2pcli.tensors import to_images
from p2pcli.training.augment import Square
from p2pcli.training.batches import squares_to_batch
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.precision import Precision
from p2pcli.training.samples import SampleRow

LOWER_IS_BETTER = frozenset({"l1"})
_IMAGES_AT_ONCE = 4


@dataclass(frozen=True)
class HeldOut:
    """The pairs that are measured and shown: keys and squares, loaded once."""

    keys: tuple[str, ...]
    squares: tuple[Square, ...]


def translate_squares(
    network: nn.Module, squares: Sequence[Square], *, inference: Inference, precision: Precision
) -> list[Tensor]:
    """The network's results, float32 (C, H, W) in [-1, 1] on the CPU, one for each square.

    torch's random generators are put back afterwards, so measuring changes nothing in the run.
    """
    before = random_state(precision.device)
    results: list[Tensor] = []
    try:
        with inference_mode(network, statistics=inference.statistics, dropout=inference.dropout):
            for first in range(0, len(squares), _IMAGES_AT_ONCE):
                batch = _batch(squares[first : first + _IMAGES_AT_ONCE], precision)
                with precision.autocast():
                    output = network(batch.input)
                results += list(output.float().cpu())
    finally:
        restore_random_state(before, precision.device)
    return results


def measure(results: Sequence[Tensor], squares: Sequence[Square]) -> dict[str, float]:
    """l1, psnr and ssim, each the mean over pairs; every image counts the same."""
    sums = dict.fromkeys(METRICS, 0.0)
    for result, square in zip(results, squares, strict=True):
        target = squares_to_batch((square,), device=torch.device("cpu"), channels_last=False).target
        for name, metric in METRICS.items():
            # Equal images have no noise; 100 dB stands for that, so that means stay finite.
            sums[name] += min(float(metric(result[None], target)[0]), 100.0)
    return {name: value / len(squares) for name, value in sums.items()}


def measure_baseline(squares: Sequence[Square]) -> dict[str, float]:
    """The same numbers for the input as it is: what a network that does nothing would reach."""
    plain = []
    for square in squares:
        batch = squares_to_batch((square,), device=torch.device("cpu"), channels_last=False)
        channels = batch.target.shape[1]
        shown = batch.input.mean(1, keepdim=True) if channels == 1 else batch.input
        plain.append(shown.expand(-1, channels, -1, -1)[0])
    return measure(plain, squares)


def is_better(value: float, best: float | None, *, metric: str) -> bool:
    """True where `value` beats `best`; anything beats None."""
    if best is None:
        return True
    return value < best if metric in LOWER_IS_BETTER else value > best


def sample_rows(held_out: HeldOut, results: Sequence[Tensor]) -> list[SampleRow]:
    """Rows for a sample grid out of the first results."""
    rows = []
    for key, square, result in zip(held_out.keys, held_out.squares, results, strict=False):
        rows.append(SampleRow(key, square.input, to_images(result[None])[0], square.target))
    return rows


def _batch(squares: Sequence[Square], precision: Precision) -> Batch:
    return squares_to_batch(tuple(squares), device=precision.device, channels_last=precision.channels_last)
