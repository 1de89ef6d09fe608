"""Paired image translation: one generator, one discriminator, weighted loss terms (pix2pix, 1611.07004)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from p2pcli.losses import OBJECTIVES, Verdict, l1, over_scales


class Batch(NamedTuple):
    """What one step sees: two float32 (B, C, H, W) in [-1, 1]."""

    input: Tensor
    target: Tensor


class PairedTask:
    """G maps input to target; D judges real and generated targets, beside the input where `conditional`.

    `weights` maps the terms "gan" and "l1" to their weights; a weight of 0 leaves the term out, and without
    "gan" there are no discriminator losses. The published step is `forward`, `discriminator_losses`, update
    D, `generator_losses` (through the updated D), update G. In training mode D's running statistics see a
    fake, a real and a fake pass per step, in that order, as published.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        weights: Mapping[str, float],
        objective: str = "bce",
        conditional: bool = True,
    ) -> None:
        unknown = set(weights) - {"gan", "l1"}
        if unknown or not any(weights.values()):
            raise ValueError(f"loss weights are gan and l1, one of them above 0, not {dict(weights)}")
        self.generator = generator
        self.discriminator = discriminator
        self.objective = OBJECTIVES[objective]
        self.gan_weight = weights.get("gan", 0.0)
        self.l1_weight = weights.get("l1", 0.0)
        self.conditional = conditional

    def forward(self, batch: Batch) -> Tensor:
        """G's translation of the input, (B, C, H, W) in [-1, 1]."""
        fakes: Tensor = self.generator(batch.input)
        return fakes

    def discriminator_losses(self, batch: Batch, fakes: Tensor) -> dict[str, Tensor]:
        """D's terms "fake" and "real", each times 0.5 as published; `fakes` are detached here."""
        if not self.gan_weight:
            return {}
        fake = over_scales(self.objective.fake, self._judge(batch, fakes.detach()))
        real = over_scales(self.objective.real, self._judge(batch, batch.target))
        return {"fake": fake * 0.5, "real": real * 0.5}

    def generator_losses(self, batch: Batch, fakes: Tensor) -> dict[str, Tensor]:
        """G's weighted terms "gan" and "l1" (equation 4); gradients reach G only."""
        losses = {}
        if self.gan_weight:
            with frozen(self.discriminator):
                verdict = self._judge(batch, fakes)
            losses["gan"] = over_scales(self.objective.generator, verdict) * self.gan_weight
        if self.l1_weight:
            losses["l1"] = l1(fakes, batch.target) * self.l1_weight
        return losses

    def _judge(self, batch: Batch, images: Tensor) -> Verdict:
        seen = torch.cat([batch.input, images.to(batch.input.dtype)], 1) if self.conditional else images
        verdict: Verdict = self.discriminator(seen)
        return verdict


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
