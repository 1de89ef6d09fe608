"""The `edges` maker: a line drawing of a picture, to learn photos from drawings.

By default dark lines on white, thin and without specks: the look of the published edges2shoes and
edges2handbags pairs (pix2pix, 1611.07004), whose detector and clean-up need other tools.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from p2pcli.image import Image
from p2pcli.pairs.dog import difference_of_gaussians, extended_dog
from p2pcli.pairs.gradient import NOISE_GRADIENT, automatic_high, canny, crest_positions, gradient
from p2pcli.pairs.gray import to_gray
from p2pcli.pairs.lines import drop_short, thin_lines
from p2pcli.pairs.maker import Between, Maker, MakerOptions


class EdgesOptions(MakerOptions):
    """How a drawing is made. Lengths in px of the finished picture; DoG and XDoG intensities in [0, 1]."""

    method: Literal["canny", "sobel", "dog", "xdog"] = "canny"
    """canny: thin binary lines. sobel: soft gradient strength. dog: pen lines. xdog: ink with dark areas."""
    sigma: float | None = Field(None, ge=0, le=20)
    """Standard deviation of the Gaussian blur before any detection; 0: none (canny and sobel only).
    None: 1.2 for canny and sobel, 0.8 for dog and xdog."""
    detail: float = Field(0.12, gt=0, lt=1)
    """canny: share of the pixels whose gradient lies above the automatic high threshold. More: more lines."""
    low: float | None = Field(None, ge=0)
    """canny: low hysteresis threshold, in gradient units (0 to 1443).
    None: 0.4 × high, the ratio of Matlab's edge function."""
    high: float | None = Field(None, gt=0)
    """canny: high hysteresis threshold. None: automatic, see `detail`."""
    aperture: Literal[3, 5] = 3
    """canny, sobel: side of the Sobel kernel. Gradients are scaled to the units of aperture 3."""
    l2: bool = True
    """canny: gradient strength √(dx² + dy²); False: |dx| + |dy|."""
    gamma: float = Field(1.0, gt=0, le=10)
    """sobel: exponent on the strength in [0, 1]; below 1 shows weak edges more."""
    k: float = Field(1.6, gt=1, le=20)
    """dog, xdog: the wider Gaussian has k × sigma."""
    tau: float = Field(0.98, gt=0, le=1)
    """dog: weight of the wider Gaussian; lower leaves more noise out."""
    p: float = Field(15.0, ge=0, le=500)
    """xdog: how strongly edges are sharpened."""
    epsilon: float | None = Field(None, ge=0, le=2)
    """xdog: level below which ink begins. None: automatic, 0.5 × the mean gray of the picture."""
    phi: float = Field(10.0, gt=0, le=1000)
    """dog, xdog: steepness of the soft threshold (dog uses 10 × phi)."""
    threshold: float | None = Field(None, gt=0, lt=1)
    """sobel, dog, xdog: line strength in (0, 1) from which a pixel is black. None: lines stay soft."""
    thin: bool = False
    """sobel: keep only the crests of the gradient; dog, xdog: thin to one pixel (needs a threshold: 0.5
    where none is given). canny is thin by nature."""
    min_length: int = Field(5, ge=0, le=100_000)
    """Connected lines of fewer pixels are removed, as in the published pairs. Binary lines only."""
    invert: bool = False
    """Light lines on black."""

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> EdgesOptions:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; swap them")
        if self.sigma == 0 and self.method in ("dog", "xdog"):
            raise ValueError(f"{self.method} needs a sigma above 0, such as 1.0")
        return self

    def without_effect(self, given: Collection[str]) -> dict[str, str]:
        """Options of other methods → those methods."""
        return {
            name: f"method {' or '.join(methods)}"
            for name, methods in _ONLY_FOR.items()
            if name in given and self.method not in methods
        }

    @property
    def blur(self) -> float:
        """`sigma`, or what stands for None."""
        if self.sigma is not None:
            return self.sigma
        return 1.2 if self.method in ("canny", "sobel") else 0.8


_ONLY_FOR = {
    "detail": ("canny",),
    "low": ("canny",),
    "high": ("canny",),
    "aperture": ("canny", "sobel"),
    "l2": ("canny",),
    "gamma": ("sobel",),
    "k": ("dog", "xdog"),
    "tau": ("dog",),
    "p": ("xdog",),
    "epsilon": ("xdog",),
    "phi": ("dog", "xdog"),
    "threshold": ("sobel", "dog", "xdog"),
    "thin": ("sobel", "dog", "xdog"),
}
"""Option → the methods that look at it; the others serve all."""


def make_edges(target: Image, *, rng: np.random.Generator, options: EdgesOptions) -> Image:
    """The drawing (H, W, 1) of `target` (H, W, 3), both uint8; dark lines on white unless inverted."""
    strength = _STRENGTHS[options.method](to_gray(target, "bt601"), options)
    lines = strength if options.invert else 255 - strength
    return np.ascontiguousarray(lines)[:, :, None]


def _canny(gray: Image, options: EdgesOptions) -> Image:
    found = gradient(gray, sigma=options.blur, aperture=options.aperture, l2=options.l2)
    high = options.high
    if high is None:
        high = max(automatic_high(found, options.detail), options.low or 0.0)
    low = 0.4 * high if options.low is None else options.low
    return canny(found, low, high, min_length=options.min_length)


def _sobel(gray: Image, options: EdgesOptions) -> Image:
    found = gradient(gray, sigma=options.blur, aperture=options.aperture)
    # The strongest half percent saturates: one glint does not make the rest of the drawing pale.
    white = found.level(max(found.quantile(0.995), 4 * NOISE_GRADIENT))
    strength = found.strength
    if options.thin:
        crests = crest_positions(found, above=0)
        strength = np.zeros_like(strength)
        strength.reshape(-1)[crests] = found.strength.reshape(-1)[crests]
    squared = np.clip(strength / np.float32(white), 0.0, 1.0)
    soft: Image = squared ** np.float32(options.gamma / 2)
    return _finish(soft, options, thin=False)


def _dog(gray: Image, options: EdgesOptions) -> Image:
    soft = difference_of_gaussians(gray, options.blur, k=options.k, tau=options.tau, phi=10.0 * options.phi)
    return _finish(soft, options, thin=options.thin)


def _xdog(gray: Image, options: EdgesOptions) -> Image:
    soft = extended_dog(
        gray, options.blur, k=options.k, p=options.p, epsilon=options.epsilon, phi=options.phi
    )
    return _finish(soft, options, thin=options.thin)


_STRENGTHS = {"canny": _canny, "sobel": _sobel, "dog": _dog, "xdog": _xdog}


def _finish(soft: Image, options: EdgesOptions, *, thin: bool) -> Image:
    """uint8 line strength from `soft` in [0, 1]: thresholded, thinned and cleaned where asked."""
    threshold = 0.5 if options.threshold is None and thin else options.threshold
    if threshold is None:
        gray: Image = np.rint(soft * 255.0).astype(np.uint8)
        return gray
    lines: Image = np.where(soft >= threshold, 255, 0).astype(np.uint8)
    return drop_short(thin_lines(lines) if thin else lines, options.min_length)


MAKER = Maker(
    name="edges",
    summary="line drawing → photo: learn photos from drawings",
    options=EdgesOptions,
    make=make_edges,
    jitter={
        "sigma": Between(0.8, 2.0, log=True),
        "detail": Between(0.07, 0.2, log=True),
    },
    lossless=True,
)
