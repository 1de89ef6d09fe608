"""The whole training loop against its own bare step: what data, logging and progress cost.

    python benchmarks/train_loop.py [--steps 40] [--set train.batch_size=4] [--rounds 3]

`train` runs for two epochs on photos made here, with edges drawn on the fly; its rate is read off its
progress events, so that the last validation and checkpoint, which a short run cannot spread, stay outside. In
the first epoch every photo is decoded; in all others its pixels are there, and only edges are drawn. The
bare step runs the same task on one batch that is already there, before and after.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from p2pcli import train
from p2pcli.events import TrainProgress
from p2pcli.recipe import Recipe, load_recipe
from p2pcli.tasks import Batch
from p2pcli.training.state import new_state
from p2pcli.training.step import training_step


def make_photos(folder: Path, *, count: int) -> None:
    """JPEGs of 640×480 with edges to find."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        (folder / f"{number:04d}.jpg").write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def bare_rate(recipe: Recipe, *, steps: int) -> float:
    """Steps per second of the training step alone."""
    run = new_state(recipe, torch.device("cpu"))
    size, batch_size = recipe.data.size, recipe.train.batch_size
    layout = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    images = [torch.rand(batch_size, 3, size, size).mul(2).sub(1).to(memory_format=layout) for _ in range(2)]
    batch = Batch(*images)
    training_step(run.task, batch, run.optimizers, run.precision)
    started = time.perf_counter()
    for _ in range(steps):
        training_step(run.task, batch, run.optimizers, run.precision)
    return steps / (time.perf_counter() - started)


def loop_rates(photos: Path, output: Path, overrides: list[str]) -> tuple[float, float]:
    """Steps per second of the whole loop: in the first epoch, and in the second, whose photos are kept.

    Each from the epoch's second progress event to its last but one, so that checkpoints stay outside.
    """
    seen: dict[int, list[tuple[int, float]]] = {1: [], 2: []}

    def observe(event: object) -> None:
        if isinstance(event, TrainProgress):
            seen[event.epoch].append((event.step, time.perf_counter()))

    train(photos, recipe="pix2pix", output=output, overrides=overrides, device="cpu", observe=observe)
    rates = []
    for events in seen.values():
        (first, began), (last, ended) = events[1], events[-2]
        rates.append((last - first) / (ended - began))
    return rates[0], rates[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    overrides = [
        "pairs.maker=edges",
        "train.epochs=1",
        "train.decay_epochs=1",
        "train.validate_every=2",
        "train.validation_images=1",
        *options.overrides,
    ]
    recipe = load_recipe("pix2pix", overrides)
    with tempfile.TemporaryDirectory(prefix="bench-loop-") as name:
        photos = Path(name, "photos")
        photos.mkdir()
        make_photos(photos, count=options.steps * recipe.train.batch_size)
        bare, whole = [], []
        for number in range(options.rounds):
            bare.append(bare_rate(recipe, steps=options.steps // 2))
            whole.append(loop_rates(photos, Path(name, f"run{number}"), overrides))
            bare.append(bare_rate(recipe, steps=options.steps // 2))
    step = statistics.median(bare)
    first, later = (statistics.median(rates) for rates in zip(*whole, strict=True))
    print(f"pix2pix, {recipe.data.size} px, batch {recipe.train.batch_size}, edges drawn on the fly")
    print(f"  bare step      {step:6.2f} steps/s")
    print(f"  first epoch    {first:6.2f} steps/s, ratio {first / step:.2f}  (every photo is decoded)")
    print(f"  later epochs   {later:6.2f} steps/s, ratio {later / step:.2f}  (aim: at least 0.95)")


if __name__ == "__main__":
    main()
