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
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets import PatchGAN, UNet, init_weights
from p2pcli.tasks import Batch, PairedTask
from p2pcli.training.optimizer import make_adam
from p2pcli.training.precision import Precision
from p2pcli.training.step import Optimizers, training_step


@dataclass(frozen=True)
class Layer:
    """One convolution of the step: its shapes and how often it runs forward and backward."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: int
    is_transposed: bool
    gflop: float
    """Forward only."""


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
    optimizers = Optimizers(make_adam(generator), make_adam(discriminator))
    placed = Batch(precision.image(batch.input), precision.image(batch.target))

    def step() -> None:
        training_step(task, placed, optimizers, precision)

    return step


def layers_of(network: nn.Module, x: Tensor) -> list[Layer]:
    found = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        transposed = isinstance(module, nn.ConvTranspose2d)
        positions = (inputs[0] if transposed else output).shape[2:].numel() * output.shape[0]
        gflop = 2 * positions * module.weight.numel() / 1e9
        shape = tuple(inputs[0].shape)
        found.append(Layer(shape, tuple(module.weight.shape), module.stride[0], transposed, gflop))

    handles = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return found


def bf16_seconds(layer: Layer, *, repeats: int = 5) -> tuple[float, float]:
    """Best seconds of one forward and one whole backward of `layer` alone, bfloat16, channels last."""
    layout = torch.channels_last
    x = torch.randn(layer.x, dtype=torch.bfloat16).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(layer.weight, dtype=torch.bfloat16).contiguous(memory_format=layout)
    weight.requires_grad_()
    convolve = F.conv_transpose2d if layer.is_transposed else F.conv2d
    forward, backward = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        y = convolve(x, weight, stride=layer.stride, padding=1)
        middle = time.perf_counter()
        torch.autograd.grad(y, (x, weight), torch.ones_like(y))
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    return min(forward[1:]), min(backward[1:])


def ceiling(batch_size: int, *, channels: int, size: int) -> tuple[float, float, float]:
    """GFLOP of one step; GFLOP/s of its best layer; GFLOP/s over all its layers, each at its own best."""
    generator, discriminator = networks(channels)
    rows = [(layer, 1, 2) for layer in layers_of(generator, torch.zeros(batch_size, 3, size, size))]
    # D runs forward three times, twice with a whole backward and once with the input's half of one.
    rows += [(layer, 3, 5) for layer in layers_of(discriminator, torch.zeros(batch_size, 6, size, size))]
    work = seconds = best = 0.0
    for layer, forwards, backward_halves in rows:
        forward, backward = bf16_seconds(layer)
        work += layer.gflop * (forwards + backward_halves)
        seconds += forward * forwards + backward * backward_halves / 2
        best = max(best, layer.gflop / forward, 2 * layer.gflop / backward)
    return work, best, work / seconds


def alternate(steps: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return seconds


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
        seconds = alternate(steps, rounds=options.rounds)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        ratios = [a / b for a, b in zip(seconds["plain"], seconds["p2p"], strict=True)]
        work, best, own = ceiling(batch_size, channels=options.channels, size=options.size)
        rate = work / medians["p2p"]
        row = {
            "batch": batch_size,
            "precision": precision.name,
            "plain_seconds": round(medians["plain"], 4),
            "p2p_seconds": round(medians["p2p"], 4),
            "ratio_of_medians": round(medians["plain"] / medians["p2p"], 2),
            "median_of_paired_ratios": round(statistics.median(ratios), 2),
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
