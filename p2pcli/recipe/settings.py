"""The sections of a recipe that describe no network: pairs, data, losses, the loop, inference."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.section import Section


class Pairs(Section):
    """Pairs made on the fly from plain photos; without a maker, DATA must hold pairs already."""

    maker: str | None = None
    """Name of the pair maker ("edges", "gray", "downsample"). None: DATA holds pairs."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the maker. What is not given is drawn anew for each image and epoch."""


class Data(Section):
    """How pairs come to the network's size and channels."""

    size: int = Field(256, ge=16, le=4096)
    """Side in px of the square the networks see while training."""
    load_size: int | None = Field(286, ge=16, le=8192)
    """Side in px before the random crop to `size`. None: no jitter."""
    fit: Literal["stretch", "crop"] = "stretch"
    """stretch: aspect ignored, as published. crop: the shorter side comes to `load_size`, aspect kept."""
    flip: bool = True
    """Mirror left-right with probability 0.5, input and target together."""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """BtoA swaps input and target. In side-by-side images A is the left half."""
    input_channels: int = Field(3, ge=1, le=1024)
    """1: the input is turned to gray. Pictures have 1 or 3; more are label planes or several pictures."""
    target_channels: int = Field(3, ge=1, le=16)
    """1: the target is turned to gray."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the pairs held out where DATA has no validation split of its own."""

    @model_validator(mode="after")
    def _load_size_covers_size(self) -> Data:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is smaller than size {self.size}")
        return self


class Losses(Section):
    """Term = weight in the generator's loss. A weight of 0 leaves the term out."""

    gan: float = Field(1.0, ge=0)
    l1: float = Field(100.0, ge=0)


class Train(Section):
    """The loop: length, steps, precision, what is written when."""

    epochs: int = Field(100, ge=0)
    """Epochs at the full learning rate."""
    decay_epochs: int = Field(100, ge=0)
    """Epochs over which the rate then falls linearly towards 0."""
    steps: int | None = Field(None, ge=1)
    """Length in steps instead of epochs: full rate for the first half, linear decay for the second."""
    batch_size: int = Field(1, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    init_gain: float = Field(0.02, gt=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the processor has it, float16 with a scaler on older GPUs, else float32."""
    channels_last: bool = True
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay per step of an exponential moving average of the generator; validated and saved in its stead."""
    seed: int = Field(0, ge=0)
    checkpoint_minutes: float = Field(5.0, gt=0)
    """A checkpoint at least this often, and at every epoch's end."""
    keep_last: int = Field(2, ge=1)
    """How many checkpoints stay on disk."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations."""
    validation_images: int = Field(64, ge=1)
    """At most this many validation pairs are measured."""
    sample_images: int = Field(6, ge=1)
    """Rows of a sample grid."""
    best_metric: Literal["l1", "psnr", "ssim"] = "ssim"
    """What best.safetensors is best in, on the validation split."""


class Inference(Section):
    """How `translate` runs the trained network, unless told otherwise."""

    statistics: Literal["sample", "running"] = "sample"
    """Batch-norm statistics: each image's own (the same result for any batch size), or the running ones."""
    dropout: bool = False
