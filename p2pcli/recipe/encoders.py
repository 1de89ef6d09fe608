"""The encoders that a recipe can name: they turn the target into a further input of G."""

from __future__ import annotations

from typing import Literal

from p2pcli.recipe.generators import Norm
from p2pcli.recipe.section import Halvings, Section, Width


class FeatureEncoder(Section):
    """pix2pixHD's instance features (Wang et al. 2018, 1711.11585, section 3.4): needs instance maps."""

    name: Literal["pix2pixhd_features"] = "pix2pixhd_features"
    output_channels: Width = 3
    """Features of each instance: further input channels of the generator."""
    channels: Width = 16
    downsamplings: Halvings = 4
    norm: Norm = "instance"


class StyleEncoder(Section):
    """SPADE's image encoder, which makes it a VAE (Park et al. 2019, 1903.07291, appendix A)."""

    name: Literal["spade_style"] = "spade_style"
    channels: Width = 64
    norm: Literal["instance", "batch", "none"] = "instance"
    spectral_norm: bool = True


ENCODER_SECTIONS: dict[str, type[Section]] = {
    "pix2pixhd_features": FeatureEncoder,
    "spade_style": StyleEncoder,
}
