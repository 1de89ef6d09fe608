"""What both sides make of a discriminator's verdicts, with each published code's factors and sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from p2pcli.augment import Policy
from p2pcli.losses import Objective, Verdict, accuracy, feature_matching, over_scales, r1, wgan_gp
from p2pcli.recipe import Discriminator
from p2pcli.tasks.task import Order


@dataclass(frozen=True)
class Judging:
    """How one published code turns verdicts into losses, and in which order it updates."""

    order: Order = "discriminator-first"
    renews_fakes: bool = False
    """D learns from fakes that the updated G makes anew."""
    reduction: Literal["sum", "mean"] = "sum"
    """Over scales, of the adversarial term."""
    share: float = 0.5
    """Factor of D's two terms."""
    together: bool = False
    """Fake and real go through D as one batch: it matters to spectral norm, which moves once per pass."""
    matching: Literal["pix2pixhd", "spade"] = "pix2pixhd"
    """How feature matching weighs the maps."""
    policies: tuple[Policy, ...] = ()
    """DiffAugment of all that D sees."""
    input_has_colours: bool = True
    """False: the input is label planes or a mask, whose values DiffAugment must leave."""


JUDGING: dict[str, Judging] = {
    "patchgan": Judging(),
    "image": Judging(),
    "srgan": Judging(),
    "global_patch": Judging(),
    "progressive_patch": Judging(),
    "multiscale": Judging(order="generator-first"),
    "spade_multiscale": Judging(
        order="generator-first",
        renews_fakes=True,
        reduction="mean",
        share=1.0,
        together=True,
        matching="spade",
    ),
}
"""Discriminator → what the code that it was published with does."""


def discriminator_terms(
    network: nn.Module,
    fake: Tensor,
    real: Tensor,
    *,
    objective: Objective,
    judging: Judging,
    weights: Mapping[str, float],
    right: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """ "fake" and "real", each times `judging.share`, and the weighted penalties "r1" and "gradient_penalty".

    `fake` and `real` are what D sees, (B, C, H, W); no gradient flows into `fake`. `right`, if given, takes
    up the shares of right verdicts (`losses.accuracy`).
    """
    fake = fake.detach()
    of_fake, of_real = _both(network, fake, real, together=judging.together)
    if right is not None:
        right |= accuracy(objective, of_fake, of_real)
    losses = {
        "fake": over_scales(objective.fake, of_fake, reduction=judging.reduction) * judging.share,
        "real": over_scales(objective.real, of_real, reduction=judging.reduction) * judging.share,
    }
    if weights.get("r1"):
        with without_autocast(real):
            losses["r1"] = r1(network, real.float()) * weights["r1"]
    if weights.get("gradient_penalty"):
        with without_autocast(real):
            penalty = wgan_gp(network, real.float(), fake.float())
        losses["gradient_penalty"] = penalty * weights["gradient_penalty"]
    return losses


def generator_terms(
    network: nn.Module,
    fake: Tensor,
    real: Callable[[], Tensor],
    *,
    objective: Objective,
    judging: Judging,
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """The weighted terms "gan" and "feature_matching"; gradients go through D into `fake`, none into D.

    `real` is called only where D must see real images for that.
    """
    of_real: Verdict | None = None
    with frozen(network):
        if judging.together:
            of_fake, of_real = _both(network, fake, real(), together=True)
        else:
            of_fake = network(fake)
            if weights.get("feature_matching"):
                with torch.no_grad():
                    of_real = network(real())
    gan = over_scales(objective.generator, of_fake, reduction=judging.reduction)
    losses = {"gan": gan * weights["gan"]}
    if weights.get("feature_matching"):
        matching = feature_matching(maps_of(of_fake), maps_of(of_real), weighting=judging.matching)
        losses["feature_matching"] = matching * weights["feature_matching"]
    return losses


def maps_of(verdict: Verdict | None) -> Sequence[Sequence[Tensor]]:
    """The feature maps of each scale. Raises `TypeError` where D gives logits alone."""
    if verdict is None or isinstance(verdict, Tensor):
        raise TypeError("feature matching needs a discriminator that returns its feature maps")
    return verdict


def _both(network: nn.Module, fake: Tensor, real: Tensor, *, together: bool) -> tuple[Verdict, Verdict]:
    if not together:
        return network(fake), network(real)
    verdict: Verdict = network(torch.cat([fake, real.to(fake.dtype)]))
    count = fake.shape[0]
    if isinstance(verdict, Tensor):
        return verdict[:count], verdict[count:]
    return (
        [[one[:count] for one in maps] for maps in verdict],
        [[one[count:] for one in maps] for maps in verdict],
    )


def verdict_share(section: Discriminator) -> float:
    """What one verdict's loss counts in D's terms "fake" and "real": 0.5 in pix2pix, 1 in pix2pixHD's sum
    over two scales."""
    judging = JUDGING[section.name]
    verdicts = 2 if section.name == "global_patch" else getattr(section, "scales", 1)
    return judging.share * (verdicts if judging.reduction == "sum" else 1)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, no gradient is recorded for the parameters of `module`; it still flows through to its input."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def without_autocast(like: Tensor) -> torch.autocast:
    """A context that computes in full precision on the device of `like`: for differences of near numbers."""
    return torch.autocast(like.device.type, enabled=False)
