"""All sections together, and the checks that need more than one of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.discriminators import (
    SRGAN,
    GlobalPatch,
    ImageGAN,
    Multiscale,
    PatchGAN,
    SPADEMultiscale,
)
from p2pcli.recipe.generators import (
    SPADE,
    GlobalGenerator,
    Inpainting,
    LocalEnhancer,
    ResNet,
    SRResNet,
    UNet,
)
from p2pcli.recipe.section import Section
from p2pcli.recipe.settings import Data, Inference, Losses, Pairs, Train

Generator = Annotated[
    UNet | ResNet | GlobalGenerator | LocalEnhancer | SPADE | SRResNet | Inpainting,
    Field(discriminator="name"),
]
Discriminator = Annotated[
    PatchGAN | ImageGAN | Multiscale | SPADEMultiscale | SRGAN | GlobalPatch,
    Field(discriminator="name"),
]


class Recipe(Section):
    """One training run, resolved. Saved beside the run and inside every model file."""

    task: Literal["paired"] = "paired"
    title: str = ""
    pairs: Pairs = Pairs()
    data: Data = Data()
    generator: Generator = UNet()
    discriminator: Discriminator = PatchGAN()
    losses: Losses = Losses()
    train: Train = Train()
    inference: Inference = Inference()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Recipe:
        if isinstance(self.generator, UNet):
            depth = self.generator.depth or self.data.size.bit_length() - 1
            if self.data.size % (1 << depth):
                raise ValueError(
                    f"data.size {self.data.size} is not a multiple of {1 << depth}, which a U-Net of depth "
                    f"{depth} needs; set data.size to a power of two or generator.depth to a smaller number"
                )
            if depth < 5:
                raise ValueError("a U-Net needs data.size of at least 32")
        return self
