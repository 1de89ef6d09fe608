"""A trained network as a function from picture to picture: any size, any depth, the size of the source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2pcli.conditions import further_layers, input_planes, main_layers
from p2pcli.errors import UsageError
from p2pcli.image import Colour, Image, colour_of, over
from p2pcli.inference.batch_invariance import batch_invariant
from p2pcli.inference.completion import completed
from p2pcli.inference.device import choose_device, describe_device
from p2pcli.inference.fitting import Picture, as_images, pad, picture_of, runs_of_equals, with_channels
from p2pcli.inference.looks import Looks, looks_in
from p2pcli.inference.model_file import ModelInfo, generator_in, model_in, read_model
from p2pcli.inference.modes import inference_mode, set_modes
from p2pcli.inference.needs import bytes_per_pixel, memory_for
from p2pcli.inference.outside import dtype_for, is_from_outside, read_outside, require_no_modes, tiling_for
from p2pcli.inference.precision import pick_dtype, reduced_copy
from p2pcli.inference.preparation import Preparation, Prepare, preparation_for
from p2pcli.inference.soft_edges import with_alpha
from p2pcli.inference.tiling import TILE_BYTES, Tiling, run_in_tiles
from p2pcli.io.places import path_of
from p2pcli.nets.blocks import SizeNeeds, Statistics
from p2pcli.plan import MAX_SEED
from p2pcli.randomness import rng_for
from p2pcli.recipe import Data, Recipe
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
    look: str | int | Path = "auto",
    seed: int = 0,
    background: str | int = "white",
) -> Translator:
    """The translator stored in a model file, or in a run folder (see `model_in`).

    A file of another project (.pth, .safetensors) is read through spandrel: see `p2pcli.inference.outside`.
    `precision` is "auto", "float32", "bfloat16" or "float16"; `statistics` ("sample" or "running") and
    `dropout` default to what the model's recipe says. `prepare` says whether pictures go through the pair
    maker that made the training inputs (see `preparation_for`). `direction`, "AtoB" or "BtoA", chooses one
    of the two generators of an unpaired model; None: AtoB. `look` chooses among the results that a model with
    an encoder has for one input (see `looks_in`): "auto", "sample", "photo", a number, or the file of a photo
    whose look is taken. `background` ("white", "#ff8800", a gray from 0 to 255) is what it sees behind
    pictures with alpha. Raises `UsageError` where the file is no model, does not hold that direction or has
    no such look, `EnvironmentFaultError` where the device or spandrel is not there.
    """
    where = choose_device(device)
    dtype = pick_dtype(precision, where)
    if statistics not in (None, "sample", "running"):
        raise UsageError(f"no batch-norm statistics '{statistics}'. Known: sample, running.")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed}: expected 0 to {MAX_SEED}.")
    behind = colour_of(background)
    file = model_in(path_of(path, "model"))
    if is_from_outside(file):
        require_no_modes(
            file,
            statistics=statistics,
            dropout=dropout,
            direction=direction,
            maker=prepare == "maker",
            look=look != "auto",
        )
        is_asked = precision != "auto"
        return _outside_translator(file, where, dtype, is_asked=is_asked, seed=seed, background=behind)
    state, recipe, info = read_model(file)
    if info.role != "generator":
        raise UsageError(
            f"{file}: holds a {info.role}, which translates nothing. Give it the generator's file."
        )
    network, recipe = generator_in(file, state, recipe, direction=direction)
    network = network.to(where).requires_grad_(False)
    statistics = statistics or recipe.inference.statistics
    dropout = recipe.inference.dropout if dropout is None else dropout
    # Who calls `.network` gets what the translator makes.
    set_modes(network, statistics=statistics, dropout=dropout)
    return Translator(
        network,
        recipe.data,
        running=batch_invariant(reduced_copy(network, dtype)),
        scale=recipe.data.scale,
        bytes_per_pixel=bytes_per_pixel(recipe, dtype),
        recipe=recipe,
        looks=looks_in(file, state, recipe, look=look, device=where, seed=seed),
        path=file,
        info=info,
        device=where,
        dtype=dtype,
        statistics=statistics,
        dropout=dropout,
        preparation=preparation_for(recipe, info, prepare=prepare, seed=seed),
        seed=seed,
        background=behind,
    )


def _outside_translator(
    file: Path, where: torch.device, dtype: torch.dtype, *, is_asked: bool, seed: int, background: Colour
) -> Translator:
    """The translator of a model of another project."""
    outside = read_outside(file)
    network = outside.network.to(where).eval().requires_grad_(False)
    dtype = dtype_for(network, dtype, is_asked=is_asked)
    running = network.computing_in(dtype)
    return Translator(
        network,
        outside.data,
        running=running,
        scale=network.scale,
        bytes_per_pixel=running.bytes_per_pixel,
        tiling=tiling_for(running, where),
        about=outside.about,
        path=file,
        device=where,
        dtype=dtype,
        input_dtype=torch.float32,
        seed=seed,
        background=background,
    )


class Translator:
    """A loaded model: call it with a picture. Use it from one thread at a time."""

    def __init__(
        self,
        network: nn.Module,
        data: Data,
        *,
        running: nn.Module,
        path: Path,
        device: torch.device,
        dtype: torch.dtype,
        bytes_per_pixel: float,
        scale: int = 1,
        recipe: Recipe | None = None,
        info: ModelInfo | None = None,
        statistics: Statistics = "sample",
        dropout: bool = False,
        preparation: Preparation | None = None,
        seed: int = 0,
        input_dtype: torch.dtype | None = None,
        tiling: Tiling | None = None,
        about: str = "",
        looks: Looks | None = None,
        background: Colour = (255, 255, 255),
    ) -> None:
        self.network = network
        """float32 (B, C, H, W) in [-1, 1] → the same, `scale` times as large, for sides that `size_needs`
        allows; under `statistics` and `dropout`."""
        self.data = data
        """What the network sees and makes."""
        self.scale = scale
        self.recipe = recipe
        """None for a model of another project."""
        self.info = info
        self.path = path
        self.device = device
        self.dtype = dtype
        self.statistics: Statistics = statistics
        self.dropout = dropout
        self.preparation = preparation or Preparation()
        self.seed = seed
        self.bytes_per_pixel = bytes_per_pixel
        """About what the network needs at its peak for each pixel of its input."""
        self.tiling = tiling
        """How larger pictures are cut; None: they go through whole."""
        self.about = about
        """A sentence on a model of another project, with its licence."""
        self.looks = looks
        """Chooses among several results for one input; None: there is one."""
        self.background = background
        """What a network sees through a picture's alpha."""
        self._running = running
        self._input_dtype = input_dtype or dtype

    @property
    def size_needs(self) -> SizeNeeds:
        """What the network asks of height and width; pictures are padded to it and cropped back."""
        needs: SizeNeeds = self.network.size_needs  # type: ignore[assignment]
        return needs

    def padded_size(self, image: Image) -> tuple[int, int]:
        """(height, width) that the network will see for `image`."""
        return self._padded_sides(*image.shape[:2])

    def _padded_sides(self, height: int, width: int) -> tuple[int, int]:
        needs = self.size_needs

        def padded(side: int) -> int:
            return max(needs.minimum, -(-side // needs.multiple_of) * needs.multiple_of)

        if needs.exact is not None:
            return needs.exact
        height, width = padded(height), padded(width)
        return (max(height, width),) * 2 if needs.is_square else (height, width)

    def batch_that_suits(self, bucket: Hashable) -> int:
        """How many pictures of this size ((height, width, …), padded) to put through the network at once.

        On the CPU eight of 256 px, or fewer larger ones: weights are then read once for all of them. On a
        GPU what fits into half of the memory that is free.
        """
        assert isinstance(bucket, tuple)
        pixels = self._pixels_at_once(int(bucket[0]), int(bucket[1]))
        needed = pixels * self.bytes_per_pixel
        if self.device.type != "cuda":
            return max(1, min(8, 8 * 256 * 256 // pixels, int(TILE_BYTES / needed)))
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(1, min(64, int(free / 2 / needed)))

    def _pixels_at_once(self, height: int, width: int) -> int:
        """How many of a picture's pixels are in the network at a time."""
        if self.tiling is None:
            return height * width
        return min(height, self.tiling.side_px) * min(width, self.tiling.side_px)

    def describe(self) -> str:
        """A sentence on how the model runs: device, format, statistics, dropout."""
        number_format = str(self.dtype).removeprefix("torch.")
        noise = f"dropout on, seed {self.seed}" if self.dropout else "dropout off"
        return f"{describe_device(self.device)}, {number_format}, {self.statistics} statistics, {noise}"

    def __repr__(self) -> str:
        """One line: what it is, from where, and how it runs."""
        network = "a network of another project" if self.recipe is None else self.recipe.generator.name
        made = f" on '{self.info.maker}'" if self.info is not None and self.info.maker else ""
        size = "" if self.recipe is None else f", trained{made} at {self.data.size} px"
        return f"<Translator {self.path}: {network}{size}; {self.describe()}>"

    def __call__(self, image: Picture, *, key: str = "", extras: Mapping[str, Image] | None = None) -> Image:
        """The translation of `image`: (H, W, C) or (H, W), uint8 or uint16, C in {1, 3, 4}, RGB; or a Pillow
        image, or the path of a file.

        Gives (H, W, C) of the same dtype: C is the model's (3, or 1 for a gray target), and 4 where the
        source has alpha: the network sees it over `background`, the result has the same alpha, and colours
        without the background. `key` names the picture where something is drawn at random,
        and its class as CLASS/NAME; `extras` holds the further pictures that a model may ask for
        (`recipe.data.further_pictures`), each (H, W, C), and as "target" a photo whose look the result takes,
        in a model with an encoder. What becomes of label maps, holes and lightness is the recipe's [data]; a
        super-resolution model gives a larger picture. Raises `UsageError` for anything else than a picture.
        """
        shaped = picture_of(image, ids=self.data.pixels_are_ids)
        return self.run([self.prepare(shaped, key, extras=extras)], [shaped], [key])[0]

    def translate_batch(self, images: Sequence[Image], *, keys: Sequence[str] | None = None) -> list[Image]:
        """Translations of `images`, each (H, W, C), all of one `padded_size` and dtype.

        Each result is what its picture alone gives: on a CPU bit for bit; on a GPU as far as its libraries
        add up alike for another batch size.
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
        channels, made = self.data.input_channels, self.data.target_channels
        if channels not in (1, 3) or made not in (1, 3, 4):
            raise UsageError(
                f"{self.path}: its network sees {channels} channels and makes {made} (labels, several "
                "pictures); a picture has 1 or 3. Feed it tensors: load_model(path).network."
            )
        if image.shape[2] == 4 and not self.data.mask and self.data.labels is None:
            image = over(image, self.background)
        if self.preparation.apply is not None:
            image = self.preparation.apply(image, key)
        if not self._is_packed:
            return with_channels(image, channels)
        data, further, name = self.data, extras or {}, key or "the picture"
        height, width = self.size_needs.exact or image.shape[:2]
        main = main_layers(image, data, width=width, height=height, name=name, mask=further.get("mask"))
        more = further_layers(further, data, key=name, width=width, height=height)
        photo = None
        if self.looks is not None:
            photo = self.looks.photo_layer(name, further, width=width, height=height)
        layers = [layer for layer in (main, more, photo) if layer is not None]
        return np.concatenate(layers, axis=2) if len(layers) > 1 else main

    @property
    def _is_packed(self) -> bool:
        """True where the network sees more, or something else, than a picture."""
        data = self.data
        return self.looks is not None or (not data.is_plain and data.scale == 1)

    def run(self, inputs: Sequence[Image], sources: Sequence[Image], keys: Sequence[str]) -> list[Image]:
        """The network alone: `inputs` are prepared; size, dtype and alpha of the results follow `sources`."""
        if len(inputs) > 1 and self._must_go_one_by_one:
            singles = zip(inputs, sources, keys, strict=True)
            return [self.run([one], [source], [key])[0] for one, source, key in singles]
        height, width = self.padded_size(inputs[0])
        needed = len(inputs) * self._pixels_at_once(height, width) * self.bytes_per_pixel
        with memory_for(f"{len(inputs)} × {width}×{height} px", needed, device=self.device):
            return self._run(inputs, sources, keys)

    def _run(self, inputs: Sequence[Image], sources: Sequence[Image], keys: Sequence[str]) -> list[Image]:
        batch = torch.cat([self._padded(group) for group in runs_of_equals(inputs)])
        with inference_mode(self._running, statistics=self.statistics, dropout=self.dropout):
            if self._is_packed:
                outputs = self._drawn(batch, keys[0], self._looks_of(inputs, keys))
                images = list(map(partial(completed, data=self.data), outputs, inputs, sources))
            else:
                made = self._made(batch, keys[0], dtype=sources[0].dtype)
                images = as_images(made, inputs, scale=self.scale)
            return list(map(self._with_alpha, images, sources, keys))

    @property
    def _must_go_one_by_one(self) -> bool:
        """True where a batch would change its pictures.

        A dropout mask is drawn for a whole batch; and what sums a network of another project contains, and
        how a CPU orders them by batch, is not known.
        """
        return self.dropout or (self.recipe is None and self.device.type == "cpu")

    def _made(self, batch: Tensor, key: str, *, dtype: np.dtype[Any]) -> Image:
        """What the network makes of `batch`, as one array (B, H, W, C) of `dtype`."""

        def whole(part: Tensor) -> Image:
            return to_images(self._drawn(part, key), dtype=dtype)

        return whole(batch) if self.tiling is None else run_in_tiles(batch, whole, self.tiling)

    def _with_alpha(self, made: Image, source: Image, key: str) -> Image:
        """`made` with the alpha of `source`, where it has one and the model makes none of its own."""
        data = self.data
        if source.shape[2] != 4 or made.shape[2] == 4 or data.mask or data.labels is not None:
            return made

        def network(picture: Image) -> Image:
            seen = [with_channels(picture, data.input_channels)]
            drawn = self._made(self._padded(seen), key, dtype=picture.dtype)
            return as_images(drawn, seen, scale=self.scale)[0]

        plain = None if self._is_packed else network
        return with_alpha(made, source, background=self.background, network=plain)

    def _looks_of(self, inputs: Sequence[Image], keys: Sequence[str]) -> Tensor | None:
        if self.looks is None:
            return None
        looks = self.looks.of_batch(inputs, keys, self.data, device=self.device, pad=self._pad)
        return None if looks is None else looks.to(self.device, self._input_dtype)

    def _drawn(self, batch: Tensor, key: str, looks: Tensor | None = None) -> Tensor:
        batch = batch.to(self._input_dtype)
        inputs = (batch,) if looks is None else (batch, looks)
        if not self.dropout:
            result: Tensor = self._running(*inputs)
            return result
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(rng_for(self.seed, key, "dropout").integers(1 << 62)))
            drawn: Tensor = self._running(*inputs)
        return drawn

    def _padded(self, images: Sequence[Image]) -> Tensor:
        if self._is_packed:
            batch = input_planes(stacked(images).to(self.device), self.data)
        else:
            batch = to_batch(images, device=self.device)
        return self._pad(batch).contiguous(memory_format=torch.channels_last)

    def _pad(self, batch: Tensor) -> Tensor:
        """`batch` (B, C, H, W), floats or integers, at the size that the network takes."""
        height, width = batch.shape[2:]
        padded_height, padded_width = self._padded_sides(height, width)
        left, top = (padded_width - width) // 2, (padded_height - height) // 2
        batch = pad(batch, (left, padded_width - width - left, 0, 0), shorter=width)
        return pad(batch, (0, 0, top, padded_height - height - top), shorter=height)
