"""The loop: length, steps, precision, what is written when; and how the result is run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from p2pcli.plan import MAX_SEED
from p2pcli.recipe.section import Count, CountFromZero, Section

Decay = Literal["linear", "linear-2020", "linear-2018", "linear-hd", "cosine", "step", "plateau", "none"]


class Train(Section):
    """The loop: length, steps, precision, what is written when."""

    epochs: CountFromZero = 100
    """Epochs at the full learning rate."""
    decay_epochs: CountFromZero = 100
    """Epochs over which the rate then falls, as `decay` says."""
    steps: Count | None = None
    """Length in steps instead of epochs: full rate for the first half, decay in the second."""
    decay: Decay = "linear"
    """linear: to 1/(decay_epochs + 1), as the published code since 2025. linear-2020, linear-2018: as in
    those years, one epoch early and 0 in the last one. linear-hd: pix2pixHD's and SPADE's. cosine: half a
    wave over decay_epochs. step: times decay_factor every decay_every. plateau: times decay_factor where
    best_metric stalls. none: the whole rate throughout, as the first pix2pix."""
    decay_every: Count = 50
    """step: epochs between two falls; steps where the length is given in steps."""
    decay_factor: float | None = Field(None, gt=0, lt=1)
    """None: 0.1 for step, 0.2 for plateau, as published."""
    decay_patience: CountFromZero = 5
    """plateau: validations without a gain of 1 % that are borne before the rate falls."""
    stages: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((), max_length=8)
    """Progressive resolution (Karras et al. 2018, 1710.10196): shares of the run before the last stage.
    [0.3, 0.3]: 30 % of all steps at a quarter of `data.size`, 30 % at half of it, the rest at the whole."""
    fade: float = Field(0.5, ge=0, le=1)
    """Share of each later stage in which its new layers fade in."""
    batch_size: Count = 1
    """Pairs that one update sees."""
    accumulate: Count = 1
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
    pool_size: CountFromZero = 50
    """Unpaired: earlier results that D is shown among new ones (CycleGAN, 1703.10593, section 4)."""
    init_from: tuple[str, ...] = ()
    """Fine-tuning: model files or run folders whose weights the networks start with; what none of them holds
    starts fresh. A run folder brings its discriminator, too."""
    warmup_discriminator: CountFromZero = 0
    """First steps in which D alone learns: for a fresh D beside a trained G."""
    freeze: tuple[str, ...] = ()
    """Keys, or beginnings of keys up to a dot, of weights that do not learn: "model.model.0"; those of D
    after its name: "discriminator.model.0"."""
    freeze_global_epochs: CountFromZero = 0
    """pix2pixhd_local: first epochs in which the global generator stands still and its enhancers (their keys
    begin with model1_, model2_, …) and encoder learn; then all weights learn, with a new optimizer."""
    diffaugment: tuple[Literal["color", "translation", "cutout"], ...] = ()
    """Differentiable augmentation of all that D sees (Zhao et al. 2020, 2006.10738), for small data."""
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    init_gain: float = Field(0.02, gt=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the processor has it, float16 with a scaler on older GPUs, else float32."""
    channels_last: bool = True
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay per step of an exponential moving average of the generator; validated and saved in its stead."""
    compile: bool = False
    """Compile the networks with torch.compile: slow to start, needs a C++ compiler (CPU) or Triton (CUDA)."""
    tensorboard: bool = False
    """Write curves and sample grids for TensorBoard as well, below the run's tensorboard/."""
    seed: int = Field(0, ge=0, le=MAX_SEED)
    checkpoint_minutes: float = Field(5.0, gt=0)
    """A checkpoint at least this often, and at every epoch's end unless that took over 2 % of the time."""
    keep_last: Count = 2
    """How many checkpoints stay on disk."""
    validate_every: Count = 1
    """Epochs between validations."""
    validation_images: Count = 64
    """At most this many validation pairs are measured."""
    sample_images: Count = 6
    """Rows of a sample grid."""
    best_metric: Literal["l1", "psnr", "ssim", "cycle"] = "ssim"
    """What best.safetensors is best in, on the validation split. Unpaired: "cycle", L1 of A → B → A."""

    @field_validator("init_from", mode="before")
    @classmethod
    def _one_is_enough(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _stages_leave_a_rest(self) -> Train:
        if sum(self.stages) >= 1:
            raise ValueError(f"stages are shares of the run; {list(self.stages)} leave nothing to the last")
        return self


class Inference(Section):
    """How `translate` runs the trained network, unless told otherwise."""

    statistics: Literal["sample", "running"] = "sample"
    """Batch-norm statistics: each image's own (the same result for any batch size), or the running ones."""
    dropout: bool = False
