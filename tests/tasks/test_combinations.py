"""Every published combination of networks and losses trains in the one step: all weights move."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.losses import RECONSTRUCTIONS
from p2pcli.recipe import (
    DISCRIMINATOR_SECTIONS,
    ENCODER_SECTIONS,
    GENERATOR_SECTIONS,
    Losses,
    Recipe,
    parse_recipe,
)
from p2pcli.tasks import Batch, Task, build_task, networks_of
from p2pcli.training.precision import Precision
from p2pcli.training.state import make_optimizers
from p2pcli.training.step import training_step

SIZE = 32
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": 4},
    "resnet": {"channels": 4, "blocks": 1},
    "pix2pixhd_global": {"channels": 4, "downsamplings": 2, "blocks": 1},
    "pix2pixhd_local": {"channels": 4, "downsamplings": 2, "blocks": 1, "local_blocks": 1},
    "spade": {"channels": 2, "hidden": 4},
    "srresnet": {"channels": 4, "blocks": 1, "scale": 2},
    "inpainting": {"channels": 4, "blocks": 1},
    "patchgan": {"channels": 4, "receptive_field": 16},
    "image": {"channels": 4, "layers": 3},
    "multiscale": {"channels": 4, "layers": 1},
    "spade_multiscale": {"channels": 4, "layers": 2},
    "srgan": {"channels": 4},
    "global_patch": {"channels": 4, "layers": 2},
    "progressive": {"channels": 4, "depth": 2, "growths": 0},
    "progressive_patch": {"channels": 4, "layers": 2, "growths": 0},
    "pix2pixhd_features": {"channels": 2, "downsamplings": 1},
    "spade_style": {"channels": 2},
}
"""Network → settings that make it quick."""


def case(name: str, generator: str, discriminator: str, losses: dict[str, Any], /, **more: Any) -> Any:
    """One row: other sections in `more`, {"generator": {...}} added to what makes the network small."""
    values: dict[str, Any] = {**more, "losses": losses}
    values["generator"] = {"name": generator, **SMALL[generator], **more.get("generator", {})}
    values["discriminator"] = {"name": discriminator, **SMALL[discriminator], **more.get("discriminator", {})}
    if "encoder" in more:
        values["encoder"] = {**SMALL[more["encoder"]["name"]], **more["encoder"]}
    return pytest.param(values, id=name)


HD = {"gan": 1.0, "l1": 0.0, "feature_matching": 10.0, "perceptual": 10.0}
CYCLE = {"gan": 1.0, "cycle": 10.0, "identity": 5.0}
COMBINATIONS = [
    case("pix2pix", "unet", "patchgan", {"gan": 1.0, "l1": 100.0}),
    case("l1 alone", "unet", "patchgan", {"gan": 0.0, "l1": 100.0}),
    case("unconditional", "unet", "patchgan", {}, discriminator={"conditional": False}),
    case("pixel", "unet", "patchgan", {}, discriminator={"receptive_field": 1}),
    case("image", "unet", "image", {}),
    case("progressive", "progressive", "progressive_patch", {}),
    case("encoder-decoder", "unet", "patchgan", {}, generator={"skips": False}),
    case("pix2pixHD", "pix2pixhd_global", "multiscale", HD),
    case("pix2pixHD 1024", "pix2pixhd_local", "multiscale", HD, discriminator={"scales": 3}),
    case("pix2pixHD without maps", "pix2pixhd_global", "multiscale", {}, discriminator={"features": False}),
    case(
        "pix2pixHD features",
        "pix2pixhd_global",
        "multiscale",
        HD,
        encoder={"name": "pix2pixhd_features"},
        data={"instances": "inst"},
    ),
    case("SPADE", "spade", "spade_multiscale", HD),
    case("SPADE VAE", "spade", "spade_multiscale", {**HD, "kld": 0.05}, encoder={"name": "spade_style"}),
    case("SRResNet", "srresnet", "srgan", {"gan": 0.0, "l1": 0.0, "l2": 1.0}),
    case(
        "SRGAN",
        "srresnet",
        "srgan",
        {"gan": 1e-3, "l1": 0.0, "perceptual": 1.0, "perceptual_layers": "srgan"},
    ),
    case("inpainting", "inpainting", "global_patch", {"gan": 0.0025, "l1": 0.995}),
    case("restoration", "resnet", "patchgan", {"l1": 0.0, "charbonnier": 9.0, "ssim": 1.0, "tv": 0.1}),
    case(
        "frequencies", "resnet", "patchgan", {"focal_frequency": 1.0}, discriminator={"spectral_norm": True}
    ),
    case("hinge and R1", "resnet", "patchgan", {"r1": 10.0}, discriminator={"objective": "hinge"}),
    case(
        "WGAN-GP",
        "resnet",
        "patchgan",
        {"gradient_penalty": 10.0},
        discriminator={"objective": "wgan", "norm": "instance"},
    ),
    case("HD with R1", "pix2pixhd_global", "multiscale", {**HD, "r1": 1.0}),
    case("CycleGAN", "resnet", "patchgan", CYCLE, task="unpaired"),
    case("CycleGAN with R1", "resnet", "patchgan", {**CYCLE, "r1": 1.0, "tv": 0.1}, task="unpaired"),
    case("CycleGAN at two scales", "unet", "multiscale", CYCLE, task="unpaired"),
]


HALF_PRECISION = {
    "pix2pixHD features",
    "SPADE VAE",
    "SRGAN",
    "restoration",
    "WGAN-GP",
    "HD with R1",
    "CycleGAN",
}
"""Rows that hold every way in which a step could mix number formats."""


def recipe_of(values: dict[str, Any]) -> Recipe:
    size = 64 if values["generator"]["name"] == "spade" else SIZE
    scale = values["generator"].get("scale", 1)
    data = {"size": size, "load_size": size, "scale": scale, **values.get("data", {})}
    return parse_recipe({**values, "data": data}, where="test")


def batch_of(recipe: Recipe, *, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    data = recipe.data
    shapes = ((data.input_planes, data.input_size), (data.target_planes, data.size))
    pictures = [torch.rand(2, planes, side, side, generator=draw) * 2 - 1 for planes, side in shapes]
    ids = torch.arange(4).repeat_interleave(data.size // 4).expand(2, 1, data.size, data.size).contiguous()
    return Batch(*pictures, ids)


def terms_of(recipe: Recipe) -> set[str]:
    """The names that a step's losses should have."""
    weighed = {name for name, weight in recipe.losses.weights().items() if weight}
    terms = weighed | ({"fake", "real"} if "gan" in weighed else set())
    if recipe.task == "paired":
        return terms
    cycles = {"cycle_a", "cycle_b"} & {f"{name}_a" for name in weighed} | {"cycle_b"} & weighed
    return cycles | {f"{name}_{way}" for name in terms - {"cycle", "cycle_b"} for way in "ab"}


