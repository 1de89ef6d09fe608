"""Gray: each method on colours worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from p2pcli.pairs import MAKERS, draw_options

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 100, 100]]], dtype=np.uint8)


def gray(**given: object) -> list[int]:
    maker = MAKERS["gray"]
    options = draw_options(maker, given, np.random.default_rng(0), jitter=False)
    return maker.make(COLOURS, rng=np.random.default_rng(0), options=options)[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("bt601", [76, 150, 29, 100]),
        ("bt709", [54, 182, 18, 100]),
        ("average", [85, 85, 85, 100]),
        # L* 53.2, 87.7, 32.3 and 42.4, times 2.55.
        ("lightness", [136, 224, 82, 108]),
    ],
)
def test_each_method_gives_its_known_values(method, expected):
    assert gray(method=method) == pytest.approx(expected, abs=1)


def test_gamma_above_one_darkens():
    # (100 / 255) ** 2 · 255 = 39.2
    assert gray(gamma=2.0)[3] == 39
