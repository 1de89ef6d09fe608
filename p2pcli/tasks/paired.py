"""Paired image translation: one generator, one discriminator, weighted loss terms (pix2pix, 1611.07004).

Its relatives are the same task with other networks and terms: pix2pixHD, SPADE, SRGAN, inpainting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from p2pcli.losses import OBJECTIVES, RECONSTRUCTIONS, kld, perceptual, total_variation
from p2pcli.losses.perceptual import HD_WEIGHTS, SRGAN_FEATURE_SCALE
from p2pcli.nets.spade import sample_style
from p2pcli.tasks.judging import Judging, discriminator_terms, frozen, generator_terms, without_autocast
from p2pcli.tasks.showing import Change, draw_change
from p2pcli.tasks.task import Batch, Order

__all__ = ["PAIRED_TERMS", "Batch", "Made", "PairedTask", "frozen"]

PAIRED_TERMS = frozenset(
    {"gan", "feature_matching", "perceptual", "tv", "kld", "r1", "gradient_penalty", *RECONSTRUCTIONS}
)
"""The terms that a paired task can weigh."""

FeatureDistance = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(extractor, result, target) → scalar."""


class Made(NamedTuple):
    """G's translation, (B, C, H, W) in [-1, 1], and from a style encoder mean and log variance of z."""

    image: Tensor
    style: tuple[Tensor, Tensor] | None = None


class PairedTask:
    """G maps input to target; D judges real and generated targets, beside the input where `conditional`.

    `weights` maps terms (`PAIRED_TERMS`) to their weights; a weight of 0 leaves the term out, and without
    "gan" there are no discriminator losses. `judging` holds what the published codes do differently; as it
    is, it gives pix2pix's step: `forward`, `discriminator_losses`, update D, `generator_losses` (through the
    updated D), update G. In training mode D's running statistics then see a fake, a real and a fake pass per
    step, in that order.

    `style_encoder` draws the generator's second argument from the target (SPADE's VAE); `feature_encoder`
    gives it further input channels from target and instances (pix2pixHD, section 3.4), which D does not see.
    `extractor` and `feature_distance` make the perceptual term.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        weights: Mapping[str, float],
        objective: str = "bce",
        conditional: bool = True,
        judging: Judging | None = None,
        style_encoder: nn.Module | None = None,
        feature_encoder: nn.Module | None = None,
        extractor: nn.Module | None = None,
        feature_distance: FeatureDistance | None = None,
    ) -> None:
        unknown = set(weights) - PAIRED_TERMS
        if unknown or not any(weights.values()):
            known = ", ".join(sorted(PAIRED_TERMS))
            raise ValueError(f"loss weights are {known}, one of them above 0, not {dict(weights)}")
        self.generator = generator
        self.discriminator = discriminator
        self.weights = dict(weights)
        self.objective = OBJECTIVES[objective]
        self.conditional = conditional
        self.judging = judging or Judging()
        self.style_encoder = style_encoder
        self.feature_encoder = feature_encoder
        self.extractor = extractor
        self.feature_distance = feature_distance or hd_perceptual
        self.accuracy: dict[str, Tensor] = {}

    @property
    def order(self) -> Order:
        """Whose update comes first."""
        return self.judging.order

    @property
    def renews_fakes(self) -> bool:
        """D learns from fakes that the updated G makes anew."""
        return self.judging.renews_fakes

    @property
    def generators(self) -> dict[str, nn.Module]:
        """The generator and its encoder, if any."""
        encoders = {"style_encoder": self.style_encoder, "feature_encoder": self.feature_encoder}
        return {"generator": self.generator, **{n: e for n, e in encoders.items() if e is not None}}

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """The one discriminator."""
        return {"discriminator": self.discriminator}

    @property
    def fixed(self) -> dict[str, nn.Module]:
        """The network behind the perceptual term, where that is weighed."""
        return {} if self.extractor is None else {"extractor": self.extractor}

    def forward(self, batch: Batch) -> Made:
        """G's translation of the input."""
        condition = batch.input
        if self.feature_encoder is not None:
            assert batch.instances is not None
            features = self.feature_encoder(batch.target, batch.instances)
            condition = torch.cat([condition, features.to(condition.dtype)], 1)
        if self.style_encoder is None:
            return Made(self.generator(condition))
        mean, log_variance = self.style_encoder(batch.target)
        return Made(self.generator(condition, sample_style(mean, log_variance)), (mean, log_variance))

    def discriminator_losses(self, batch: Batch, fakes: Made) -> dict[str, Tensor]:
        """D's terms "fake" and "real", times 0.5 in most published codes, and its penalties."""
        if not self.weights.get("gan"):
            return {}
        change = draw_change(batch.input.shape[0], self.judging.policies)
        return discriminator_terms(
            self.discriminator,
            self._seen(batch, fakes.image.detach(), change),
            self._seen(batch, batch.target, change),
            objective=self.objective,
            judging=self.judging,
            weights=self.weights,
            right=self.accuracy,
        )

    def generator_losses(self, batch: Batch, fakes: Made) -> dict[str, Tensor]:
        """G's weighted terms, such as "gan" and "l1" (equation 4); gradients reach G and its encoder only."""
        losses: dict[str, Tensor] = {}
        if self.weights.get("gan"):
            change = draw_change(batch.input.shape[0], self.judging.policies)
            losses |= generator_terms(
                self.discriminator,
                self._seen(batch, fakes.image, change),
                partial(self._seen, batch, batch.target, change),
                objective=self.objective,
                judging=self.judging,
                weights=self.weights,
            )
        with without_autocast(batch.input):
            for name, distance in RECONSTRUCTIONS.items():
                if self.weights.get(name):
                    losses[name] = distance(fakes.image, batch.target) * self.weights[name]
            if self.weights.get("tv"):
                losses["tv"] = total_variation(fakes.image) * self.weights["tv"]
            if self.weights.get("kld") and fakes.style is not None:
                losses["kld"] = kld(*fakes.style) * self.weights["kld"]
        if self.weights.get("perceptual") and self.extractor is not None:
            apart = self.feature_distance(self.extractor, fakes.image, batch.target)
            losses["perceptual"] = apart * self.weights["perceptual"]
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Nothing: all that changes lies in the networks."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to restore."""

    def _seen(self, batch: Batch, images: Tensor, change: Change) -> Tensor:
        """What D is shown: the input and an image, or the image alone."""
        shown = change(images, True)
        if not self.conditional:
            return shown
        condition = change(batch.input, self.judging.input_has_colours)
        return torch.cat([condition, shown.to(condition.dtype)], 1)


def hd_perceptual(extractor: nn.Module, result: Tensor, target: Tensor) -> Tensor:
    """As pix2pixHD and SPADE have it: L1 over five depths, [-1, 1] fed as it is."""
    return perceptual(extractor, _as_rgb(result), _as_rgb(target), weights=HD_WEIGHTS)


def srgan_perceptual(extractor: nn.Module, result: Tensor, target: Tensor) -> Tensor:
    """SRGAN's content loss (1609.04802, equation 5): L2 of one deep map, rescaled."""
    return perceptual(
        extractor,
        _as_rgb(result),
        _as_rgb(target),
        weights=(1.0,),
        norm="l2",
        feature_scale=SRGAN_FEATURE_SCALE,
    )


def _as_rgb(image: Tensor) -> Tensor:
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
