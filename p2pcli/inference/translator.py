"""A trained network as a function from picture to picture: any size, any depth, the size of the source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.conditions import as_picture, channels_of, further_layers, input_planes, main_layers
from p2pcli.errors import UsageError
from p2pcli.image import Image, as_gray8, as_rgb8, resize
from p2pcli.inference.cores import run_by_core
from p2pcli.inference.device import choose_device, describe_device
from p2pcli.inference.model_file import ModelInfo, read_model
from p2pcli.inference.modes import inference_mode
from p2pcli.inference.precision import free_memory, pick_dtype, reduced_copy
from p2pcli.inference.preparation import Preparation, Prepare, preparation_for
from p2pcli.nets.blocks import SizeNeeds, Statistics
from p2pcli.randomness import rng_for
from p2pcli.recipe import Recipe
from p2pcli.tasks import build_generator
from p2pcli.tasks.networks import recipe_of_direction, runnable, state_of
from p2pcli.tasks.unpaired import DIRECTIONS
from p2pcli.tensors import stacked, to_batch, to_images


def load_model(
    path: str | Path,
    *,
    device: str = "auto",
    precision: str = "auto",
    statistics: Statistics | None = None,
    dropout: bool | None = None,
    prepare: Prepare = "auto",
    direction: str | None = None,
    seed: int = 0,
) -> Translator:
    """The translator stored in a model file, or in a run folder (see `model_in`).

    `precision` is "auto", "float32", "bfloat16" or "float16"; `statistics` ("sample" or "running") and
    `dropout` default to what the model's recipe says. `prepare` says whether pictures go through the pair
    maker that made the training inputs (see `preparation_for`). `direction`, "AtoB" or "BtoA", chooses one
    of the two generators of an unpaired model; None: AtoB. Raises `UsageError` where the file is no model or
    does not hold that direction, `EnvironmentFaultError` where the device is not there.
    """
    where = choose_device(device)
    dtype = pick_dtype(precision, where)
    if statistics not in (None, "sample", "running"):
        raise UsageError(f"no batch-norm statistics '{statistics}'. Known: sample, running.")
    file = model_in(Path(path))
    state, recipe, info = read_model(file)
    if info.role != "generator":
        raise UsageError(
            f"{file}: holds a {info.role}, which translates nothing. Give it the generator's file."
        )
    network, recipe = _generator_in(file, state, recipe, direction=direction)
    return Translator(
        network,
        recipe,
        path=file,
        info=info,
        device=where,
        dtype=dtype,
        statistics=statistics or recipe.inference.statistics,
        dropout=recipe.inference.dropout if dropout is None else dropout,
        preparation=preparation_for(recipe, info, prepare=prepare, seed=seed),
        seed=seed,
    )


def _generator_in(
    file: Path, state: Mapping[str, Tensor], recipe: Recipe, *, direction: str | None
) -> tuple[nn.Module, Recipe]:
    """The generator of `direction` with its weights, and the recipe as that generator sees it."""
    if direction not in (None, *DIRECTIONS):
        raise UsageError(f"no direction '{direction}'. Known: {', '.join(DIRECTIONS)}.")
    if recipe.task == "unpaired":
        name = direction or DIRECTIONS[0]
        recipe = recipe_of_direction(recipe, name)
    elif direction not in (None, recipe.data.direction):
        raise UsageError(
            f"{file}: translates {recipe.data.direction} only; {direction} was asked for. Leave --direction "
            f"out, or train the other way with --set data.direction={direction}."
        )
    else:
        name = "generator"
    network = build_generator(recipe)
    try:
        network.load_state_dict(state_of(state, name))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UsageError(
            f"{file}: its weights do not fit the network that its recipe describes ({first}). Save it again."
        ) from None
    return runnable(recipe, network), recipe


def model_in(path: Path) -> Path:
    """`path` itself, or in a run folder best.safetensors, else model.safetensors."""
    if not path.is_dir():
        return path
    for name in ("best.safetensors", "model.safetensors"):
        if (path / name).is_file():
            return path / name
    raise UsageError(
        f"{path}: holds neither best.safetensors nor model.safetensors, so it is no finished run. Train "
        "first, or name a model file."
    )


class Translator:
    """A loaded model: call it with a picture. Use it from one thread at a time."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        *,
        path: Path,
        info: ModelInfo,
        device: torch.device,
        dtype: torch.dtype,
        statistics: Statistics,
        dropout: bool,
        preparation: Preparation,
        seed: int,
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        """float32 (B, C, H, W) in [-1, 1] → the same, for sides that `size_needs` allows."""
        self.recipe = recipe
        self.path = path
        self.info = info
        self.device = device
        self.dtype = dtype
        self.statistics: Statistics = statistics
        self.dropout = dropout
        self.preparation = preparation
        self.seed = seed
        self._running = reduced_copy(self.network, dtype)

    @property
    def size_needs(self) -> SizeNeeds:
        """What the network asks of height and width; pictures are padded to it and cropped back."""
        needs: SizeNeeds = self.network.size_needs  # type: ignore[assignment]
        return needs

    def padded_size(self, image: Image) -> tuple[int, int]:
        """(height, width) that the network will see for `image`."""
        needs = self.size_needs

        def padded(side: int) -> int:
            return max(needs.minimum, -(-side // needs.multiple_of) * needs.multiple_of)

        return padded(image.shape[0]), padded(image.shape[1])

    def batch_that_suits(self, bucket: Hashable) -> int:
        """How many pictures of this size ((height, width, …), padded) to put through the network at once.

        On the CPU eight of 256 px, or fewer larger ones: weights are then read once for all of them. On a
        GPU what fits into half of the memory that is free.
        """
        assert isinstance(bucket, tuple)
        pixels = int(bucket[0]) * int(bucket[1])
        if self.device.type != "cuda":
            return max(1, min(8, 8 * 256 * 256 // pixels))
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(1, min(64, int(free / 2 / (pixels * self.bytes_per_pixel))))

    @property
    def bytes_per_pixel(self) -> float:
        """About what the network needs at its peak (seen in bfloat16: full U-Net 103, ResNet 254)."""
        section = self.recipe.generator
        values = section.channels * (0.75 if section.name == "unet" else 2.0)
        # 48: the picture and its translation as float32, padded and whole.
        return 48 + values * torch.empty((), dtype=self.dtype).element_size()

    def describe(self) -> str:
        """A sentence on how the model runs: device, format, statistics, dropout."""
        number_format = str(self.dtype).removeprefix("torch.")
        noise = f"dropout on, seed {self.seed}" if self.dropout else "dropout off"
        return f"{describe_device(self.device)}, {number_format}, {self.statistics} statistics, {noise}"

    def __call__(self, image: Image, *, key: str = "", extras: Mapping[str, Image] | None = None) -> Image:
        """The translation of `image` (H, W, C) or (H, W), uint8 or uint16, C in {1, 3, 4}.

        Gives (H, W, C) of the same dtype: C is the model's (3, or 1 for a gray target), and 4 where the
        source has alpha, which is carried over. `key` names the picture where something is drawn at random,
        and its class as CLASS/NAME; `extras` holds the further pictures that a model may ask for
        (`recipe.data.further_pictures`), each (H, W, C). What becomes of label maps, holes and lightness is
        the recipe's [data]; a super-resolution model gives a larger picture.
        """
        shaped = image[:, :, None] if image.ndim == 2 else image
        return self.run([self.prepare(shaped, key, extras=extras)], [shaped], [key])[0]

    def translate_batch(self, images: Sequence[Image], *, keys: Sequence[str] | None = None) -> list[Image]:
        """Translations of `images`, each (H, W, C), all of one `padded_size` and dtype.

        Each result is what its picture alone would give.
        """
        names = keys or [""] * len(images)
        return self.run(
            [self.prepare(image, key) for image, key in zip(images, names, strict=True)], images, names
        )

    def prepare(self, image: Image, key: str, *, extras: Mapping[str, Image] | None = None) -> Image:
        """What the network is to see: through the pair maker where there is one, then gray or RGB.

        With conditions it is packed as `p2pcli.conditions` has it. Raises `ItemError` where the picture does
        not suit them.
        """
        if image.dtype not in (np.uint8, np.uint16):
            raise UsageError(f"an image is uint8 or uint16, not {image.dtype}. Convert it first.")
        channels = self.recipe.data.input_channels
        if channels not in (1, 3):
            raise UsageError(
                f"{self.path}: its network sees {channels} channels (labels, several pictures); a picture "
                "has 1 or 3. Feed it tensors: load_model(path).network."
            )
        if self.preparation.apply is not None:
            image = self.preparation.apply(image, key)
        if not self._is_packed:
            return _with_channels(image, channels)
        data, (height, width), further = self.recipe.data, image.shape[:2], extras or {}
        main = main_layers(
            image, data, width=width, height=height, name=key or "the picture", mask=further.get("mask")
        )
        more = further_layers(further, data, key=key or "the picture", width=width, height=height)
        return main if more is None else np.concatenate([main, more], axis=2)

    @property
    def _is_packed(self) -> bool:
        """True where the network sees more, or something else, than a picture."""
        data = self.recipe.data
        return not data.is_plain and data.scale == 1

    def run(self, inputs: Sequence[Image], sources: Sequence[Image], keys: Sequence[str]) -> list[Image]:
        """The network alone: `inputs` are prepared; size, dtype and alpha of the results follow `sources`."""
        if self.dropout and len(inputs) > 1:
            # A mask is drawn for a whole batch, so that one by one is the only way to fix each picture's own.
            singles = zip(inputs, sources, keys, strict=True)
            return [self.run([one], [source], [key])[0] for one, source, key in singles]
        self._require_memory(len(inputs), self.padded_size(inputs[0]))
        batch = torch.cat([self._padded(group) for group in _runs_of_equals(inputs)])
        with inference_mode(self._running, statistics=self.statistics, dropout=self.dropout):
            outputs: Tensor = self._drawn(batch.to(self.dtype), keys[0])
        if self._is_packed:
            return self._completed(outputs, inputs, sources)
        return _as_images(outputs, inputs, sources, scale=self.recipe.data.scale)

    def _completed(self, outputs: Tensor, inputs: Sequence[Image], sources: Sequence[Image]) -> list[Image]:
        """Results as pictures: with the source's lightness, around holes the source itself."""
        data, results = self.recipe.data, []
        for output, packed, source in zip(outputs, inputs, sources, strict=True):
            height, width = packed.shape[:2]
            left, top = (output.shape[2] - width) // 2, (output.shape[1] - height) // 2
            cropped = output[None, :, top : top + height, left : left + width]
            picture = as_picture(cropped, stacked([packed]).to(self.device), data)
            is_map = data.labels is not None
            image = to_images(picture, dtype=np.uint8 if is_map else source.dtype)[0]
            if data.mask:
                # From the source itself, which may have 16 bits: what is not in a hole stays as it is.
                hole = packed[:, :, channels_of(data)["hole"]] > 0
                opaque = source[:, :, :3] if source.shape[2] == 4 else source
                image = np.where(hole, image, _with_channels(opaque, image.shape[2]))
            elif source.shape[2] == 4 and not is_map:
                image = np.concatenate([_with_channels(image, 3), source[:, :, 3:]], axis=2)
            results.append(np.ascontiguousarray(image))
        return results

    def _require_memory(self, count: int, size: tuple[int, int]) -> None:
        """Raise `MemoryError` before the system ends the process, which a CPU's allocator cannot foresee."""
        free = free_memory() if self.device.type == "cpu" else None
        needed = count * size[0] * size[1] * self.bytes_per_pixel
        if free is not None and needed > free:
            raise MemoryError(
                f"{count} × {size[1]}×{size[0]} px need about {needed / 1e9:.1f} GB in this network; "
                f"{free / 1e9:.1f} GB are free."
            )

    def _drawn(self, batch: Tensor, key: str) -> Tensor:
        if not self.dropout and self.device.type == "cpu" and self.dtype != torch.float32:
            # In float32 a picture comes out the same to the last bit, whatever shares its batch.
            return run_by_core(self._running, batch)
        if not self.dropout:
            result: Tensor = self._running(batch)
            return result
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(rng_for(self.seed, key, "dropout").integers(1 << 62)))
            drawn: Tensor = self._running(batch)
        return drawn

    def _padded(self, images: Sequence[Image]) -> Tensor:
        height, width = images[0].shape[:2]
        padded_height, padded_width = self.padded_size(images[0])
        if self._is_packed:
            batch = input_planes(stacked(images).to(self.device), self.recipe.data)
        else:
            batch = to_batch(images, device=self.device)
        left, top = (padded_width - width) // 2, (padded_height - height) // 2
        batch = _pad(batch, (left, padded_width - width - left, 0, 0), shorter=width)
        batch = _pad(batch, (0, 0, top, padded_height - height - top), shorter=height)
        return batch.contiguous(memory_format=torch.channels_last)


def _as_images(
    outputs: Tensor, inputs: Sequence[Image], sources: Sequence[Image], *, scale: int
) -> list[Image]:
    """Crop to the size of `inputs` times `scale`; dtype and alpha come from `sources`."""
    results = []
    for image, seen, source in zip(to_images(outputs, dtype=sources[0].dtype), inputs, sources, strict=True):
        height, width = seen.shape[0] * scale, seen.shape[1] * scale
        # In steps of the input's pixels, as it was padded.
        left, top = (image.shape[1] - width) // (2 * scale), (image.shape[0] - height) // (2 * scale)
        left, top = left * scale, top * scale
        cropped = image[top : top + height, left : left + width]
        if source.shape[2] == 4 and source.shape[:2] == seen.shape[:2]:
            colours = np.repeat(cropped, 3, axis=2) if cropped.shape[2] == 1 else cropped
            alpha = resize(source[:, :, 3:], width, height, kernel="bicubic")
            cropped = np.concatenate([colours, alpha], axis=2)
        results.append(np.ascontiguousarray(cropped))
    return results


def _pad(batch: Tensor, sides: tuple[int, int, int, int], *, shorter: int) -> Tensor:
    """Reflect `sides` px, without doubling the edge; repeat the edge where the picture is too small."""
    if not any(sides):
        return batch
    return F.pad(batch, sides, mode="reflect" if max(sides) < shorter else "replicate")


def _with_channels(image: Image, channels: int) -> Image:
    """`image` with 1 or 3 channels, without alpha; uint16 stays uint16."""
    if image.shape[2] == channels:
        return image
    if image.dtype == np.uint8:
        return as_gray8(image) if channels == 1 else as_rgb8(image)
    colours = image
    if image.shape[2] == 4:
        opacity = image[:, :, 3:].astype(np.float64) / 65535
        colours = np.rint(image[:, :, :3] * opacity + 65535 * (1 - opacity)).astype(np.uint16)
    if colours.shape[2] == channels:
        return colours
    if colours.shape[2] == 1:
        return np.repeat(colours, 3, axis=2)
    # BT.601 luma, as `as_gray8` has it.
    luma: Image = np.rint(colours @ np.array([0.299, 0.587, 0.114])).astype(np.uint16)
    return luma[:, :, None]


def _runs_of_equals(images: Sequence[Image]) -> list[list[Image]]:
    """`images` in order, cut where shape or dtype changes."""
    runs: list[list[Image]] = []
    for image in images:
        if runs and (runs[-1][0].shape, runs[-1][0].dtype) == (image.shape, image.dtype):
            runs[-1].append(image)
        else:
            runs.append([image])
    return runs
