"""The discriminators that a recipe can name.

Besides `conditional` and `objective`, each section's keys are the keyword arguments of its network.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from p2pcli.recipe.generators import Norm
from p2pcli.recipe.section import Halvings, Section, Width

ObjectiveName = Literal["bce", "lsgan", "hinge", "wgan"]
"""wgan needs losses.gradient_penalty or losses.r1 beside it."""


class PatchGAN(Section):
    """PatchGAN discriminator (pix2pix, section 6.1.2)."""

    name: Literal["patchgan"] = "patchgan"
    channels: Width = 64
    """Channels of the first layer (ndf)."""
    receptive_field: Literal[1, 16, 34, 70, 142, 286, 574, 1150, 2302, 4606, 9214] = 70
    """Side in px of the patch that one output judges."""
    norm: Norm = "batch"
    spectral_norm: bool = False
    bias: bool | None = None
    """Biases before norms. None: under instance norm only, as published since August 2017."""
    widens: bool = True
    """False: with a receptive field of 16 px the second layer is as wide as the first (n_layers 0)."""
    conditional: bool = True
    """False: D sees the target alone (the paper's GAN ablation, section 4.1)."""
    objective: ObjectiveName = "bce"

    @model_validator(mode="after")
    def _widens(self) -> PatchGAN:
        if not self.widens and self.receptive_field != 16:
            raise ValueError("widens = false goes with receptive_field = 16 alone")
        return self


class ImageGAN(Section):
    """One verdict for the whole picture (pix2pix, section 4.4)."""

    name: Literal["image"] = "image"
    channels: Width = 64
    layers: Halvings = 4
    norm: Norm = "batch"
    spectral_norm: bool = False
    conditional: bool = True
    """False: D sees the target alone."""
    objective: ObjectiveName = "bce"


class Multiscale(Section):
    """pix2pixHD's multi-scale discriminator (Wang et al. 2018, 1711.11585, section 3.2)."""

    name: Literal["multiscale"] = "multiscale"
    channels: Width = 64
    layers: Halvings = 3
    scales: Halvings = 2
    """The paper has 3; the published code 2, and 3 for 1024 px and up."""
    norm: Norm = "instance"
    spectral_norm: bool = False
    features: bool = True
    """Feature maps beside the logits, for feature matching."""
    conditional: bool = True
    """False: D sees the target alone."""
    objective: ObjectiveName = "lsgan"


class SPADEMultiscale(Section):
    """SPADE's multi-scale discriminator (Park et al. 2019, 1903.07291, appendix A)."""

    name: Literal["spade_multiscale"] = "spade_multiscale"
    channels: Width = 64
    layers: int = Field(4, ge=2, le=12)
    scales: Halvings = 2
    norm: Literal["instance", "batch", "none"] = "instance"
    spectral_norm: bool = True
    conditional: bool = True
    """False: D sees the target alone."""
    objective: ObjectiveName = "hinge"


class SRGAN(Section):
    """SRGAN's discriminator (Ledig et al. 2017, 1609.04802, section 2.1): sees the target alone."""

    name: Literal["srgan"] = "srgan"
    channels: Width = 64
    norm: Norm = "batch"
    conditional: Literal[False] = False
    objective: ObjectiveName = "bce"


class GlobalPatch(Section):
    """Shared trunk, global and patch verdicts (Demir & Unal 2018, 1803.07422)."""

    name: Literal["global_patch"] = "global_patch"
    channels: Width = 64
    layers: Halvings = 3
    norm: Norm = "instance"
    spectral_norm: bool = False
    conditional: bool = False
    """True: D also sees the input with its hole."""
    objective: ObjectiveName = "bce"


class ProgressiveDiscriminator(Section):
    """The discriminator that grows with a progressive generator (1710.10196, section 2)."""

    name: Literal["progressive_patch"] = "progressive_patch"
    channels: Width = 64
    """Channels at the whole size."""
    layers: Halvings = 3
    """Down-samplings at the whole size."""
    growths: int = Field(2, ge=0, le=8)
    """How often the resolution can double while it trains: as many as `train.stages` has entries."""
    norm: Norm = "instance"
    spectral_norm: bool = False
    conditional: bool = True
    """False: D sees the target alone."""
    objective: ObjectiveName = "lsgan"

    @model_validator(mode="after")
    def _growths_fit(self) -> ProgressiveDiscriminator:
        if self.growths > self.layers:
            raise ValueError(f"growths {self.growths} take more than {self.layers} layers; set layers higher")
        return self


DISCRIMINATOR_SECTIONS: dict[str, type[Section]] = {
    "patchgan": PatchGAN,
    "image": ImageGAN,
    "multiscale": Multiscale,
    "spade_multiscale": SPADEMultiscale,
    "srgan": SRGAN,
    "global_patch": GlobalPatch,
    "progressive_patch": ProgressiveDiscriminator,
}
