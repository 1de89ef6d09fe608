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
    ProgressiveDiscriminator,
    SPADEMultiscale,
)
from p2pcli.recipe.encoders import FeatureEncoder, StyleEncoder
from p2pcli.recipe.generators import (
    SPADE,
    GlobalGenerator,
    Inpainting,
    LocalEnhancer,
    Progressive,
    ResNet,
    SRResNet,
    UNet,
)
from p2pcli.recipe.losses import Losses
from p2pcli.recipe.section import Section
from p2pcli.recipe.train import Inference, Train

Generator = Annotated[
    UNet | ResNet | GlobalGenerator | LocalEnhancer | SPADE | SRResNet | Inpainting | Progressive,
    Field(discriminator="name"),
]
Discriminator = Annotated[
    PatchGAN | ImageGAN | Multiscale | SPADEMultiscale | SRGAN | GlobalPatch | ProgressiveDiscriminator,
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
    def _scales_fit(self) -> Recipe:
        scale = self.data.scale
        grows = self.generator.scale if isinstance(self.generator, SRResNet) else 1
        if grows != scale:
            raise ValueError(
                f"generator {self.generator.name} enlarges {grows} times, data.scale is {scale}; set both "
                f"to the same (srresnet enlarges, other generators keep the size)"
            )
        options = self.pairs.options
        if self.pairs.maker == "downsample" and scale > 1:
            if options.get("factor", 4) != scale or options.get("restore_size", True):
                raise ValueError(
                    f"data.scale {scale} needs inputs that stay small: set pairs.options.factor={scale} and "
                    f"pairs.options.restore_size=false"
                )
        elif self.pairs.maker is not None and scale > 1:
            raise ValueError(f"pair maker {self.pairs.maker} keeps the size; set data.scale=1")
        return self

    @model_validator(mode="after")
    def _conditions_fit(self) -> Recipe:
        data, maker = self.data, self.pairs.maker
        if self.task == "unpaired" and not (data.is_plain and maker is None):
            raise ValueError(
                "task unpaired maps plain pictures of two domains; leave pair makers and color, labels, "
                "instances, mask, extra, classes and scale of [data] out"
            )
        if isinstance(self.encoder, FeatureEncoder) and data.instances is None:
            raise ValueError('encoder pix2pixhd_features needs instances: set data.instances="inst"')
        if maker is not None and (data.color == "lab" or data.labels is not None):
            key = "color" if data.color == "lab" else "labels"
            raise ValueError(f"pair maker {maker} and data.{key} both say what the input is; leave one out")
        if (maker == "mask") != data.mask and maker is not None:
            raise ValueError("pair maker mask makes holes: it goes with data.mask = true, and only it does")
        return self

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

    @model_validator(mode="after")
    def _stages_fit(self) -> Recipe:
        growths, data = len(self.train.stages), self.data
        if not growths:
            return self
        for section in (self.generator, self.discriminator):
            own = getattr(section, "growths", growths)
            if own != growths:
                raise ValueError(
                    f"{section.name} can double {own} times, and train.stages has {growths} entries, one for "
                    f"each doubling; set growths to as many, or leave train.stages out"
                )
        if data.size % (1 << growths) or data.size >> growths < 16:
            raise ValueError(
                f"data.size {data.size} cannot be halved {growths} times to 16 px or more, once an entry "
                f"of train.stages; set another size or fewer stages"
            )
        if data.fit == "source" or data.scale > 1:
            raise ValueError(
                'train.stages bring pictures to several sizes; leave data.fit = "source" and data.scale out'
            )
        return self
