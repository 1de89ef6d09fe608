"""L1, PSNR and SSIM per sample on [-1, 1]."""

from __future__ import annotations

from pathlib import Path

import kornia
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from skimage import data as pictures
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from p2pcli.image import Image
from p2pcli.metrics import METRICS, l1, psnr, ssim
from p2pcli.tensors import to_batch


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


def flat(value: int) -> Image:
    return np.full((32, 40, 3), value, np.uint8)


def noisy(picture: Image, spread: float) -> Image:
    noise = np.random.default_rng(0).normal(0, spread, picture.shape)
    return np.rint(np.clip(picture + noise, 0, 255)).astype(np.uint8)


PHOTO = pictures.astronaut()[64:192, 128:300]
PAIRS = {
    "grays 125 and 130": (flat(125), flat(130)),
    "grays 0 and 0": (flat(0), flat(0)),
    "black and white": (flat(0), flat(255)),
    "dark and darker": (flat(3), flat(0)),
    "a photo and its negative": (PHOTO, 255 - PHOTO),
    "a photo and noise of 3": (PHOTO, noisy(PHOTO, 3)),
    "a photo and noise of 60": (PHOTO, noisy(PHOTO, 60)),
    "a photo and the one beside it": (PHOTO, pictures.astronaut()[200:328, 0:172]),
    "a photo and a brighter one": (PHOTO, (PHOTO // 2 + 128).astype(np.uint8)),
    "gray": (PHOTO[:, :, :1], noisy(PHOTO, 20)[:, :, :1]),
    "as small as the window": (PHOTO[:11, :11], noisy(PHOTO, 20)[:11, :11]),
}


def by_scikit_image(a: Image, b: Image) -> dict[str, float]:
    """The metrics of two uint8 pictures in 0 … 1; our l1 counts on [-1, 1], which is twice as wide."""
    a, b = a / 255, b / 255
    similarity = structural_similarity(
        a,
        b,
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    with np.errstate(divide="ignore"):
        noise = peak_signal_noise_ratio(a, b, data_range=1)
    return {"l1": 2 * float(np.abs(a - b).mean()), "psnr": float(noise), "ssim": float(similarity)}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", PAIRS)
def test_every_metric_is_scikit_images(case: str, name: str) -> None:
    a, b = PAIRS[case]
    ours = float(METRICS[name](to_batch([a]), to_batch([b]))[0])
    assert ours == pytest.approx(by_scikit_image(a, b)[name], abs=2e-5, rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_the_same_where_networks_compute_in_bfloat16(name: str) -> None:
    a, b = to_batch([PHOTO]), to_batch([noisy(PHOTO, 10)])
    with torch.autocast("cpu", torch.bfloat16):
        inside = METRICS[name](a, b)
    torch.testing.assert_close(inside, METRICS[name](a, b), atol=0, rtol=0)


@pytest.mark.real
def test_every_metric_is_scikit_images_on_maps_and_what_they_show(real_data: Path) -> None:
    path = sorted((real_data / "pairs" / "earth").rglob("*.*"))[0]
    whole = np.asarray(PillowImage.open(path).convert("RGB"))
    a, b = whole[:, :256], whole[:, -256:]
    expected = by_scikit_image(a, b)
    ours = {name: float(metric(to_batch([a]), to_batch([b]))[0]) for name, metric in METRICS.items()}
    assert ours == pytest.approx(expected, abs=2e-5)


def test_ssim_equals_an_independent_implementation() -> None:
    a, b = pair()
    theirs = kornia.metrics.ssim((a + 1) / 2, (b + 1) / 2, 11, padding="valid").mean(dim=(1, 2, 3))
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