class Extractor(nn.Module):
    """Five maps of an image, in place of VGG19's."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(5))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.stack:
            x = layer(x).relu()
            maps.append(x)
        return maps


class DeepExtractor(Extractor):
    """The last map alone, as SRGAN has it."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return super().forward(x)[-1:]


def make(values: dict[str, Any]) -> tuple[Recipe, Task[Any]]:
    torch.manual_seed(1)
    recipe = recipe_of(values)
    is_srgan = recipe.losses.perceptual_layers == "srgan"
    return recipe, build_task(recipe, extractor=DeepExtractor() if is_srgan else Extractor())


@pytest.mark.parametrize("values", COMBINATIONS)
def test_two_steps_move_every_weight_that_learns_by_the_terms_of_the_recipe(values: dict[str, Any]) -> None:
    recipe, task = make(values)
    precision = Precision("cpu", name="float32")
    optimizers = make_optimizers(task, recipe, precision)
    for network in networks_of(task).values():
        network.train()
    before = {name: copy.deepcopy(network.state_dict()) for name, network in networks_of(task).items()}
    for seed in range(2):
        losses = training_step(task, batch_of(recipe, seed=seed), optimizers, precision)
        assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert set(losses) == terms_of(recipe)
    has_gan = recipe.losses.gan > 0
    for name, network in networks_of(task).items():
        learns = name in task.generators or has_gan
        for key, parameter in network.named_parameters():
            if parameter.numel() == 1 and recipe.discriminator.objective in ("hinge", "wgan"):
                # What is added to all logits cancels out between real and fake.
                continue
            assert torch.equal(before[name][key], parameter) == (not learns), f"{name}: {key}"


@pytest.mark.parametrize("values", [row for row in COMBINATIONS if row.id in HALF_PRECISION])
def test_a_step_in_bfloat16_is_finite(values: dict[str, Any]) -> None:
    recipe, task = make(values)
    precision = Precision("cpu", name="bfloat16")
    optimizers = make_optimizers(task, recipe, precision)
    losses = training_step(task, batch_of(recipe), optimizers, precision)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())


@pytest.mark.parametrize("term", sorted(RECONSTRUCTIONS))
def test_every_reconstruction_term_alone_falls_to_half_on_one_batch(term: str) -> None:
    values = {
        "generator": {"name": "resnet", "channels": 8, "blocks": 1},
        "discriminator": {"channels": 4, "receptive_field": 16},
        "losses": {"gan": 0.0, "l1": 0.0, term: 1.0},
        "train": {"learning_rate": 1e-2},
    }
    recipe, task = make(values)
    precision = Precision("cpu", name="float32")
    optimizers, batch = make_optimizers(task, recipe, precision), batch_of(recipe)
    # A target that so small a network can reach.
    batch = batch._replace(target=torch.full_like(batch.target, 0.5))
    found = [float(training_step(task, batch, optimizers, precision)[term]) for _ in range(40)]
    assert found[-1] < found[0] / 2


def test_the_table_has_every_network_and_every_term() -> None:
    recipes = [recipe_of(parameter.values[0]) for parameter in COMBINATIONS]
    assert {recipe.generator.name for recipe in recipes} == set(GENERATOR_SECTIONS)
    assert {recipe.discriminator.name for recipe in recipes} == set(DISCRIMINATOR_SECTIONS)
    assert {recipe.encoder.name for recipe in recipes if recipe.encoder} == set(ENCODER_SECTIONS)
    terms = {name for recipe in recipes for name, weight in recipe.losses.weights().items() if weight}
    assert terms == set(Losses().weights())


@pytest.mark.parametrize("values", COMBINATIONS)
def test_all_that_a_run_begins_with_depends_on_its_seed_alone(values: dict[str, Any]) -> None:
    states = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        task = build_task(recipe_of(values), extractor=Extractor())
        states.append({name: network.state_dict() for name, network in networks_of(task).items()})
    for name, state in states[0].items():
        assert [key for key, value in state.items() if not torch.equal(value, states[1][name][key])] == []
