"""The loss terms that a recipe can weigh. Which of them a task and its networks can use: `tasks.fitness`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2pcli.recipe.section import Section

PerceptualLayers = Literal["pix2pixhd", "srgan"]

SETTINGS = frozenset({"perceptual_layers", "perceptual_weights"})
"""Keys of [losses] that are no weights."""


class Losses(Section):
    """Term = weight. A weight of 0 leaves the term out."""

    gan: float = Field(1.0, ge=0)
    """The adversarial term of the generator. 0: no discriminator is trained."""
    l1: float = Field(100.0, ge=0)
    l2: float = Field(0.0, ge=0)
    charbonnier: float = Field(0.0, ge=0)
    """√(d² + ε²) (Lai et al. 2017, 1704.03915)."""
    ssim: float = Field(0.0, ge=0)
    """1 − SSIM (Zhao et al. 2017, 1511.08861)."""
    focal_frequency: float = Field(0.0, ge=0)
    """Jiang et al. 2021, 2012.12821."""
    tv: float = Field(0.0, ge=0)
    """Total variation of the result: smoothness."""
    feature_matching: float = Field(0.0, ge=0)
    """L1 between feature maps of D (pix2pixHD, 1711.11585, equation 4; weight 10)."""
    perceptual: float = Field(0.0, ge=0)
    """Distance of VGG19's feature maps; weight 10 in pix2pixHD and SPADE."""
    perceptual_layers: PerceptualLayers = "pix2pixhd"
    """pix2pixhd: relu1_1 … relu5_1, L1. srgan: relu5_4 scaled by 1/12.75, L2, in ImageNet's range."""
    perceptual_weights: str | None = None
    """File with VGG19's weights as torchvision stores them. None: torch's cache, else they are fetched."""
    kld: float = Field(0.0, ge=0)
    """Divergence of a style encoder's z from N(0, 1); weight 0.05 in SPADE."""
    cycle: float = Field(0.0, ge=0)
    """A → B → A (CycleGAN, 1703.10593, equation 2), λ_A; weight 10."""
    cycle_b: float | None = Field(None, ge=0)
    """B → A → B, λ_B. None: as `cycle`."""
    identity: float = Field(0.0, ge=0)
    """What is in the output domain already stays as it is (section 5.2); half of `cycle` as published."""
    r1: float = Field(0.0, ge=0)
    """γ of the gradient penalty on real images (Mescheder et al. 2018, 1801.04406, equation 9)."""
    gradient_penalty: float = Field(0.0, ge=0)
    """WGAN-GP (Gulrajani et al. 2017, 1704.00028, equation 3); weight 10."""

    def weights(self) -> dict[str, float]:
        """Term → weight, every term; a weight that follows another is filled in."""
        values = {name: value for name, value in self.model_dump().items() if name not in SETTINGS}
        values["cycle_b"] = self.cycle if self.cycle_b is None else self.cycle_b
        return values
