"""The loop: length, steps, precision, what is written when; and how the result is run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from p2pcli.recipe.section import Section


class Train(Section):
    """The loop: length, steps, precision, what is written when."""

    epochs: int = Field(100, ge=0)
    """Epochs at the full learning rate."""
    decay_epochs: int = Field(100, ge=0)
    """Epochs over which the rate then falls linearly towards 0."""
    steps: int | None = Field(None, ge=1)
    """Length in steps instead of epochs: full rate for the first half, linear decay for the second."""
    batch_size: int = Field(1, ge=1)
    """Pairs that one update sees."""
    accumulate: int = Field(1, ge=1)
    """Parts that a batch is computed in, one after the other: less memory, the same update but for batch norm
    and dropout, which see each part alone."""
    learning_rate: float = Field(2e-4, gt=0)
    discriminator_learning_rate: float | None = Field(None, gt=0)
    """TTUR (Heusel et al. 2017, 1706.08500). None: as the generator's."""
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of all gradients of an update together. None: no clipping."""
    order: Literal["discriminator-first", "generator-first"] | None = None
    """Whose update comes first. None: as published, D for pix2pix, G for pix2pixHD, SPADE and CycleGAN."""
    pool_size: int = Field(50, ge=0)
    """Unpaired: earlier results that D is shown among new ones (CycleGAN, 1703.10593, section 4)."""
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
    best_metric: Literal["l1", "psnr", "ssim", "cycle"] = "ssim"
    """What best.safetensors is best in, on the validation split. Unpaired: "cycle", L1 of A → B → A."""


class Inference(Section):
    """How `translate` runs the trained network, unless told otherwise."""

    statistics: Literal["sample", "running"] = "sample"
    """Batch-norm statistics: each image's own (the same result for any batch size), or the running ones."""
    dropout: bool = False
