"""What losses and verdicts say about a run's health: D's accuracy, whether it has collapsed, G against D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

COLLAPSE_LOSS = 1e-2
"""D's whole loss below this for long means that G gets no gradient worth having: the published heuristic."""
_COLLAPSE_STEPS = 500
_MEMORY_STEPS = 50


@dataclass
class Health:
    """Running means of the losses over about 50 steps, and the number of steps that D has been near zero."""

    objective: str
    """"bce", "lsgan" or "hinge": how a loss is read as a share of right answers. "wgan": not at all."""
    share: float = 0.5
    """What one verdict's loss counts in "fake" and "real" (`tasks.judging.verdict_share`)."""
    fake: float | None = None
    real: float | None = None
    gan: float | None = None
    right_fakes: float | None = None
    """Share of D's verdicts on fakes that are right; None for a critic."""
    right_reals: float | None = None
    norms: Mapping[str, float] = field(default_factory=dict)
    """Norms of the latest gradients by side, "G" and "D"."""
    collapsed_steps: int = 0
    warned: bool = False

    def update(
        self, losses: Mapping[str, float], *, accuracy: Mapping[str, float] | None = None, steps: int = 1
    ) -> None:
        """Take in the mean losses of `steps` steps, and the shares of D's right verdicts in them."""
        weight = 1.0 - (1.0 - 1.0 / _MEMORY_STEPS) ** steps
        self.fake = _moved(self.fake, _mean_of(losses, "fake"), weight)
        self.real = _moved(self.real, _mean_of(losses, "real"), weight)
        self.gan = _moved(self.gan, _mean_of(losses, "gan"), weight)
        right = accuracy or {}
        self.right_fakes = _moved(self.right_fakes, _mean_of(right, "fake"), weight)
        self.right_reals = _moved(self.right_reals, _mean_of(right, "real"), weight)
        if self.fake is not None and self.real is not None:
            near_zero = self.objective != "wgan" and self.fake + self.real < COLLAPSE_LOSS
            self.collapsed_steps = self.collapsed_steps + steps if near_zero else 0

    @property
    def has_collapsed(self) -> bool:
        """True where D's loss has been below 0.01 for 500 steps."""
        return self.collapsed_steps >= _COLLAPSE_STEPS

    def line(self) -> str:
        """One line for people: "healthy · D right on 81% of fakes, 77% of reals · G/D 2.1"."""
        if self.fake is None or self.real is None:
            return " · ".join(part for part in ("no discriminator (losses.gan = 0)", self._norms()) if part)
        if self.objective == "wgan":
            apart = f"critic tells real from fake by {-(self.fake + self.real) / self.share:.3g}"
            return " · ".join(part for part in (apart, self._norms()) if part)
        fake, real = (confidence(value / self.share, self.objective) for value in (self.fake, self.real))
        right = ""
        if self.right_fakes is not None and self.right_reals is not None:
            right = f"D right on {self.right_fakes:.0%} of fakes, {self.right_reals:.0%} of reals"
        ratio = f"G/D {self.gan / max(self.fake + self.real, 1e-8):.1f}" if self.gan is not None else ""
        state = "healthy"
        if self.has_collapsed:
            state = "D HAS COLLAPSED THE GAME"
        elif fake > 0.95 and real > 0.95:
            state = "D far ahead"
        elif fake < 0.2 and real < 0.2:
            state = "D behind"
        return " · ".join(part for part in (state, right, ratio, self._norms()) if part)

    def _norms(self) -> str:
        shown = ", ".join(f"{side} {norm:.3g}" for side, norm in sorted(self.norms.items(), reverse=True))
        return f"gradients {shown}" if shown else ""

    def warning(self) -> str | None:
        """A sentence, once, when D has collapsed the game; else None."""
        if not self.has_collapsed or self.warned:
            return None
        self.warned = True
        return (
            f"D's loss has been below {COLLAPSE_LOSS} for {_COLLAPSE_STEPS} steps: it always wins, so only "
            f"the other terms still teach G. Try --set discriminator.receptive_field=16, a smaller "
            f"discriminator.channels, or --set discriminator.objective=lsgan."
        )


def confidence(loss: float, objective: str) -> float:
    """How sure D is of the right answer, 0 to 1 (undecided: about 0.5), from one verdict's whole loss.

    bce: the geometric mean of the probabilities given to the right answer. lsgan: 1 minus the root mean
    square distance to the right label. hinge: 1 where every margin is kept, 0.5 at logits of 0.
    """
    loss = max(0.0, loss)
    if objective == "bce":
        return math.exp(-loss)
    if objective == "lsgan":
        return max(0.0, 1.0 - math.sqrt(loss))
    return max(0.0, 1.0 - loss / 2)


def _mean_of(losses: Mapping[str, float], term: str) -> float | None:
    """The term, or the mean over both directions of an unpaired run; None where there is none."""
    values = [losses[name] for name in (term, f"{term}_a", f"{term}_b") if name in losses]
    return sum(values) / len(values) if values else None


def _moved(mean: float | None, value: float | None, weight: float) -> float | None:
    if value is None or mean is None:
        return value if value is not None else mean
    return mean + (value - mean) * weight
