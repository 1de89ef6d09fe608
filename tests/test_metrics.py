"""L1, PSNR and SSIM per sample on [-1, 1]."""

from __future__ import annotations

import kornia
import pytest
import torch

from p2pcli.metrics import METRICS, l1, psnr, ssim


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    a = torch.rand(2, 3, 24, 30, generator=generator) * 2 - 1
    noise = torch.randn(2, 3, 24, 30, generator=generator) * torch.tensor([0.05, 0.4]).reshape(2, 1, 1, 1)
    return (a + noise).clamp(-1, 1), a


def test_l1_by_hand_for_each_sample() -> None:
    result = torch.tensor([0.5, -1.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert l1(result, torch.zeros(2, 3, 4, 4)).tolist() == [0.5, 1.0]


def test_psnr_by_hand() -> None:
    # A tenth of the range of 2 everywhere: 20 dB.
    assert float(psnr(torch.full((1, 3, 4, 4), 0.2), torch.zeros(1, 3, 4, 4))) == pytest.approx(20)


def test_ssim_equals_an_independent_implementation() -> None:
    a, b = pair()
    theirs = kornia.metrics.ssim(a, b, 11, max_val=2.0, padding="valid").mean(dim=(1, 2, 3))
    torch.testing.assert_close(ssim(a, b), theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_ranks_the_nearer_sample_first(name: str) -> None:
    near, far = METRICS[name](*pair()).tolist()
    assert (near < far) if name == "l1" else (near > far)


def test_equal_images_are_perfect() -> None:
    a, _ = pair()
    assert l1(a, a).tolist() == [0, 0]
    assert psnr(a, a).tolist() == [float("inf")] * 2
    torch.testing.assert_close(ssim(a, a), torch.ones(2))


def test_ssim_refuses_images_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))
