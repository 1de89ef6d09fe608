"""The paired task: its terms, where gradients go, and how a recipe becomes one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from p2pcli.errors import RecipeError
from p2pcli.losses import OBJECTIVES
from p2pcli.losses.perceptual import HD_LAYERS, HD_WEIGHTS, SRGAN_LAYERS
from p2pcli.nets import PatchGAN, ResNet, UNet
from p2pcli.recipe import load_recipe, parse_recipe, shipped_recipes
from p2pcli.tasks import Batch, PairedTask, build_task
from p2pcli.tasks.paired import Made


def small_task(**options: Any) -> PairedTask:
    conditional = options.get("conditional", True)
    discriminator = PatchGAN(input_channels=6 if conditional else 3, channels=4, receptive_field=16)
    return PairedTask(
        ResNet(channels=4, blocks=1), discriminator, **{"weights": {"gan": 1, "l1": 100}, **options}
    )


def batch(size: int = 1) -> Batch:
    return Batch(torch.rand(size, 3, 32, 32) * 2 - 1, torch.rand(size, 3, 32, 32) * 2 - 1)


def touched(network: nn.Module) -> bool:
    return any(p.grad is not None for p in network.parameters())


def test_discriminator_losses_reach_the_discriminator_alone() -> None:
    task, pair = small_task(), batch()
    sum(task.discriminator_losses(pair, task.forward(pair)).values(), torch.zeros(())).backward()
    assert touched(task.discriminator)
    assert not touched(task.generator)


def test_generator_losses_reach_the_generator_alone() -> None:
    task, pair = small_task(), batch()
    sum(task.generator_losses(pair, task.forward(pair)).values(), torch.zeros(())).backward()
    assert touched(task.generator)
    assert not touched(task.discriminator)
    assert all(p.requires_grad for p in task.discriminator.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_terms_are_weighted_and_the_discriminators_halved(objective: str) -> None:
    task, pair = small_task(objective=objective, weights={"gan": 3, "l1": 10}), batch()
    task.discriminator.eval()
    fakes = task.forward(pair)
    losses = {**task.discriminator_losses(pair, fakes), **task.generator_losses(pair, fakes)}
    seen_fake = task.discriminator(torch.cat([pair.input, fakes.image], 1))
    seen_real = task.discriminator(torch.cat([pair.input, pair.target], 1))
    pieces = OBJECTIVES[objective]
    torch.testing.assert_close(losses["fake"], pieces.fake(seen_fake) / 2)
    torch.testing.assert_close(losses["real"], pieces.real(seen_real) / 2)
    torch.testing.assert_close(losses["gan"], pieces.generator(seen_fake) * 3)
    torch.testing.assert_close(losses["l1"], (fakes.image - pair.target).abs().mean() * 10)


def test_an_unconditional_discriminator_sees_the_target_alone() -> None:
    task, pair = small_task(conditional=False), batch()
    fakes = task.forward(pair)
    other = Batch(torch.zeros_like(pair.input), pair.target)
    task.discriminator.eval()
    assert torch.equal(
        task.discriminator_losses(pair, fakes)["real"], task.discriminator_losses(other, fakes)["real"]
    )


def test_without_a_gan_weight_nothing_asks_the_discriminator() -> None:
    task, pair = small_task(weights={"gan": 0, "l1": 100}), batch()
    fakes = task.forward(pair)
    assert task.discriminator_losses(pair, fakes) == {}
    assert set(task.generator_losses(pair, fakes)) == {"l1"}


def test_an_l1_weight_of_zero_leaves_the_term_out() -> None:
    task, pair = small_task(weights={"gan": 1, "l1": 0}), batch()
    assert set(task.generator_losses(pair, task.forward(pair))) == {"gan"}


def test_running_statistics_see_fake_real_fake() -> None:
    torch.manual_seed(0)
    task, pair = small_task(), batch()
    seen: list[torch.Tensor] = []
    task.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 3:].detach()))
    fakes = task.forward(pair)
    task.discriminator_losses(pair, fakes)
    task.generator_losses(pair, fakes)
    expected = [fakes.image.detach(), pair.target, fakes.image.detach()]
    assert [torch.equal(a, b) for a, b in zip(seen, expected, strict=True)] == [True] * 3


def test_total_variation_is_that_of_the_result() -> None:
    flat, rough = torch.zeros(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    losses = small_task(weights={"tv": 1}).generator_losses(Batch(rough, rough), Made(flat))
    assert float(losses["tv"]) == 0


def test_weights_begin_as_the_recipe_says() -> None:
    values = {"data": {"size": 32, "load_size": 32}, "generator": {"name": "resnet", "blocks": 1}}
    recipe = parse_recipe({**values, "train": {"init": "xavier", "init_gain": 0.5}}, where="test")
    weight = build_task(recipe).generator.get_submodule("model.10.conv_block.1").weight
    assert weight.detach().std() == pytest.approx(0.5 * (2 / (512 * 9)) ** 0.5, rel=0.02)


def test_loss_weights_that_are_unknown_or_all_zero_are_refused() -> None:
    for weights in ({"cycle": 1.0}, {"gan": 0.0, "l1": 0.0}):
        with pytest.raises(ValueError, match=r"loss weights are charbonnier, .*one of them above 0"):
            small_task(weights=weights)


def test_the_default_recipe_is_published_pix2pix() -> None:
    task = build_task(parse_recipe({}, where="test"))
    assert isinstance(task.generator, UNet)
    assert sum(p.numel() for p in task.generator.parameters()) == 54_413_955
    assert sum(p.numel() for p in task.discriminator.parameters()) == 2_768_705


def test_the_depth_follows_the_size() -> None:
    values = {"data": {"size": 64, "load_size": 72}, "generator": {"channels": 4}}
    task = build_task(parse_recipe(values, where="test"))
    assert task.generator.size_needs.multiple_of == 64


def test_one_channel_recipes_make_one_channel_networks() -> None:
    values = {
        "data": {"size": 32, "load_size": 32, "input_channels": 1},
        "generator": {"channels": 4},
        "discriminator": {"channels": 4, "receptive_field": 16},
    }
    task = build_task(parse_recipe(values, where="test"))
    pair = Batch(torch.zeros(2, 1, 32, 32), torch.zeros(2, 3, 32, 32))
    fakes = task.forward(pair)
    assert fakes.image.shape == (2, 3, 32, 32)
    assert set(task.generator_losses(pair, fakes)) == {"gan", "l1"}


def test_a_size_below_the_discriminators_need_is_an_error() -> None:
    values = {
        "data": {"size": 64, "load_size": 64},
        "generator": {"channels": 4},
        "discriminator": {"channels": 4, "receptive_field": 286},
    }
    with pytest.raises(RecipeError, match=r"data\.size 64 does not suit the discriminator") as error:
        build_task(parse_recipe(values, where="test"))
    assert "from 96 px on" in str(error.value)


def test_nothing_to_learn_is_an_error() -> None:
    with pytest.raises(RecipeError, match="every weight is 0"):
        build_task(parse_recipe({"losses": {"gan": 0.0, "l1": 0.0}}, where="test"))


def test_changing_the_discriminator_leaves_the_generators_weights() -> None:
    values: dict[str, Any] = {"data": {"size": 32, "load_size": 32}, "generator": {"channels": 4}}
    one, other = (
        build_task(
            parse_recipe({**values, "discriminator": {"channels": width, "receptive_field": 16}}, where="t")
        )
        for width in (4, 8)
    )
    weights = one.generator.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in other.generator.state_dict().items())


@pytest.mark.parametrize(
    ("layers", "asked", "expected"),
    [
        # L1 of maps twice as far apart as the pictures, which are 2 apart; [-1, 1] as it is.
        ("pix2pixhd", {"layers": HD_LAYERS, "imagenet_range": False}, 4 * sum(HD_WEIGHTS)),
        ("srgan", {"layers": SRGAN_LAYERS, "imagenet_range": True}, (4 / 12.75) ** 2),
    ],
)
def test_the_perceptual_term_is_the_published_one(
    monkeypatch: pytest.MonkeyPatch, layers: str, asked: dict[str, Any], expected: float
) -> None:
    seen: dict[str, Any] = {}

    def extractor(**options: Any) -> nn.Module:
        seen.update(options)
        return Doubled(len(options["layers"]))

    monkeypatch.setattr("p2pcli.tasks.load_vgg19", extractor)
    values = {
        "data": {"size": 32, "load_size": 32},
        "generator": {"name": "resnet", "channels": 4, "blocks": 1},
        "losses": {"gan": 0.0, "l1": 0.0, "perceptual": 1.0, "perceptual_layers": layers},
    }
    task = build_task(parse_recipe({**values, "discriminator": {"receptive_field": 16}}, where="test"))
    ones = torch.ones(1, 3, 32, 32)
    losses = task.generator_losses(Batch(ones, -ones), Made(ones))
    assert seen == {**asked, "weights": None}
    assert float(losses["perceptual"]) == pytest.approx(expected)


class Doubled(nn.Module):
    """So many maps, each twice the picture."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [2 * x] * self.count


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_becomes_a_task(name: str) -> None:
    recipe = load_recipe(name, ["generator.channels=4", "discriminator.channels=4"])
    task = build_task(recipe, extractor=nn.Identity())
    assert all(network.size_needs.multiple_of <= recipe.data.size for network in task.generators.values())
