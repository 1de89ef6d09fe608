"""Loss terms: adversarial objectives, distances of pixels and of features, cycle terms, penalties.

Weights live in the recipe; the terms here are unweighted, save for weights that are part of a definition.
"""

from __future__ import annotations

from p2pcli.losses.adversarial import OBJECTIVES, Objective, Verdict, accuracy, over_scales
from p2pcli.losses.cycle import ImagePool, cycle, identity
from p2pcli.losses.perceptual import feature_matching, perceptual
from p2pcli.losses.reconstruction import charbonnier, focal_frequency, l1, l2, ssim, total_variation
from p2pcli.losses.regular import kld, r1, wgan_gp

__all__ = [
    "OBJECTIVES",
    "RECONSTRUCTIONS",
    "ImagePool",
    "Objective",
    "Verdict",
    "accuracy",
    "charbonnier",
    "cycle",
    "feature_matching",
    "focal_frequency",
    "identity",
    "kld",
    "l1",
    "l2",
    "over_scales",
    "perceptual",
    "r1",
    "ssim",
    "total_variation",
    "wgan_gp",
]

RECONSTRUCTIONS = {
    "l1": l1,
    "l2": l2,
    "charbonnier": charbonnier,
    "ssim": ssim,
    "focal_frequency": focal_frequency,
}
"""Terms of a result and its target, by the name they have in a recipe."""
