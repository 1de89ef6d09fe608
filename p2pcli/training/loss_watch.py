"""Losses that are not finite: found before an update that they would spoil, without waiting for a GPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from p2pcli.errors import P2PError


class LossNotFiniteError(P2PError):
    """A loss became NaN or infinite; nothing was updated with it. `term` is the name of the loss."""

    def __init__(self, term: str, value: float) -> None:
        super().__init__(
            f"the loss '{term}' became {value}; finite numbers were expected. The last checkpoint is intact: "
            "resume with a smaller train.learning_rate or with train.precision=float32."
        )
        self.term = term


class LossWatch:
    """Keeps the first losses that were not finite on their device, until somebody asks.

    To ask at every update would let a GPU wait for the host twice a step. So the update itself is skipped
    there, by the optimizer's kernel (`Precision.update`), and the host asks now and then.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}
        """Names of terms → (1 where any was not finite, else 0; their values when that happened)."""

    def note(self, losses: Mapping[str, Tensor]) -> Tensor:
        """A flag, float32 (), 1 where one of `losses` is not finite: the update is then to be skipped."""
        names = tuple(losses)
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        flag = torch.isfinite(values).all().logical_not().float()
        if names not in self._found:
            self._found[names] = (flag, values)
        else:
            before, kept = self._found[names]
            self._found[names] = (torch.maximum(before, flag), torch.where(before > 0, kept, values))
        return flag

    def require_finite(self) -> None:
        """Raise `LossNotFiniteError` for a loss since the last call that was not. Waits for the device."""
        found, self._found = self._found, {}
        for names, (flag, values) in found.items():
            if flag.item():
                require_finite(dict(zip(names, values.unbind(), strict=True)))


def require_finite(losses: Mapping[str, Tensor]) -> None:
    """Raise `LossNotFiniteError` that names the first of `losses` that is not finite."""
    values = torch.stack([loss.detach().float() for loss in losses.values()])
    if not bool(torch.isfinite(values).all()):
        name, value = next(
            (n, v) for n, v in zip(losses, values.tolist(), strict=True) if not abs(v) < torch.inf
        )
        raise LossNotFiniteError(name, value)
