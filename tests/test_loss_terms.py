"""The further loss terms, each worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from p2pcli.losses import (
    OBJECTIVES,
    RECONSTRUCTIONS,
    ImagePool,
    charbonnier,
    cycle,
    feature_matching,
    focal_frequency,
    identity,
    kld,
    l2,
    over_scales,
    perceptual,
    r1,
    ssim,
    total_variation,
    wgan_gp,
)
from p2pcli.losses.perceptual import HD_LAYERS, HD_WEIGHTS, SRGAN_FEATURE_SCALE, SRGAN_LAYERS

LOGITS = torch.tensor([[0.0, 2.0]])


def test_wasserstein_objective_by_hand() -> None:
    objective = OBJECTIVES["wgan"]
    assert [float(f(LOGITS)) for f in (objective.real, objective.fake, objective.generator)] == [-1, 1, -1]


def test_scales_add_up_or_average_and_only_logits_count() -> None:
    verdict = [
        [torch.full((1,), 99.0), torch.tensor([1.0])],
        [torch.full((1,), 99.0), torch.tensor([3.0, 5.0])],
    ]
    assert float(over_scales(torch.mean, verdict)) == 5.0
    assert float(over_scales(torch.mean, verdict, reduction="mean")) == 2.5
    assert float(over_scales(torch.mean, LOGITS)) == 1.0


def test_l2_by_hand() -> None:
    assert float(l2(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0]))) == pytest.approx(2.5)


def test_charbonnier_by_hand() -> None:
    result, target = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])
    assert float(charbonnier(result, target, epsilon=4.0)) == pytest.approx((5 - 4 + 0) / 2)


def test_ssim_of_flat_pictures_by_hand() -> None:
    dark, bright = torch.full((1, 1, 11, 11), -1.0), torch.full((1, 1, 11, 11), 0.5)
    # No variance: only luminance differs, 0 and 1.5 of 2; C1 = (0.01 · 2)².
    luminance = (0.02**2) / (1.5**2 + 0.02**2)
    assert float(ssim(dark, bright)) == pytest.approx(1 - luminance, abs=1e-5)


def test_focal_frequency_by_hand() -> None:
    result, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 3.0]]]])
    # Orthonormal spectrum of the difference: (−4, 2)/√2, power (8, 2), weights (1, 1/2).
    assert float(focal_frequency(result, target)) == pytest.approx((8 * 1 + 2 * 0.5) / 2)


def test_frequencies_are_weighed_within_each_channels_own_spectrum() -> None:
    draw = torch.Generator().manual_seed(0)
    result, target = (torch.rand(2, 3, 8, 8, generator=draw) for _ in range(2))
    result[1] *= 10
    each = [
        float(focal_frequency(result[i : i + 1, c : c + 1], target[i : i + 1, c : c + 1]))
        for i in range(2)
        for c in range(3)
    ]
    assert float(focal_frequency(result, target)) == pytest.approx(sum(each) / 6, rel=1e-5)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    assert float(total_variation(image)) == pytest.approx((3 + 2) / 2 + (1 + 0) / 2)


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_equal_pictures_cost_nothing_and_gradients_stay_finite(name: str) -> None:
    target = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    result = target.clone().requires_grad_(True)
    loss = RECONSTRUCTIONS[name](result, target)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert result.grad is not None
    assert result.grad.isfinite().all()


def maps(*values: float) -> list[Tensor]:
    return [torch.full((1, 1, 2, 2), float(value)) for value in values]


def test_feature_matching_weighs_as_pix2pixhd_and_as_spade() -> None:
    # Four maps count at each of two scales; the logits, 100 apart, do not.
    fake = [maps(1, 2, 3, 4, 100), maps(1, 1, 1, 1, 100)]
    real = [maps(0, 0, 0, 0, 0), maps(0, 0, 0, 0, 0)]
    assert float(feature_matching(fake, real, weighting="pix2pixhd")) == pytest.approx((10 + 4) * (4 / 4) / 2)
    deep_fake, deep_real = [maps(*[1] * 5, 9)], [maps(*[0] * 5, 9)]
    assert float(feature_matching(deep_fake, deep_real, weighting="pix2pixhd")) == pytest.approx(5 * 4 / 5)
    assert float(feature_matching(deep_fake, deep_real, weighting="spade")) == pytest.approx(5)


def test_feature_matching_teaches_the_fake_only() -> None:
    fake, real = [maps(1, 0)], [maps(0, 0)]
    fake[0][0].requires_grad_(True)
    real[0][0].requires_grad_(True)
    feature_matching(fake, real).backward()
    assert fake[0][0].grad is not None
    assert real[0][0].grad is None


class Powers(nn.Module):
    """Five maps: x times 1, 2, 3, 4, 5."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x * factor for factor in (1, 2, 3, 4, 5)]


def test_perceptual_weighs_as_pix2pixhd() -> None:
    result, target = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    expected = 1 / 32 + 2 / 16 + 3 / 8 + 4 / 4 + 5 / 1
    assert float(perceptual(Powers(), result, target)) == pytest.approx(expected)
    assert HD_WEIGHTS[-1] == 1.0


