"""The generators that a recipe can name. Each section's keys are the keyword arguments of its network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.section import Halvings, Layers, Section, Width

Norm = Literal["batch", "instance", "instance_affine", "none"]
"""instance_affine: with a learned scale and shift, as published code had it before July 2017."""

Upsampling = Literal["deconv", "resize", "shuffle"]
"""deconv: as published. resize: nearest ×2, then convolution. shuffle: sub-pixel convolution. The latter two
avoid checkerboards."""

Cells = Annotated[int, Field(ge=1, le=256)]


class UNet(Section):
    """pix2pix U-Net (Isola et al. 2017, 1611.07004, section 6.1.1)."""

    name: Literal["unet"] = "unet"
    channels: Width = 64
    """Channels of the outermost level (ngf)."""
    depth: int | None = Field(None, ge=5, le=12)
    """Down-samplings. None: log2 of data.size, so that the bottleneck is 1×1."""
    norm: Norm = "batch"
    dropout: bool = True
    """Dropout(0.5) on the inner decoder levels: the paper's noise."""
    skips: bool = True
    """False: the paper's encoder-decoder ablation (section 4.2)."""
    bias: bool | None = None
    """Biases of the convolutions. None: under instance norm only, as published since August 2017."""
    upsampling: Upsampling = "deconv"


class ResNet(Section):
    """ResNet generator (Johnson et al. 2016; CycleGAN, 1703.10593, section 7.1)."""

    name: Literal["resnet"] = "resnet"
    channels: Width = 64
    blocks: Layers = 9
    norm: Norm = "instance"
    dropout: bool = False
    bias: bool | None = None
    """Biases of the convolutions. None: under instance norm only, as published since August 2017."""
    upsampling: Upsampling = "deconv"


class GlobalGenerator(Section):
    """pix2pixHD's global generator G1 (Wang et al. 2018, 1711.11585, section 3.2)."""

    name: Literal["pix2pixhd_global"] = "pix2pixhd_global"
    channels: Width = 64
    downsamplings: Halvings = 4
    blocks: Layers = 9
    norm: Norm = "instance"
    upsampling: Upsampling = "deconv"


class LocalEnhancer(Section):
    """pix2pixHD's local enhancer G2 around G1 (Wang et al. 2018, 1711.11585, section 3.2)."""

    name: Literal["pix2pixhd_local"] = "pix2pixhd_local"
    channels: Width = 32
    """Of the outermost enhancer; the global generator has twice as many for each enhancer."""
    downsamplings: Halvings = 4
    """Of the global generator."""
    blocks: Layers = 9
    """Of the global generator."""
    enhancers: Halvings = 1
    local_blocks: Layers = 3
    norm: Norm = "instance"
    upsampling: Upsampling = "deconv"


class SPADE(Section):
    """SPADE generator (Park et al. 2019, 1903.07291, appendix A)."""

    name: Literal["spade"] = "spade"
    channels: Width = 64
    doublings: Literal["normal", "more", "most"] = "normal"
    """The size doubles 5, 6 or 7 times."""
    norm: Literal["batch", "instance"] = "batch"
    """The norm without parameters under the label map's scale and shift."""
    spectral_norm: bool = True
    kernel_size: Literal[1, 3, 5, 7] = 3
    """Side in px of the convolutions that read the label map."""
    hidden: Width = 128
    """Channels between the label map and its scale and shift."""
    style_grid: tuple[Cells, Cells] | None = None
    """Rows and columns at which a style vector enters. None: no style."""


class SRResNet(Section):
    """SRResNet (Ledig et al. 2017, 1609.04802, section 2.1)."""

    name: Literal["srresnet"] = "srresnet"
    channels: Width = 64
    blocks: Layers = 16
    scale: Literal[2, 4, 8] = 4
    norm: Norm = "batch"
    adds_to_bicubic: bool = False
    """True: the network learns what the input enlarged by bicubic lacks, so that few steps already gain
    (after VDSR, Kim et al. 2016, 1511.04587). False: as published."""


class Inpainting(Section):
    """Dilated ResNet for inpainting (Demir & Unal 2018, 1803.07422)."""

    name: Literal["inpainting"] = "inpainting"
    channels: Width = 64
    downsamplings: Halvings = 2
    blocks: Layers = 9
    dilation: Width = 2
    norm: Norm = "instance"
    upsampling: Upsampling = "resize"


class Progressive(Section):
    """A generator that grows with the resolution (Karras et al. 2018, 1710.10196, section 2)."""

    name: Literal["progressive"] = "progressive"
    channels: Width = 64
    """Channels at the whole size."""
    depth: int = Field(6, ge=2, le=12)
    """Down-samplings at the whole size."""
    growths: int = Field(2, ge=0, le=8)
    """How often the resolution can double while it trains: as many as `train.stages` has entries."""
    norm: Norm = "instance"

    @model_validator(mode="after")
    def _growths_fit(self) -> Progressive:
        if self.growths >= self.depth:
            raise ValueError(f"growths {self.growths} need more depth than {self.depth}; set depth higher")
        return self


GENERATOR_SECTIONS: dict[str, type[Section]] = {
    "unet": UNet,
    "resnet": ResNet,
    "pix2pixhd_global": GlobalGenerator,
    "pix2pixhd_local": LocalEnhancer,
    "spade": SPADE,
    "srresnet": SRResNet,
    "inpainting": Inpainting,
    "progressive": Progressive,
}
