"""Unpaired image translation: two generators that undo each other, two discriminators (CycleGAN, 1703.10593).

Suffixes are the published ones: what ends in _a belongs to A → B, whose discriminator D_A judges domain B.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from p2pcli.losses import OBJECTIVES, ImagePool, cycle, identity, total_variation
from p2pcli.tasks.judging import Judging, discriminator_terms, generator_terms, without_autocast
from p2pcli.tasks.showing import draw_change
from p2pcli.tasks.task import Batch, Order

DIRECTIONS = ("AtoB", "BtoA")

UNPAIRED_JUDGES = ("D_A", "D_B")
"""The discriminator of each direction."""

UNPAIRED_TERMS = frozenset({"gan", "cycle", "cycle_b", "identity", "tv", "r1", "gradient_penalty"})
"""The terms that an unpaired task can weigh."""


class Cycles(NamedTuple):
    """What two generators make of two pictures, each (B, C, H, W) in [-1, 1]."""

    b: Tensor
    """G_A of the picture of A."""
    returned_a: Tensor
    """G_B of `b`: A → B → A."""
    a: Tensor
    """G_B of the picture of B."""
    returned_b: Tensor
    """G_A of `a`: B → A → B."""


class UnpairedTask:
    """G_A maps A to B and G_B maps B to A; each has a discriminator of its own, shown images alone.

    `weights` maps terms (`UNPAIRED_TERMS`) to their weights; "cycle" is λ_A (A → B → A), "cycle_b" λ_B.
    The published step is both generators first, then D_A and D_B, each on new fakes or earlier ones out of a
    pool of `pool_size` (0: new ones only), whose draws come from `seed`. Both directions share an optimizer.
    """

    renews_fakes = False

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        discriminators: tuple[nn.Module, nn.Module],
        *,
        weights: Mapping[str, float],
        objective: str = "lsgan",
        judging: Judging | None = None,
        pool_size: int = 50,
        seed: int = 0,
    ) -> None:
        unknown = set(weights) - UNPAIRED_TERMS
        if unknown or not any(weights.values()):
            known = ", ".join(sorted(UNPAIRED_TERMS))
            raise ValueError(f"loss weights are {known}, one of them above 0, not {dict(weights)}")
        self.generator_a, self.generator_b = generators
        self.discriminator_a, self.discriminator_b = discriminators
        self.weights = dict(weights)
        self.objective = OBJECTIVES[objective]
        self.judging = judging or Judging(order="generator-first")
        self.accuracy: dict[str, Tensor] = {}
        self.pools = {"b": ImagePool(pool_size, seed=seed), "a": ImagePool(pool_size, seed=seed + 1)}

    @property
    def order(self) -> Order:
        """Whose update comes first."""
        return self.judging.order

    @property
    def generators(self) -> dict[str, nn.Module]:
        """Direction → generator."""
        return {"AtoB": self.generator_a, "BtoA": self.generator_b}

    @property
    def discriminators(self) -> dict[str, nn.Module]:
        """D_A, which judges domain B, and D_B, which judges domain A."""
        return dict(zip(UNPAIRED_JUDGES, (self.discriminator_a, self.discriminator_b), strict=True))

    @property
    def fixed(self) -> dict[str, nn.Module]:
        """None."""
        return {}

    def forward(self, batch: Batch) -> Cycles:
        """Both pictures there and back again."""
        b = self.generator_a(batch.input)
        returned_a = self.generator_b(b)
        a = self.generator_b(batch.target)
        return Cycles(b, returned_a, a, self.generator_a(a))

    def discriminator_losses(self, batch: Batch, fakes: Cycles) -> dict[str, Tensor]:
        """The terms of D_A ("fake_a", "real_a") on domain B and of D_B on domain A, each times 0.5."""
        if not self.weights.get("gan"):
            return {}
        losses: dict[str, Tensor] = {}
        for suffix, network, fake, real in (
            ("a", self.discriminator_a, self.pools["b"].query(fakes.b), batch.target),
            ("b", self.discriminator_b, self.pools["a"].query(fakes.a), batch.input),
        ):
            change = draw_change(real.shape[0], self.judging.policies)
            right: dict[str, Tensor] = {}
            terms = discriminator_terms(
                network,
                change(fake, True),
                change(real, True),
                objective=self.objective,
                judging=self.judging,
                weights=self.weights,
                right=right,
            )
            self.accuracy |= {f"{name}_{suffix}": share for name, share in right.items()}
            losses |= {f"{name}_{suffix}": loss for name, loss in terms.items()}
        return losses

    def generator_losses(self, batch: Batch, fakes: Cycles) -> dict[str, Tensor]:
        """The weighted terms of G_A ("gan_a", "cycle_a", "identity_a", …) and of G_B."""
        losses: dict[str, Tensor] = {}
        if self.weights.get("gan"):
            for suffix, network, fake, real in (
                ("a", self.discriminator_a, fakes.b, batch.target),
                ("b", self.discriminator_b, fakes.a, batch.input),
            ):
                change = draw_change(real.shape[0], self.judging.policies)
                terms = generator_terms(
                    network,
                    change(fake, True),
                    partial(change, real, True),
                    objective=self.objective,
                    judging=self.judging,
                    weights=self.weights,
                )
                losses |= {f"{name}_{suffix}": loss for name, loss in terms.items()}
        if self.weights.get("cycle"):
            losses["cycle_a"] = cycle(fakes.returned_a, batch.input) * self.weights["cycle"]
        if self.weights.get("cycle_b"):
            losses["cycle_b"] = cycle(fakes.returned_b, batch.target) * self.weights["cycle_b"]
        if self.weights.get("identity"):
            weight = self.weights["identity"]
            losses["identity_a"] = identity(self.generator_a(batch.target), batch.target) * weight
            losses["identity_b"] = identity(self.generator_b(batch.input), batch.input) * weight
        if self.weights.get("tv"):
            with without_autocast(batch.input):
                losses["tv_a"] = total_variation(fakes.b) * self.weights["tv"]
                losses["tv_b"] = total_variation(fakes.a) * self.weights["tv"]
        return losses

    def state_dict(self) -> dict[str, Any]:
        """The two pools."""
        return {name: pool.state_dict() for name, pool in self.pools.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the two pools."""
        for name, pool in self.pools.items():
            pool.load_state_dict(state[name])
