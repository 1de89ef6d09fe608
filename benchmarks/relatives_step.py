"""The steps of pix2pix's relatives against plain ones: `python benchmarks/relatives_step.py cyclegan spade`.

Plain is the published step as written (`plain_steps.py`, `plain_networks.py`): its order of operations, eager
float32, default memory format, torch's own layers and Adam. Against it are timed, in turn, p2p's step as it
ships, and p2p's step at plain's own settings, float32 in the default memory format, where only the order of
operations and the layers' code differ. All start from the same weights; their first losses are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plain_networks as plain
import plain_steps
import torch
from step_timing import alternate, ceiling, convolutions_of, paired_ratio
from torch import Tensor, nn

from p2pcli.losses.perceptual import HD_LAYERS, SRGAN_LAYERS
from p2pcli.nets.vgg import VGG19Features
from p2pcli.recipe import Recipe, load_recipe
from p2pcli.tasks import Batch, networks_of
from p2pcli.training.state import TrainState, new_state
from p2pcli.training.step import training_step

HD_INDICES, SRGAN_INDICES = (1, 6, 11, 20, 29), (35,)


@dataclass(frozen=True)
class Relative:
    """A shipped recipe at a size that a CPU trains, and its plain form."""

    recipe: str
    overrides: tuple[str, ...]
    networks: Callable[[Recipe], list[nn.Module]]
    """Plain networks: generators, discriminators, VGG19."""
    step: Callable[[Batch, Sequence[nn.Module]], plain_steps.Step]
    vgg_layers: tuple[str, ...] = ()


def pix2pixhd(recipe: Recipe) -> list[nn.Module]:
    planes, g = recipe.data.input_planes, recipe.generator
    generator = plain.ResNetGenerator(
        planes, channels=g.channels, downsamplings=g.downsamplings, blocks=g.blocks
    )
    judge = plain.HDDiscriminator(planes + 3, channels=recipe.discriminator.channels)
    return [generator, judge, plain.VGG19(HD_INDICES)]


def cyclegan(recipe: Recipe) -> list[nn.Module]:
    channels, blocks = recipe.generator.channels, recipe.generator.blocks
    generators = [
        plain.ResNetGenerator(3, channels=channels, downsamplings=2, blocks=blocks) for _ in range(2)
    ]
    judges = [plain.PatchDiscriminator(3, channels=recipe.discriminator.channels) for _ in range(2)]
    return [*generators, *judges]


def spade(recipe: Recipe) -> list[nn.Module]:
    planes = recipe.data.input_planes
    generator = plain.SPADEGenerator(planes, channels=recipe.generator.channels)
    judge = plain.SPADEDiscriminator(planes + 3, channels=recipe.discriminator.channels)
    return [generator, judge, plain.VGG19(HD_INDICES)]


def srresnet(recipe: Recipe) -> list[nn.Module]:
    return [plain.SRResNet(channels=recipe.generator.channels, blocks=recipe.generator.blocks)]


def srgan(recipe: Recipe) -> list[nn.Module]:
    judge = plain.SRGANDiscriminator(channels=recipe.discriminator.channels)
    return [*srresnet(recipe), judge, plain.VGG19(SRGAN_INDICES)]


def inpainting(recipe: Recipe) -> list[nn.Module]:
    planes, g = recipe.data.input_planes, recipe.generator
    judge = plain.GlobalPatchDiscriminator(3, channels=recipe.discriminator.channels)
    return [plain.InpaintingGenerator(planes, channels=g.channels, blocks=g.blocks), judge]


RELATIVES = {
    "pix2pixhd": Relative(
        "pix2pixhd-512",
        ("data.size=128", "generator.channels=32"),
        pix2pixhd,
        plain_steps.pix2pixhd,
        HD_LAYERS,
    ),
    "cyclegan": Relative("cyclegan", ("data.size=128", "generator.blocks=6"), cyclegan, plain_steps.cyclegan),
    "spade": Relative(
        "spade",
        ("data.size=128", "generator.channels=32", "train.batch_size=1"),
        spade,
        plain_steps.spade,
        HD_LAYERS,
    ),
    "srresnet": Relative("srresnet", ("train.batch_size=8",), srresnet, plain_steps.srresnet),
    "srgan": Relative("srgan", ("train.batch_size=4",), srgan, plain_steps.srgan, SRGAN_LAYERS),
    "inpainting": Relative(
        "inpainting", ("data.size=128", "train.batch_size=1"), inpainting, plain_steps.inpainting
    ),
}


def batch_for(recipe: Recipe) -> Batch:
    """Noise; where the input is a label map, one plane is 1 in each 16 px square, and there are no edges."""
    draw, data, count = torch.Generator().manual_seed(0), recipe.data, recipe.train.batch_size
    shape = (count, data.input_planes, data.input_size, data.input_size)
    condition = torch.rand(shape, generator=draw) * 2 - 1
    if data.labels is not None:
        cells = (count, data.size // 16, data.size // 16)
        ids = (
            torch.randint(data.labels, cells, generator=draw)
            .repeat_interleave(16, 1)
            .repeat_interleave(16, 2)
        )
        condition = torch.zeros(shape).scatter_(1, ids[:, None], 1.0)
    target = torch.rand(count, data.target_planes, data.size, data.size, generator=draw) * 2 - 1
    return Batch(condition, target)


def our_run(relative: Relative, extra: Sequence[str]) -> TrainState:
    """The run of the recipe; VGG19, where it is weighed, from the seed."""
    recipe = load_recipe(relative.recipe, [*relative.overrides, "losses.perceptual=0", *extra])
    run = new_state(recipe, torch.device("cpu"))
    if relative.vgg_layers:
        run.task.weights["perceptual"] = load_recipe(relative.recipe).losses.perceptual
        run.task.extractor = run.precision.place_fixed(extractor_for(relative.vgg_layers))
    return run


def extractor_for(layers: tuple[str, ...]) -> VGG19Features:
    torch.manual_seed(1)
    extractor = VGG19Features(layers=layers, imagenet_range=layers == SRGAN_LAYERS).eval()
    for module in extractor.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return extractor


def our_step(run: TrainState, batch: Batch) -> plain_steps.Step:
    placed = Batch(run.precision.image(batch.input), run.precision.image(batch.target))

    def step() -> dict[str, Tensor]:
        losses = training_step(run.task, placed, run.optimizers, run.precision)
        sides: dict[str, list[Tensor]] = {"generator": [], "discriminator": []}
        for name, loss in losses.items():
            sides["discriminator" if name.startswith(("fake", "real")) else "generator"].append(loss)
        return {side: torch.stack(terms).sum() for side, terms in sides.items() if terms}

    return step


def plain_step(relative: Relative, run: TrainState, batch: Batch) -> plain_steps.Step:
    """The plain step, its networks with the weights that those of `run` have now."""
    networks = relative.networks(run.recipe)
    used = networks_of(run.task)
    ours = [*(used if len(networks) > 1 else run.task.generators).values(), *run.task.fixed.values()]
    for network, own in zip(networks, ours, strict=True):
        network.load_state_dict(own.state_dict())
    return relative.step(batch, networks)


def steps_of(relative: Relative, overrides: Sequence[str]) -> tuple[Recipe, dict[str, plain_steps.Step]]:
    """The three steps, all from the same weights on the same batch."""
    run = our_run(relative, overrides)
    equal = our_run(relative, [*overrides, "train.precision=float32", "train.channels_last=false"])
    batch = batch_for(run.recipe)
    steps = {
        "plain": plain_step(relative, equal, batch),
        "p2p": our_step(run, batch),
        "p2p_at_plain_settings": our_step(equal, batch),
    }
    return run.recipe, steps


def furthest(losses: dict[str, dict[str, Tensor]], name: str) -> float:
    """How far the first losses of step `name` are from plain's, relative."""
    pairs = ((float(losses[name][side]), float(value)) for side, value in losses["plain"].items())
    return max(abs(own - value) / abs(value) for own, value in pairs)


