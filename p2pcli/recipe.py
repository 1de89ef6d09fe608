"""A recipe says what a run trains and how: TOML → frozen, strict models; `--set a.b=v` overrides.

Checks that need no network and no file happen here; nothing here imports torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from p2pcli.errors import RecipeError, did_you_mean


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _none_is_a_word(cls, values: Any) -> Any:
        """TOML has no null: "none" stands for it where a key may be without a value."""
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields.items()
        optional = {name for name, field in fields if type(None) in get_args(field.annotation)}
        return {name: None if name in optional and v == "none" else v for name, v in values.items()}


class Pairs(_Section):
    """Pairs made on the fly from plain photos; without a maker, DATA must hold pairs already."""

    maker: str | None = None
    """Name of the pair maker ("edges", "gray", "downsample"). None: DATA holds pairs."""
    options: dict[str, Any] = {}
    """Options of the maker. What is not given is drawn anew for each image and epoch."""


class Data(_Section):
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
    input_channels: Literal[1, 3] = 3
    """1: the input is turned to gray."""
    target_channels: Literal[1, 3] = 3
    """1: the target is turned to gray."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the pairs held out where DATA has no validation split of its own."""

    @model_validator(mode="after")
    def _load_size_covers_size(self) -> Data:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is smaller than size {self.size}")
        return self


class UNet(_Section):
    """pix2pix U-Net (Isola et al. 2017, 1611.07004, section 6.1.1)."""

    name: Literal["unet"] = "unet"
    channels: int = Field(64, ge=1)
    """Channels of the outermost level (ngf)."""
    depth: int | None = Field(None, ge=5)
    """Down-samplings. None: log2 of data.size, so that the bottleneck is 1×1."""
    norm: Literal["batch", "instance", "none"] = "batch"
    dropout: bool = True
    """Dropout(0.5) on the inner decoder levels: the paper's noise."""
    skips: bool = True
    """False: the paper's encoder-decoder ablation (section 4.2)."""


class ResNet(_Section):
    """ResNet generator (Johnson et al. 2016; CycleGAN, 1703.10593, section 7.1)."""

    name: Literal["resnet"] = "resnet"
    channels: int = Field(64, ge=1)
    blocks: int = Field(9, ge=1)
    norm: Literal["batch", "instance", "none"] = "instance"
    dropout: bool = False


class PatchGAN(_Section):
    """PatchGAN discriminator (pix2pix, section 6.1.2)."""

    name: Literal["patchgan"] = "patchgan"
    channels: int = Field(64, ge=1)
    """Channels of the first layer (ndf)."""
    receptive_field: Literal[1, 16, 70, 286] = 70
    """Side in px of the patch that one output judges."""
    norm: Literal["batch", "instance", "none"] = "batch"
    conditional: bool = True
    """False: D sees the target alone (the paper's GAN ablation, section 4.1)."""
    objective: Literal["bce", "lsgan", "hinge"] = "bce"


class Losses(_Section):
    """Term = weight in the generator's loss. A weight of 0 leaves the term out."""

    gan: float = Field(1.0, ge=0)
    l1: float = Field(100.0, ge=0)


class Train(_Section):
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
    """A checkpoint at least this often, and at every epoch's end unless that took over 2 % of the time."""
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


class Inference(_Section):
    """How `translate` runs the trained network, unless told otherwise."""

    statistics: Literal["sample", "running"] = "sample"
    """Batch-norm statistics: each image's own (the same result for any batch size), or the running ones."""
    dropout: bool = False


class Recipe(_Section):
    """One training run, resolved. Saved beside the run and inside every model file."""

    task: Literal["paired"] = "paired"
    title: str = ""
    pairs: Pairs = Pairs()
    data: Data = Data()
    generator: Annotated[UNet | ResNet, Field(discriminator="name")] = UNet()
    discriminator: PatchGAN = PatchGAN()
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


GENERATOR_SECTIONS: dict[str, type[_Section]] = {"unet": UNet, "resnet": ResNet}


def recipes_folder() -> Path:
    """Where the shipped recipes lie: inside an installed wheel, or at the top of a checkout."""
    inside = Path(__file__).parent / "recipes"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Name → file of every recipe that comes with p2p, sorted by name."""
    return {path.stem: path for path in sorted(recipes_folder().glob("*.toml"))}


def load_recipe(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe called or stored so, with `--set`-style overrides ("train.epochs=5") applied in order.

    Raises `RecipeError` that names file and key, with a did-you-mean.
    """
    path = Path(name_or_path)
    shipped = shipped_recipes()
    if str(name_or_path) in shipped:
        path = shipped[str(name_or_path)]
    elif not path.is_file():
        raise RecipeError(
            f"no recipe '{name_or_path}': neither a shipped name nor a TOML file. "
            f"{did_you_mean(str(name_or_path), shipped)}"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML ({error}). Compare with a shipped recipe.") from None
    for override in overrides:
        set_value(values, override)
    return parse_recipe(values, where=str(name_or_path))


def parse_recipe(values: Mapping[str, Any], *, where: str) -> Recipe:
    """Check plain values (as TOML or JSON gives them) against the models; `where` goes into messages."""
    values = _with_names(values, where)
    try:
        # JSON mode: strict about types, while TOML arrays may still become tuples.
        return Recipe.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None
    except TypeError as error:
        raise RecipeError(f"{where}: a value has a type that recipes do not use ({error}).") from None


def _with_names(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy in which a generator without a name is a U-Net; an unknown name gets its did-you-mean."""
    generator = values.get("generator")
    if not isinstance(generator, dict):
        return dict(values)
    name = generator.get("name", "unet")
    if name not in GENERATOR_SECTIONS:
        hint = did_you_mean(str(name), GENERATOR_SECTIONS)
        raise RecipeError(f"{where}: unknown generator '{name}'. {hint}")
    return {**values, "generator": {**generator, "name": name}}


def set_value(values: dict[str, Any], override: str) -> None:
    """Apply one "a.b=v" in place; v is a TOML value, or else taken as a plain string."""
    name, equals, text = override.partition("=")
    parts = name.strip().split(".")
    if not equals or not all(parts):
        raise RecipeError(f"--set {override}: expected key=value, such as --set train.epochs=20.")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section = values
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise RecipeError(f"--set {override}: '{part}' is a value, not a section.")
    section[parts[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first problem as "unknown key 'losses.l_1'. Did you mean 'l1'?" or "key: what was expected"."""
    problem = error.errors(include_url=False)[0]
    place = [str(part) for part in problem["loc"] if part not in GENERATOR_SECTIONS]
    dotted = ".".join(place)
    if problem["type"] == "extra_forbidden":
        section = ".".join(place[:-1]) or "a recipe"
        known = _known_keys(problem["loc"][:-1])
        hint = _suggest(place[-1], known)
        return f"unknown key '{dotted}'. {section} has: {', '.join(known)}. {hint}".strip()
    value = problem["input"]
    found = "" if isinstance(value, dict) else f" (found {json.dumps(value, default=str)})"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{dotted}: {message}{found}." if dotted else f"{message}."


def _suggest(word: str, known: list[str]) -> str:
    sentence = did_you_mean(word, known)
    return sentence if sentence.startswith("Did") else ""


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        if part in GENERATOR_SECTIONS:
            model = GENERATOR_SECTIONS[str(part)]
            continue
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return sorted(model.model_fields)