def test_perceptual_as_in_srgan_is_a_scaled_mean_square() -> None:
    result, target = torch.full((1, 3, 2, 2), 2.0), torch.zeros(1, 3, 2, 2)
    loss = perceptual(lambda x: [x], result, target, weights=(1.0,), norm="l2", feature_scale=0.5)  # type: ignore[arg-type]
    assert float(loss) == pytest.approx(1.0)


def test_the_perceptual_layers_and_factors_are_the_published_ones() -> None:
    assert HD_LAYERS == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert HD_WEIGHTS == (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)
    # 1609.04802, section 3.2: phi 5,4 after its activation.
    assert SRGAN_LAYERS == ("relu5_4",)
    assert SRGAN_FEATURE_SCALE == 1 / 12.75


def test_cycle_and_identity_are_mean_absolute_differences() -> None:
    there, here = torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.0])
    assert float(cycle(there, here)) == float(identity(there, here)) == pytest.approx(0.75)


def test_kld_by_hand() -> None:
    mean, log_variance = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(2)]])
    expected = 0.5 * (1 + 1 - 1 - 0) + 0.5 * (0 + 2 - 1 - math.log(2))
    assert float(kld(mean, log_variance)) == pytest.approx(expected)
    assert float(kld(mean.repeat(3, 1), log_variance.repeat(3, 1))) == pytest.approx(3 * expected)


def slope(x: Tensor) -> Tensor:
    """A linear D: its gradient is 3 for each of four pixels, of norm 6."""
    return 3 * x.sum(dim=(1, 2, 3))


def test_gradient_penalties_of_a_linear_discriminator_by_hand() -> None:
    real, fake = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    assert float(wgan_gp(slope, real, fake)) == pytest.approx((6 - 1) ** 2)
    assert float(r1(slope, real)) == pytest.approx(36 / 2)


def test_each_sample_is_penalised_for_its_own_gradient() -> None:
    # The gradient of D(x) = x²/2 is x: norms 1 and 3, so (0² + 2²)/2; of both together (2 − 1)² would be 1.
    images = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    penalty = wgan_gp(lambda x: (x.square() / 2).sum(dim=(1, 2, 3)), images, images)
    assert float(penalty.detach()) == pytest.approx(2)


def test_gradient_penalties_add_up_scales_and_reach_the_parameters() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)

    def judge(x: Tensor) -> list[list[Tensor]]:
        return [[layer(x)], [layer(x)]]

    loss = r1(judge, torch.zeros(1, 1, 1, 1))
    assert float(loss.detach()) == pytest.approx((2 + 2) ** 2 / 2)
    loss.backward()
    # d/dw (2w)²/2 = 4w.
    assert layer.weight.grad is not None
    assert float(layer.weight.grad) == pytest.approx(8.0)


def test_the_penalty_is_measured_between_real_and_fake() -> None:
    seen: list[Tensor] = []

    def judge(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return slope(x)

    generator = torch.Generator().manual_seed(0)
    wgan_gp(judge, torch.ones(64, 1, 2, 2), torch.zeros(64, 1, 2, 2), generator=generator)
    shares = seen[0].flatten(1)
    assert torch.equal(shares, shares[:, :1].expand(-1, 4))
    assert 0 <= shares.min() < 0.1
    assert 0.9 < shares.max() <= 1


def numbered(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


def test_a_pool_returns_what_it_is_given_while_it_fills() -> None:
    pool = ImagePool(3)
    assert pool.query(numbered(1, 2, 3)).flatten().tolist() == [1, 2, 3]


def test_a_full_pool_returns_half_from_its_history_and_keeps_what_it_swapped() -> None:
    pool = ImagePool(50, seed=1)
    pool.query(numbered(*range(50)))
    returned = [int(pool.query(numbered(number)).item()) for number in range(50, 2050)]
    own = sum(given == got for given, got in zip(range(50, 2050), returned, strict=True))
    assert 900 < own < 1100
    # Every image goes out at most once from the history, so nothing is returned twice.
    assert len(set(returned)) == len(returned)


def test_every_image_of_a_full_pool_goes_out_sooner_or_later() -> None:
    pool = ImagePool(50, seed=1)
    pool.query(numbered(*range(50)))
    returned = {int(pool.query(numbered(number)).item()) for number in range(50, 2050)}
    assert set(range(50)) <= returned


def test_an_empty_pool_returns_everything_without_gradients() -> None:
    images = numbered(1, 2).requires_grad_(True)
    returned = ImagePool(0).query(images)
    assert torch.equal(returned, images.detach())
    assert not returned.requires_grad


def test_a_pool_goes_on_exactly_from_its_saved_state(tmp_path) -> None:
    pool = ImagePool(4, seed=3)
    pool.query(numbered(*range(10)))
    torch.save(pool.state_dict(), tmp_path / "pool.pt")
    other = ImagePool(4, seed=99)
    other.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True))
    assert torch.equal(pool.query(numbered(*range(10, 40))), other.query(numbered(*range(10, 40))))
