"""From a decoded sample to the two squares the networks see: resize, crop, flip, made inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from p2pcli.conditions import ConditionError, further_layers, main_layers
from p2pcli.errors import ItemError
from p2pcli.image import Image, Sample, as_gray8, as_rgb8, fit_geometry, resize
from p2pcli.pairs import Maker, draw_options
from p2pcli.recipe import Data

_PLAIN = Data()


def at_size(data: Data, size: int) -> Data:
    """`data` for squares of `size` px, the room for jitter in proportion."""
    load_size = None if data.load_size is None else max(size, round(data.load_size * size / data.size))
    return data.model_copy(update={"size": size, "load_size": load_size})


class Loaded(NamedTuple):
    """One sample at load size, uint8.

    `input` (H, W, K) is packed as `conditions` has it, and None where a maker, or the target's own
    lightness, gives it; `further` holds the layers that come behind it then. Both have the target's size,
    divided by `data.scale`.
    """

    input: Image | None
    target: Image
    further: Image | None = None

    @property
    def size_bytes(self) -> int:
        """What it costs to keep."""
        return sum(layer.nbytes for layer in self if layer is not None)


class Square(NamedTuple):
    """One pair as the networks see it: uint8 (size, size, channels), the input divided by `data.scale`.

    The input is packed as `conditions.channels_of(data)` says; without conditions it is the picture itself.
    """

    input: Image
    target: Image
    data: Data = _PLAIN


@dataclass(frozen=True)
class OnTheFly:
    """The maker that makes inputs, and the options that are not drawn."""

    maker: Maker
    given: Mapping[str, object]


def load_pair(sample: Sample, *, data: Data, on_the_fly: OnTheFly | None, side: int) -> Loaded:
    """Turn the pair round if `data.direction` says so, and bring it to `side` px.

    "stretch" gives side × side whatever the aspect, as published; "crop" brings the target's shorter side to
    `side` and the input to the same width and height; "source" leaves the target as it is. Pictures go
    through Pillow's antialiased bicubic, on gray where one channel is asked for, before the resize: as
    published. Raises `ItemError`, and `ConditionError` where the recipe's conditions cannot be met.
    """
    first, target = _input_and_target(sample, data=data, on_the_fly=on_the_fly)
    width, height = _load_size(target, data=data, side=side, name=_file_of(sample, data, is_input=False))
    small = width // data.scale, height // data.scale
    further = further_layers(sample.extras, data, key=sample.key, width=small[0], height=small[1])
    if first is None:
        return Loaded(None, _to_size(target, width, height, channels=3), further)
    name = _file_of(sample, data, is_input=True)
    if data.scale > 1:
        first = _as_small(first, target, data=data, name=name)
    main = main_layers(
        first, data, width=small[0], height=small[1], name=name, mask=sample.extras.get("mask")
    )
    packed = main if further is None else np.concatenate([main, further], axis=2)
    return Loaded(packed, _to_size(target, width, height, channels=data.target_channels))


def _input_and_target(
    sample: Sample, *, data: Data, on_the_fly: OnTheFly | None
) -> tuple[Image | None, Image]:
    """The input (None where it is made from the target) and the target, turned round where asked for."""
    first, second = sample.input, sample.target
    if second is None:
        if on_the_fly is None and data.color != "lab":
            raise ItemError(f"{sample.key}: one image, where a pair is expected.")
        return None, first
    if data.direction == "BtoA":
        first, second = second, first
    is_made = on_the_fly is not None or data.color == "lab"
    return None if is_made else first, second


def _load_size(target: Image, *, data: Data, side: int, name: str) -> tuple[int, int]:
    """(width, height) of the target at load size: multiples of `data.scale`."""
    height, width = target.shape[:2]
    if data.fit == "source":
        if min(width, height) < data.size:
            raise ItemError(
                f"{name}: {width}×{height} is smaller than data.size {data.size}, and data.fit=source never "
                f"resizes. Leave it out, or set data.fit=crop."
            )
    elif data.fit == "stretch":
        width = height = side
    else:
        geometry = fit_geometry(width, height, size=side, fit="inside")
        width, height = geometry.width, geometry.height
    return width - width % data.scale, height - height % data.scale


def _as_small(image: Image, target: Image, *, data: Data, name: str) -> Image:
    """The input of a super-resolution pair, without what lies beyond the target's last whole multiple."""
    wanted = [-(-side // data.scale) for side in target.shape[:2]]
    whole = [side // data.scale for side in target.shape[:2]]
    if list(image.shape[:2]) not in (wanted, whole):
        raise ConditionError(
            f"{name}: {image.shape[1]}×{image.shape[0]} for a target of {target.shape[1]}×{target.shape[0]}; "
            f"expected {wanted[1]}×{wanted[0]} (data.scale = {data.scale})."
        )
    return image if data.fit == "stretch" else image[: whole[0], : whole[1]]


def _file_of(sample: Sample, data: Data, *, is_input: bool) -> str:
    """The file behind the input or the target, for messages; the key where the source does not tell."""
    is_a = is_input == (data.direction == "AtoB")
    name = sample.meta.get("source" if is_a else "target_source", sample.meta.get("source"))
    return str(name or sample.key)


def _to_size(image: Image, width: int, height: int, *, channels: int) -> Image:
    plain = as_gray8(image) if channels == 1 else as_rgb8(image)
    return resize(plain, width, height, kernel="bicubic")


def random_square(
    pair: Loaded, *, data: Data, on_the_fly: OnTheFly | None, rng: np.random.Generator, jitter: bool
) -> Square:
    """A `data.size` square of the pair: the same crop and mirroring for both, then the maker, then channels.

    With `jitter` the crop place, the mirroring (p = 0.5) and the maker's options are drawn from `rng`;
    without it the crop is central and the options are the maker's defaults, as validation wants them.
    """
    left, top, mirrored = _place(pair.target, data=data, rng=rng, jitter=jitter)
    target = _cut(pair.target, left, top, data.size, mirrored=mirrored)
    small = left // data.scale, top // data.scale, data.input_size
    if pair.input is not None:
        return Square(_cut(pair.input, *small, mirrored=mirrored), target, data)
    made = _made_input(target, data=data, on_the_fly=on_the_fly, rng=rng, jitter=jitter)
    if pair.further is not None:
        made = np.concatenate([made, _cut(pair.further, *small, mirrored=mirrored)], axis=2)
    return Square(made, as_gray8(target) if data.target_channels == 1 else target, data)


def _made_input(
    target: Image, *, data: Data, on_the_fly: OnTheFly | None, rng: np.random.Generator, jitter: bool
) -> Image:
    if on_the_fly is None:
        return target
    options = draw_options(on_the_fly.maker, on_the_fly.given, rng, jitter=jitter)
    made = on_the_fly.maker.make(target, rng=rng, options=options)
    # Makers that shrink may leave the small picture; without data.scale the networks map squares of one size.
    return main_layers(made, data, width=data.input_size, height=data.input_size, name=on_the_fly.maker.name)


def _cut(image: Image, left: int, top: int, side: int, *, mirrored: bool) -> Image:
    square = image[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if mirrored else square)


def _place(image: Image, *, data: Data, rng: np.random.Generator, jitter: bool) -> tuple[int, int, bool]:
    spare_x, spare_y = image.shape[1] - data.size, image.shape[0] - data.size
    if not jitter:
        return _whole(spare_x // 2, data), _whole(spare_y // 2, data), False
    left, top, coin = int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1)), float(rng.random())
    if data.load_size is None and data.fit != "source":
        left, top = spare_x // 2, spare_y // 2
    return _whole(left, data), _whole(top, data), data.flip and coin < 0.5


def _whole(offset: int, data: Data) -> int:
    """The multiple of `data.scale` at or before `offset`, so that small and large crops cover the same."""
    return offset - offset % data.scale