def measure(name: str, *, rounds: int, overrides: Sequence[str]) -> dict[str, object]:
    recipe, steps = steps_of(RELATIVES[name], overrides)
    first = {name: step() for name, step in steps.items()}
    seconds = alternate(steps, rounds=rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    work, best, own = ceiling(convolutions_of(steps["p2p_at_plain_settings"]))
    rate = work / medians["p2p"]
    return {
        "relative": name,
        "size_px": recipe.data.size,
        "channels": recipe.generator.channels,
        "batch": recipe.train.batch_size,
        **{f"{name}_seconds": round(median, 3) for name, median in medians.items()},
        "ratio": round(paired_ratio(seconds["plain"], seconds["p2p"]), 2),
        "ratio_at_plain_settings": round(paired_ratio(seconds["plain"], seconds["p2p_at_plain_settings"]), 2),
        "gflop_per_step": round(work, 1),
        "gflops_reached": round(rate),
        "share_of_best_convolution": round(rate / best, 2),
        "share_of_torch_convolutions_alone": round(rate / own, 2),
        "first_losses_apart": {n: float(f"{furthest(first, n):.1g}") for n in steps if n != "plain"},
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("relatives", nargs="*", default=[], help=f"{', '.join(RELATIVES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", help="recipe keys, as p2p train"
    )
    options = parser.parse_args()
    for name in options.relatives or RELATIVES:
        print(json.dumps(measure(name, rounds=options.rounds, overrides=options.overrides)), flush=True)


if __name__ == "__main__":
    main()
