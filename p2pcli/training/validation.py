"""Measuring generators on held-out data, as `translate` will run them, and the input as the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from p2pcli.conditions import as_picture, shown_input
from p2pcli.image import Image, as_gray8, as_rgb8, resize
from p2pcli.inference.modes import inference_mode
from p2pcli.metrics import METRICS, l1
from p2pcli.recipe import Inference, Recipe
from p2pcli.tasks import Batch
from p2pcli.tasks.networks import runnable
from p2pcli.tensors import stacked, to_batch, to_images
from p2pcli.training.augment import Square
from p2pcli.training.batches import squares_to_batch
from p2pcli.training.checkpoint import random_state, restore_random_state
from p2pcli.training.precision import Precision
from p2pcli.training.samples import CYCLE_COLUMNS, PAIR_COLUMNS, SampleRow

T = TypeVar("T")

LOWER_IS_BETTER = frozenset({"l1", "cycle"})
_IMAGES_AT_ONCE = 4


@dataclass(frozen=True)
class HeldOut:
    """The data that are measured and shown: keys and squares, loaded once."""

    keys: tuple[str, ...]
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Outcome:
    """What one validation found: its numbers, each the mean over images, and pictures for a sample grid."""

    metrics: dict[str, float]
    columns: tuple[str, ...]
    rows: list[SampleRow]


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """At most `count` of the items, evenly spaced."""
    if len(items) <= count:
        return tuple(items)
    return tuple(items[index * len(items) // count] for index in range(count))


def validate_pairs(
    generators: nn.ModuleDict, recipe: Recipe, held_out: HeldOut, *, precision: Precision, shown: int
) -> Outcome:
    """l1, psnr and ssim of the results; rows of input, output and target."""
    network = runnable(recipe, generators["generator"])
    results = translate_squares(network, held_out.squares, inference=recipe.inference, precision=precision)
    rows = [
        SampleRow(key, shown_input(square.input, square.data), to_images(result[None])[0], square.target)
        for key, square, result in spread(
            list(zip(held_out.keys, held_out.squares, results, strict=True)), shown
        )
    ]
    return Outcome(measure(results, held_out.squares), PAIR_COLUMNS, rows)


def validate_cycles(
    generators: nn.ModuleDict, recipe: Recipe, held_out: HeldOut, *, precision: Precision, shown: int
) -> Outcome:
    """ "cycle": the mean L1 of A → B → A and B → A → B; rows of input, output and what came back."""
    there, back = generators["AtoB"], generators["BtoA"]

    def run(batch: Batch) -> tuple[Tensor, ...]:
        b, a = there(batch.input), back(batch.target)
        return b, back(b), a, there(a)

    results = _run(generators, held_out.squares, run, inference=recipe.inference, precision=precision)
    total, rows = 0.0, []
    shown_ones = set(spread(range(len(held_out.keys)), shown))
    for index, (key, square) in enumerate(zip(held_out.keys, held_out.squares, strict=True)):
        b, returned_a, a, returned_b = results[index]
        batch = _on_cpu(square)
        total += float(l1(returned_a[None], batch.input)[0] + l1(returned_b[None], batch.target)[0]) / 2
        if index in shown_ones:
            rows.append(SampleRow(key, square.input, _image(b), _image(returned_a)))
            rows.append(SampleRow(key, square.target, _image(a), _image(returned_b)))
    return Outcome({"cycle": total / max(1, len(held_out.keys))}, CYCLE_COLUMNS, rows)


VALIDATIONS: dict[str, Callable[..., Outcome]] = {"paired": validate_pairs, "unpaired": validate_cycles}
"""Task → how its generators are measured: (generators, recipe, held out, precision=, shown=) → outcome."""


def translate_squares(
    network: nn.Module, squares: Sequence[Square], *, inference: Inference, precision: Precision
) -> list[Tensor]:
    """The pictures that the network makes, float32 (C, H, W) in [-1, 1] on the CPU, one for each square.

    With conditions they are completed as `translate` does it: by the source's lightness, around holes.
    """

    def run(batch: Batch) -> tuple[Tensor, ...]:
        return (network(batch.input),)

    results = _run(network, squares, run, inference=inference, precision=precision)
    return [_completed(result, square) for (result,), square in zip(results, squares, strict=True)]


def _completed(result: Tensor, square: Square) -> Tensor:
    if square.data.is_plain:
        return result
    return as_picture(result[None], stacked([square.input]), square.data)[0]


def measure(results: Sequence[Tensor], squares: Sequence[Square]) -> dict[str, float]:
    """l1, psnr and ssim, each the mean over pairs; every image counts the same.

    Results (C, H, W) are cut to [-1, 1], as `translate` cuts them.
    """
    sums = dict.fromkeys(METRICS, 0.0)
    for result, square in zip(results, squares, strict=True):
        target = to_batch([square.target], channels_last=False)
        for name, metric in METRICS.items():
            # Equal images have no noise; 100 dB stands for that, so that means stay finite.
            sums[name] += min(float(metric(result[None].clamp(-1, 1), target)[0]), 100.0)
    return {name: value / max(1, len(squares)) for name, value in sums.items()}


def measure_baseline(squares: Sequence[Square]) -> dict[str, float]:
    """The same numbers for the input as it is shown: what a network that does nothing would reach.

    A small input is brought to size by bicubic, the usual measure for super-resolution.
    """
    return measure([_baseline(square) for square in squares], squares)


def _baseline(square: Square) -> Tensor:
    channels = square.target.shape[2]
    if square.data.is_plain:
        plain = _on_cpu(square).input
        plain = plain.mean(1, keepdim=True) if channels == 1 else plain
        return plain.expand(-1, channels, -1, -1)[0]
    shown = shown_input(square.input, square.data)
    shown = as_gray8(shown) if channels == 1 else as_rgb8(shown)
    size = square.data.size
    return to_batch([resize(shown, size, size, kernel="bicubic")], channels_last=False)[0]


def is_better(value: float, best: float | None, *, metric: str) -> bool:
    """True where `value` beats `best`; anything beats None."""
    if best is None:
        return True
    return value < best if metric in LOWER_IS_BETTER else value > best


def metrics_text(metrics: Mapping[str, float]) -> str:
    """The numbers as "L1 0.123, PSNR 18.2 dB, SSIM 0.612", or "cycle L1 0.045"."""
    return ", ".join(_METRIC_WORDS[name].format(value) for name, value in metrics.items())


_METRIC_WORDS = {
    "l1": "L1 {:.3f}",
    "psnr": "PSNR {:.1f} dB",
    "ssim": "SSIM {:.3f}",
    "cycle": "cycle L1 {:.3f}",
}


def _run(
    networks: nn.Module,
    squares: Sequence[Square],
    run: Callable[[Batch], tuple[Tensor, ...]],
    *,
    inference: Inference,
    precision: Precision,
) -> list[tuple[Tensor, ...]]:
    """What `run` gives for each square, float32 on the CPU.

    torch's random generators are put back afterwards, so measuring changes nothing in the run.
    """
    before = random_state(precision.device)
    results: list[tuple[Tensor, ...]] = []
    try:
        with inference_mode(networks, statistics=inference.statistics, dropout=inference.dropout):
            for first in range(0, len(squares), _IMAGES_AT_ONCE):
                some = tuple(squares[first : first + _IMAGES_AT_ONCE])
                batch = squares_to_batch(some, device=precision.device, channels_last=precision.channels_last)
                with precision.autocast():
                    outputs = run(batch)
                results += zip(*(output.float().cpu() for output in outputs), strict=True)
    finally:
        restore_random_state(before, precision.device)
    return results


def _on_cpu(square: Square) -> Batch:
    return squares_to_batch((square,), device=torch.device("cpu"), channels_last=False)


def _image(tensor: Tensor) -> Image:
    image: Image = to_images(tensor[None])[0]
    return image
