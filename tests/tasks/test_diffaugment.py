"""DiffAugment in both tasks: what D sees changes, alike for real and fake; what L1 sees does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.recipe import parse_recipe
from p2pcli.tasks import Batch, build_task


class Recorder(nn.Module):
    """A discriminator that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x.mean(dim=(1, 2, 3), keepdim=True)


def made(task_name: str, policies: list[str]) -> tuple[Any, Batch]:
    generator = {"name": "resnet", "blocks": 1, "channels": 4}
    values = {
        "task": task_name,
        "data": {"size": 32, "load_size": None},
        "generator": generator,
        "discriminator": {"channels": 4, "receptive_field": 16},
        "train": {"diffaugment": policies},
    }
    task = build_task(parse_recipe(values, where="recipe"))
    draw = torch.Generator().manual_seed(1)
    return task, Batch(*(torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1 for _ in range(2)))


def shown(policies: list[str]) -> tuple[Tensor, Tensor, Batch, Tensor]:
    """What a paired D sees of fake and real, the batch, and the fake itself."""
    task, batch = made("paired", policies)
    task.discriminator = recorder = Recorder()
    torch.manual_seed(3)
    fakes = task.forward(batch)
    task.discriminator_losses(batch, fakes)
    fake, real = recorder.seen
    return fake, real, batch, fakes.image.detach()


def test_without_policies_the_discriminator_sees_images_as_they_are() -> None:
    fake, real, batch, image = shown([])
    assert torch.equal(fake, torch.cat([batch.input, image], 1))
    assert torch.equal(real, torch.cat([batch.input, batch.target], 1))


def test_real_and_fake_are_cut_out_at_one_place_in_input_and_target() -> None:
    fake, real, _, _ = shown(["cutout"])
    holes = (fake == 0).all(1)
    assert 0 < int(holes.sum()) < holes.numel()
    assert torch.equal(holes, (real == 0).all(1))
    assert torch.equal(holes, (fake[:, :3] == 0).all(1))


@pytest.mark.parametrize("task_name", ["paired", "unpaired"])
def test_gradients_reach_the_generator_through_the_augmentation(task_name: str) -> None:
    task, batch = made(task_name, ["color", "translation", "cutout"])
    losses = task.generator_losses(batch, task.forward(batch))
    sum(loss for name, loss in losses.items() if name.startswith("gan")).backward()
    grads = [p.grad for network in task.generators.values() for p in network.parameters()]
    assert all(grad is not None and bool(torch.isfinite(grad).all()) for grad in grads)


def test_reconstruction_terms_see_the_images_as_they_are() -> None:
    found = []
    for policies in ([], ["color", "translation", "cutout"]):
        task, batch = made("paired", policies)
        found.append(float(task.generator_losses(batch, task.forward(batch))["l1"].detach()))
    assert found[0] == found[1]


def test_the_same_generator_state_draws_the_same_augmentation() -> None:
    assert torch.equal(shown(["color", "translation"])[0], shown(["color", "translation"])[0])


@pytest.mark.parametrize(
    "data", [{"labels": 3}, {"classes": ["a", "b"]}, {"mask": True}, {"instances": "inst"}]
)
def test_planes_that_are_no_colours_keep_their_values(data: dict[str, Any]) -> None:
    values = {
        "data": {"size": 32, "load_size": None, **data},
        "generator": {"name": "resnet", "blocks": 1, "channels": 4},
        "train": {"diffaugment": ["color"]},
    }
    task: Any = build_task(parse_recipe(values, where="recipe"))
    planes = task.generator.model[1].weight.shape[1]
    batch = Batch(torch.ones(2, planes, 32, 32), torch.rand(2, 3, 32, 32))
    task.discriminator = recorder = Recorder()
    task.discriminator_losses(batch, task.forward(batch))
    assert torch.equal(recorder.seen[0][:, :planes], batch.input)
    assert not torch.equal(recorder.seen[1][:, planes:], batch.target)
