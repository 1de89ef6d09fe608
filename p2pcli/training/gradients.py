"""How large the gradients of the last step were: a sign of trouble well before a loss shows it."""

from __future__ import annotations

from typing import Any

import torch

from p2pcli.tasks import Task


def gradient_norms(task: Task[Any]) -> dict[str, float]:
    """ "G" and "D" → the norm of all gradients that the last update of that side had, after clipping.

    A side that has not been updated is left out.
    """
    sides = {"G": task.generators, "D": task.discriminators}
    norms = {}
    for side, networks in sides.items():
        parameters = [p for network in networks.values() for p in network.parameters()]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if gradients:
            norms[side] = float(torch.nn.utils.get_total_norm(gradients))
    return norms
