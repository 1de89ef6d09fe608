"""Difference-of-Gaussians drawings: Winnemöller, Kyprianidis, Olsen, "XDoG", Computers & Graphics, 2012."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.image import Image


def difference_of_gaussians(
    gray: Image, sigma: float, *, k: float, tau: float, phi: float
) -> NDArray[np.float32]:
    """Line strength in [0, 1] (H, W) of `gray` uint8 (H, W): section 2.3 with ε = 0.

    D = G_σ − τ·G_kσ on intensities in [0, 1]; strength is 0 where D ≥ 0, else −tanh(φ·D).
    """
    narrow, wide = _blurred(gray, sigma, k)
    return _ink(narrow - tau * wide, 0.0, phi)


def extended_dog(
    gray: Image, sigma: float, *, k: float, p: float, epsilon: float | None, phi: float
) -> NDArray[np.float32]:
    """Ink strength in [0, 1] (H, W) of `gray` uint8 (H, W): equations 5 and 7, the p form of section 2.5.

    S = (1 + p)·G_σ − p·G_kσ; strength is 0 where S ≥ ε, else −tanh(φ·(S − ε)). Deviation: with `epsilon`
    None, ε follows the picture's mean gray, so that a dark photo does not become a black page.
    """
    narrow, wide = _blurred(gray, sigma, k)
    level = 0.5 * float(gray.mean()) / 255.0 if epsilon is None else epsilon
    return _ink((1.0 + p) * narrow - p * wide, level, phi)


def _blurred(gray: Image, sigma: float, k: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # 16-bit blurs are bit-exact in OpenCV; float ones depend on the processor.
    deep = gray.astype(np.uint16) * np.uint16(257)
    scale = np.float32(1 / 65535)
    narrow: NDArray[np.float32] = np.asarray(cv2.GaussianBlur(deep, (0, 0), sigma)) * scale
    wide: NDArray[np.float32] = np.asarray(cv2.GaussianBlur(deep, (0, 0), sigma * k)) * scale
    return narrow, wide


def _ink(response: NDArray[np.float32], epsilon: float, phi: float) -> NDArray[np.float32]:
    below = np.minimum(response - np.float32(epsilon), 0.0)
    ink: NDArray[np.float32] = -np.tanh(np.float32(phi) * below)
    return ink
