"""One training step: what it changes, in which order, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from p2pcli.nets import PatchGAN, ResNet, UNet, init_weights
from p2pcli.tasks.paired import Batch, PairedTask
from p2pcli.training.loss_watch import LossNotFiniteError
from p2pcli.training.optimizer import make_adam
from p2pcli.training.precision import Precision
from p2pcli.training.step import Optimizers, training_step


def setting(precision: Precision, **weights: float) -> tuple[PairedTask, Batch, Optimizers]:
    generator, discriminator = ResNet(channels=4, blocks=1), PatchGAN(channels=4, receptive_field=16)
    for network in (generator, discriminator):
        init_weights(precision.place(network), seed=3)
    draw = torch.Generator().manual_seed(5)
    images = [precision.image(torch.rand(2, 3, 32, 32, generator=draw) * 2 - 1) for _ in range(2)]
    task = PairedTask(generator, discriminator, weights=weights or {"gan": 1, "l1": 100})
    return task, Batch(*images), Optimizers(make_adam(generator), make_adam(discriminator))


def weights_of(task: PairedTask) -> dict[str, torch.Tensor]:
    networks = {"g": task.generator, "d": task.discriminator}
    return {f"{n}.{k}": v.clone() for n, m in networks.items() for k, v in m.state_dict().items()}


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_step_changes_every_weight_of_both_networks(name: Any) -> None:
    precision = Precision("cpu", name=name)
    task, batch, optimizers = setting(precision)
    before = weights_of(task)
    losses = training_step(task, batch, optimizers, precision)
    after = weights_of(task)
    assert set(losses) == {"fake", "real", "gan", "l1"}
    assert not any(loss.requires_grad for loss in losses.values())
    assert [key for key in before if torch.equal(before[key], after[key])] == []


def test_steps_in_float32_repeat_bit_for_bit() -> None:
    ends = []
    for _ in range(2):
        precision = Precision("cpu", name="float32")
        task, batch, optimizers = setting(precision)
        for _ in range(3):
            training_step(task, batch, optimizers, precision)
        ends.append(weights_of(task))
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def published_steps(
    generator: torch.nn.Module, discriminator: torch.nn.Module, batch: Batch, *, steps: int
) -> None:
    """pix2pix as it was published, with torch's own Adam (1611.07004, section 3.3)."""
    adam_g, adam_d = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    )

    def judged(images: torch.Tensor, real: float) -> torch.Tensor:
        logits = discriminator(torch.cat([batch.input, images], 1))
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))

    for _ in range(steps):
        fakes = generator(batch.input)
        adam_d.zero_grad()
        ((judged(fakes.detach(), 0.0) + judged(batch.target, 1.0)) * 0.5).backward()
        adam_d.step()
        adam_g.zero_grad()
        discriminator.requires_grad_(False)
        (judged(fakes, 1.0) + F.l1_loss(fakes, batch.target) * 100).backward()
        discriminator.requires_grad_(True)
        adam_g.step()


@pytest.mark.parametrize("channels_last", [False, True])
def test_steps_in_float32_end_at_the_bits_of_the_published_step(channels_last: bool) -> None:
    precision = Precision("cpu", name="float32", channels_last=channels_last)
    networks = []
    for _ in range(2):
        generator, discriminator = UNet(channels=4, depth=5, dropout=False), PatchGAN(channels=4)
        for network in (generator, discriminator):
            init_weights(precision.place(network), seed=3)
        networks.append((generator, discriminator))
    draw = torch.Generator().manual_seed(5)
    batch = Batch(*(precision.image(torch.rand(1, 3, 32, 32, generator=draw) * 2 - 1) for _ in range(2)))
    published_steps(*networks[0], batch, steps=3)
    task = PairedTask(*networks[1], weights={"gan": 1, "l1": 100})
    optimizers = Optimizers(*(make_adam(network) for network in networks[1]))
    for _ in range(3):
        training_step(task, batch, optimizers, precision)
    for published, ours in zip(*networks, strict=True):
        for key, weight in published.state_dict().items():
            assert torch.equal(weight, ours.state_dict()[key]), key


def test_bfloat16_follows_float32() -> None:
    seen = {}
    for name in ("float32", "bfloat16"):
        precision = Precision("cpu", name=name)  # type: ignore[arg-type]
        task, batch, optimizers = setting(precision)
        seen[name] = [training_step(task, batch, optimizers, precision) for _ in range(4)]
    for a, b in zip(seen["float32"], seen["bfloat16"], strict=True):
        assert {k: float(v) for k, v in a.items()} == pytest.approx(
            {k: float(v) for k, v in b.items()}, rel=0.02
        )


def test_the_generator_is_judged_by_the_updated_discriminator() -> None:
    precision = Precision("cpu", name="float32")
    task, batch, optimizers = setting(precision)
    for group in optimizers.generator.param_groups:
        group["lr"] = 0.0
    losses = training_step(task, batch, optimizers, precision)
    with torch.no_grad():
        now = task.generator_losses(batch, task.forward(batch))
    torch.testing.assert_close(losses["gan"], now["gan"])


def test_without_an_adversarial_term_the_discriminator_stays() -> None:
    precision = Precision("cpu", name="float32")
    task, batch, optimizers = setting(precision, l1=100.0)
    before = weights_of(task)
    assert set(training_step(task, batch, optimizers, precision)) == {"l1"}
    after = weights_of(task)
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("d."))


@pytest.mark.parametrize(("spoiled", "term"), [("target", "real"), ("generator", "fake")])
def test_a_loss_that_is_not_finite_stops_before_the_update_and_is_named(spoiled: str, term: str) -> None:
    precision = Precision("cpu", name="float32")
    task, batch, optimizers = setting(precision)
    if spoiled == "target":
        batch.target.fill_(torch.nan)
    else:
        next(task.generator.parameters()).data.fill_(torch.nan)
    before = {k: v.clone() for k, v in task.discriminator.named_parameters()}
    with pytest.raises(LossNotFiniteError, match=f"the loss '{term}' became nan") as error:
        training_step(task, batch, optimizers, precision)
    assert error.value.term == term
    assert all(torch.equal(before[k], v) for k, v in task.discriminator.named_parameters())


def test_an_infinite_generator_loss_leaves_the_generator_as_it_was() -> None:
    precision = Precision("cpu", name="float32")
    task, batch, optimizers = setting(precision, l1=1e38)
    task.weights["l1"] = float("inf")
    before = weights_of(task)
    with pytest.raises(LossNotFiniteError, match="the loss 'l1' became inf"):
        training_step(task, batch, optimizers, precision)
    after = weights_of(task)
    parameters = {f"g.{name}" for name, _ in task.generator.named_parameters()}
    assert all(torch.equal(before[key], after[key]) for key in parameters)
