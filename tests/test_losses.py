"""Loss terms, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from p2pcli.losses import OBJECTIVES, l1

LOGITS = torch.tensor([[0.0, 2.0]])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        (
            "bce",
            (softplus(0) + softplus(-2)) / 2,
            (softplus(0) + softplus(2)) / 2,
            (softplus(0) + softplus(-2)) / 2,
        ),
        ("lsgan", (1 + 1) / 2, (0 + 4) / 2, (1 + 1) / 2),
        ("hinge", (1 + 0) / 2, (1 + 3) / 2, -(0 + 2) / 2),
    ],
)
def test_objectives_by_hand(name: str, real: float, fake: float, generator: float) -> None:
    objective = OBJECTIVES[name]
    assert float(objective.real(LOGITS)) == pytest.approx(real)
    assert float(objective.fake(LOGITS)) == pytest.approx(fake)
    assert float(objective.generator(LOGITS)) == pytest.approx(generator)


def test_l1_by_hand() -> None:
    assert float(l1(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.0]))) == pytest.approx(0.75)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_float32_for_bfloat16_logits(name: str) -> None:
    objective = OBJECTIVES[name]
    pieces = (objective.real, objective.fake, objective.generator)
    assert {piece(LOGITS.bfloat16()).dtype for piece in pieces} == {torch.float32}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_generator_gains_where_the_discriminator_is_fooled(name: str) -> None:
    generator = OBJECTIVES[name].generator
    assert generator(torch.tensor([0.9])) < generator(torch.tensor([-0.9]))
