"""All sections together, and the checks that need more than one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.data import Data, Pairs
from p2pcli.recipe.discriminators import (
    SRGAN,
    GlobalPatch,
    ImageGAN,
    Multiscale,
    PatchGAN,
    SPADEMultiscale,
)
from p2pcli.recipe.encoders import FeatureEncoder, StyleEncoder
from p2pcli.recipe.generators import (
    SPADE,
    GlobalGenerator,
    Inpainting,
    LocalEnhancer,
    ResNet,
    SRResNet,
    UNet,
)
from p2pcli.recipe.losses import Losses
from p2pcli.recipe.section import Section
from p2pcli.recipe.train import Inference, Train

Generator = Annotated[
    UNet | ResNet | GlobalGenerator | LocalEnhancer | SPADE | SRResNet | Inpainting,
    Field(discriminator="name"),
]
Discriminator = Annotated[
    PatchGAN | ImageGAN | Multiscale | SPADEMultiscale | SRGAN | GlobalPatch,
    Field(discriminator="name"),
]
Encoder = Annotated[FeatureEncoder | StyleEncoder, Field(discriminator="name")]

TASK_DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "unpaired": {
        "losses": {"l1": 0.0, "cycle": 10.0, "identity": 5.0},
        "discriminator": {"name": "patchgan", "conditional": False},
        "train": {"best_metric": "cycle"},
    }
}
"""Task → section → keys whose defaults differ from pix2pix's: where unpaired data leave no choice, and the
cycle's published weights."""


class Recipe(Section):
    """One training run, resolved. Saved beside the run and inside every model file."""

    task: Literal["paired", "unpaired"] = "paired"
    """paired: pix2pix and its relatives. unpaired: CycleGAN, two generators and two discriminators."""
    title: str = ""
    pairs: Pairs = Pairs()
    data: Data = Data()
    generator: Generator = UNet()
    discriminator: Discriminator = PatchGAN()
    encoder: Encoder | None = None
    """A further network that sees the target while training. None: the generator sees the input alone."""
    losses: Losses = Losses()
    train: Train = Train()
    inference: Inference = Inference()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        defaults = TASK_DEFAULTS.get(str(values.get("task")), {})
        merged = {
            name: {**keys, **given}
            for name, keys in defaults.items()
            if isinstance(given := values.get(name, {}), Mapping)
        }
        return {**values, **merged}

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
