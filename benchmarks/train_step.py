"""The pix2pix training step of p2p against the plain one, side by side: `python benchmarks/train_step.py`.

Plain is the published step as written: eager float32, default memory format, torch's default Adam. Both are
timed alternately, so that a busy machine slows both. Beside the ratio stands the share of the machine's own
ceiling: the best rate that any of the networks' own convolutions reaches alone, in bfloat16. Against torch's
convolutions one by one, without norms, losses and updates, the share may pass 1: deep layers avoid them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable

import torch
from step_timing import alternate, ceiling, convolutions_of, paired_ratio
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets import PatchGAN, UNet, init_weights
from p2pcli.tasks import Batch, PairedTask
from p2pcli.training.optimizer import make_adam
from p2pcli.training.precision import Precision
from p2pcli.training.step import Optimizers, training_step


def networks(channels: int) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = UNet(channels=channels), PatchGAN(channels=channels)
    init_weights(generator, seed=0)
    init_weights(discriminator, seed=1)
    return generator, discriminator


def plain_step(batch: Batch, *, channels: int) -> Callable[[], None]:
    generator, discriminator = networks(channels)
    optimizer_g, optimizer_d = (
        torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (generator, discriminator)
    )

    def judged(images: Tensor, real: float) -> Tensor:
        logits = discriminator(torch.cat([batch.input, images], 1))
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    def step() -> None:
        fakes = generator(batch.input)
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
        optimizer_d.zero_grad()
        ((judged(fakes.detach(), 0.0) + judged(batch.target, 1.0)) * 0.5).backward()
        optimizer_d.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(False)
        optimizer_g.zero_grad()
        (judged(fakes, 1.0) + F.l1_loss(fakes, batch.target) * 100.0).backward()
        optimizer_g.step()

    return step


def our_step(batch: Batch, *, channels: int, precision: Precision) -> Callable[[], None]:
    generator, discriminator = (precision.place(network) for network in networks(channels))
    task = PairedTask(generator, discriminator, weights={"gan": 1.0, "l1": 100.0})
    optimizers = Optimizers(*(make_adam(n, dtype=precision.dtype) for n in (generator, discriminator)))
    placed = Batch(precision.image(batch.input), precision.image(batch.target))

    def step() -> None:
        training_step(task, placed, optimizers, precision)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, default=64)
    options = parser.parse_args()
    precision = Precision("cpu")
    torch.manual_seed(0)
    for batch_size in options.batch:
        shape = (batch_size, 3, options.size, options.size)
        batch = Batch(torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1)
        steps = {
            "plain": plain_step(batch, channels=options.channels),
            "p2p": our_step(batch, channels=options.channels, precision=precision),
        }
        for step in steps.values():
            step()
        seconds = alternate(steps, rounds=options.rounds)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        work, best, own = ceiling(convolutions_of(steps["plain"]))
        rate = work / medians["p2p"]
        row = {
            "batch": batch_size,
            "precision": precision.name,
            "plain_seconds": round(medians["plain"], 4),
            "p2p_seconds": round(medians["p2p"], 4),
            "ratio_of_medians": round(medians["plain"] / medians["p2p"], 2),
            "median_of_paired_ratios": round(paired_ratio(seconds["plain"], seconds["p2p"]), 2),
            "gflop_per_step": round(work, 1),
            "gflops_reached": round(rate),
            "share_of_best_layer": round(rate / best, 2),
            "share_of_torch_convolutions_alone": round(rate / own, 2),
            "threads": torch.get_num_threads(),
            "load_average": round(os.getloadavg()[0], 1),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
