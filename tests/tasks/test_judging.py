"""What is made of verdicts: cases worked by hand, as each published code has it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from p2pcli.losses import OBJECTIVES, accuracy
from p2pcli.tasks.judging import JUDGING, Judging, discriminator_terms, generator_terms

FAKE, REAL = torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), -0.25)
SPADE = JUDGING["spade_multiscale"]


class TwoScales(nn.Module):
    """Scale one: maps x and 2x, logits 4x. Scale two: map 3x, logits x. Counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        self.batches.append(x.shape[0])
        x = x * self.one
        return [[x, 2 * x, 4 * x], [3 * x, x]]


def g_terms(judging: Judging, *, weights: dict[str, float], objective: str = "lsgan") -> dict[str, float]:
    terms = generator_terms(
        TwoScales(), FAKE, lambda: REAL, objective=OBJECTIVES[objective], judging=judging, weights=weights
    )
    return {name: float(value.detach()) for name, value in terms.items()}


def d_terms(judging: Judging, *, objective: str, weights: dict[str, float] | None = None) -> dict[str, float]:
    terms = discriminator_terms(
        TwoScales(), FAKE, REAL, objective=OBJECTIVES[objective], judging=judging, weights=weights or {}
    )
    return {name: float(value.detach()) for name, value in terms.items()}


def test_pix2pixhd_sums_over_scales_and_halves_the_discriminator() -> None:
    # Logits of the fake are 2 and 0.5, of the real one -1 and -0.25.
    assert d_terms(JUDGING["multiscale"], objective="lsgan") == pytest.approx(
        {"fake": (4 + 0.25) / 2, "real": (4 + 1.5625) / 2}
    )
    terms = g_terms(JUDGING["multiscale"], weights={"gan": 1.0})
    assert terms == pytest.approx({"gan": 1 + 0.25})


def test_inpainting_counts_both_verdicts_whole_and_halves_the_discriminator() -> None:
    # 0.0025 for each verdict (1803.07422); logits as above.
    judging = JUDGING["global_patch"]
    assert g_terms(judging, weights={"gan": 0.0025}) == pytest.approx({"gan": 0.0025 * (1 + 0.25)})
    assert d_terms(judging, objective="lsgan") == pytest.approx({"fake": 4.25 / 2, "real": 5.5625 / 2})


@pytest.mark.parametrize("name", ["patchgan", "image", "srgan", "progressive_patch"])
def test_one_verdict_alone_is_halved_for_the_discriminator(name: str) -> None:
    terms = discriminator_terms(
        nn.Identity(), FAKE, REAL, objective=OBJECTIVES["lsgan"], judging=JUDGING[name], weights={}
    )
    assert float(terms["fake"]) == pytest.approx(0.25 / 2)
    assert float(terms["real"]) == pytest.approx(1.5625 / 2)


def test_spade_takes_the_mean_over_scales_and_the_whole_discriminator() -> None:
    assert d_terms(SPADE, objective="hinge") == pytest.approx({"fake": (3 + 1.5) / 2, "real": (2 + 1.25) / 2})
    assert g_terms(SPADE, weights={"gan": 1.0}, objective="hinge") == pytest.approx({"gan": -(2 + 0.5) / 2})


@pytest.mark.parametrize(
    ("judging", "expected"),
    [
        # Distances of maps: 0.75 and 1.5 in scale one, 2.25 in scale two; logits do not count.
        # pix2pixHD weighs by 4 / maps that count (2 and 1), both by 1 / scales.
        (JUDGING["multiscale"], (2 * 0.75 + 2 * 1.5 + 4 * 2.25) / 2),
        (SPADE, (0.75 + 1.5 + 2.25) / 2),
    ],
    ids=["pix2pixHD", "SPADE"],
)
def test_feature_matching_weighs_as_published(judging: Judging, expected: float) -> None:
    terms = g_terms(judging, weights={"gan": 1.0, "feature_matching": 10.0})
    assert terms["feature_matching"] == pytest.approx(10 * expected)


def test_spade_shows_fake_and_real_in_one_pass_and_others_in_two() -> None:
    for judging, batches in ((SPADE, [2]), (JUDGING["multiscale"], [1, 1])):
        network = TwoScales()
        discriminator_terms(
            network, FAKE, REAL, objective=OBJECTIVES["hinge"], judging=judging, weights={"gan": 1.0}
        )
        assert network.batches == batches


def test_without_feature_matching_the_generator_step_never_asks_for_real_images() -> None:
    def refuse() -> Tensor:
        raise AssertionError("asked for")

    network = TwoScales()
    generator_terms(
        network, FAKE, refuse, objective=OBJECTIVES["bce"], judging=Judging(), weights={"gan": 1.0}
    )
    assert network.batches == [1]


def test_penalties_are_of_the_sum_of_all_logits() -> None:
    # d(4x + x)/dx = 5 for each of 4 pixels: r1 is 4·25/2; the norm of the gradient is 10.
    weights = {"gan": 1.0, "r1": 2.0, "gradient_penalty": 0.5}
    terms = d_terms(Judging(), objective="wgan", weights=weights)
    assert terms["r1"] == pytest.approx(2 * 50)
    assert terms["gradient_penalty"] == pytest.approx(0.5 * 81)


def test_no_gradient_of_a_penalty_or_a_verdict_reaches_the_generator() -> None:
    fake = FAKE.clone().requires_grad_(True)
    terms = discriminator_terms(
        TwoScales(),
        fake,
        REAL,
        objective=OBJECTIVES["wgan"],
        judging=Judging(),
        weights={"r1": 1.0, "gradient_penalty": 1.0},
    )
    sum(terms.values(), torch.zeros(())).backward()
    assert fake.grad is None


@pytest.mark.parametrize(
    ("objective", "fakes", "reals"), [("bce", 0.5, 0.75), ("hinge", 0.5, 0.75), ("lsgan", 0.75, 0.5)]
)
def test_accuracy_counts_logits_on_the_right_side_of_the_objectives_threshold(
    objective: str, fakes: float, reals: float
) -> None:
    fake, real = torch.tensor([-1.0, -0.1, 0.2, 0.6]), torch.tensor([-0.1, 0.2, 0.6, 2.0])
    found = accuracy(OBJECTIVES[objective], fake, real)
    assert {name: float(share) for name, share in found.items()} == {"fake": fakes, "real": reals}
    assert accuracy(OBJECTIVES["wgan"], fake, real) == {}


def test_scales_have_equal_votes_in_the_accuracy() -> None:
    # Logits 4x and x: fakes at 0.3 are 1.2 (wrong) and 0.3 (right); reals at 0.3 the other way round.
    right: dict[str, Tensor] = {}
    image = torch.full((1, 1, 2, 2), 0.3)
    discriminator_terms(
        TwoScales(), image, image, objective=OBJECTIVES["lsgan"], judging=SPADE, weights={}, right=right
    )
    assert {name: float(share) for name, share in right.items()} == {"fake": 0.5, "real": 0.5}
