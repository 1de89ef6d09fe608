"""What the training loop asks of an objective, and the batch that every objective is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

Order = Literal["discriminator-first", "generator-first"]
"""Whose update comes first in a step."""

Fakes = TypeVar("Fakes")
"""What `forward` gives and both losses take: whatever the generators made."""


class Batch(NamedTuple):
    """What one step sees: float32 (B, C, H, W) in [-1, 1].

    Paired: the condition and what is to come of it. Unpaired: a picture of domain A and one of domain B.
    """

    input: Tensor
    target: Tensor
    instances: Tensor | None = None
    """Instance ids, integers (B, 1, H, W), for networks that need them; each sample's ids are its own."""

    def parts(self, count: int) -> list[Batch]:
        """The batch cut into `count` nearly equal parts; fewer where it holds fewer samples."""
        if count == 1:
            return [self]
        size = -(-self.input.shape[0] // count)
        cuts = [torch.split(tensor, size) for tensor in self if tensor is not None]
        return [Batch(*part) for part in zip(*cuts, strict=True)]


class Task(Protocol[Fakes]):
    """Generators, discriminators and weighted losses. It knows no recipe, optimizer, device or path.

    One step is `forward`, the losses and updates of both sides in `order`. Losses come as name → weighted
    float32 scalar; a side without losses is not updated.
    """

    @property
    def order(self) -> Order:
        """Whose update comes first."""

    @property
    def renews_fakes(self) -> bool:
        """With "generator-first": D learns from fakes that the updated G makes anew, without gradients."""

    @property
    def generators(self) -> Mapping[str, nn.Module]:
        """What the generator's optimizer updates and a model file holds, encoders among them."""

    @property
    def discriminators(self) -> Mapping[str, nn.Module]:
        """What the discriminator's optimizer updates."""

    @property
    def fixed(self) -> Mapping[str, nn.Module]:
        """Networks that only measure: they go to the device, learn nothing and are never saved."""

    def forward(self, batch: Batch) -> Fakes:
        """All that the generators make of the batch."""

    def discriminator_losses(self, batch: Batch, fakes: Fakes) -> dict[str, Tensor]:
        """D's weighted terms; no gradient reaches a generator."""

    def generator_losses(self, batch: Batch, fakes: Fakes) -> dict[str, Tensor]:
        """G's weighted terms; no gradient reaches a discriminator."""

    @property
    def accuracy(self) -> Mapping[str, Tensor]:
        """Shares of right verdicts in the last `discriminator_losses`, detached scalars: "fake" and "real",
        with "_a" and "_b" behind them where there are two discriminators; empty for critics."""

    def state_dict(self) -> dict[str, Any]:
        """What else changes while it trains, as tensors and plain values: pools of earlier fakes."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""


def networks_of(task: Task[Any]) -> dict[str, nn.Module]:
    """Name → network of all that learns."""
    return {**task.generators, **task.discriminators}
