"""From a decoded sample to the two squares the networks see: resize, crop, flip, made inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from p2pcli.errors import ItemError
from p2pcli.image import Image, Sample, as_gray8, as_rgb8, fit_geometry, resize
from p2pcli.pairs import Maker, draw_options
from p2pcli.recipe import Data


class Loaded(NamedTuple):
    """One pair at load size, uint8, same width and height; `input` is None where a maker will make it."""

    input: Image | None
    target: Image

    @property
    def size_bytes(self) -> int:
        """What it costs to keep."""
        return self.target.nbytes + (0 if self.input is None else self.input.nbytes)


class Square(NamedTuple):
    """One pair as the networks see it: uint8 (size, size, channels) each."""

    input: Image
    target: Image


@dataclass(frozen=True)
class OnTheFly:
    """The maker that makes inputs, and the options that are not drawn."""

    maker: Maker
    given: Mapping[str, object]


def load_pair(sample: Sample, *, data: Data, on_the_fly: OnTheFly | None, side: int) -> Loaded:
    """Turn the pair round if `data.direction` says so, and bring it to `side` px.

    "stretch" gives side × side whatever the aspect, as published; "crop" brings the target's shorter side to
    `side` and the input to the same width and height. Pillow's antialiased bicubic, on gray where one
    channel is asked for, before the resize: as published.
    """
    first: Image | None = sample.input
    second = sample.target
    if second is None:
        if on_the_fly is None:
            raise ItemError(f"{sample.key}: one image, where a pair is expected.")
        first, second = None, sample.input
    elif data.direction == "BtoA":
        first, second = second, sample.input
    if data.fit == "stretch":
        width = height = side
    else:
        geometry = fit_geometry(second.shape[1], second.shape[0], size=side, fit="inside")
        width, height = geometry.width, geometry.height
    if on_the_fly is not None or first is None:
        return Loaded(None, _to_size(second, width, height, channels=3))
    return Loaded(
        _to_size(first, width, height, channels=data.input_channels),
        _to_size(second, width, height, channels=data.target_channels),
    )


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
    rows, columns = slice(top, top + data.size), slice(left, left + data.size)
    target = pair.target[rows, columns]
    target = np.ascontiguousarray(target[:, ::-1] if mirrored else target)
    if pair.input is not None:
        made = pair.input[rows, columns]
        return Square(np.ascontiguousarray(made[:, ::-1] if mirrored else made), target)
    assert on_the_fly is not None
    options = draw_options(on_the_fly.maker, on_the_fly.given, rng, jitter=jitter)
    made = on_the_fly.maker.make(target, rng=rng, options=options)
    # Makers that shrink may leave the small picture; the networks map squares of one size.
    made = _to_size(made, data.size, data.size, channels=data.input_channels)
    return Square(made, as_gray8(target) if data.target_channels == 1 else target)


def _place(image: Image, *, data: Data, rng: np.random.Generator, jitter: bool) -> tuple[int, int, bool]:
    spare_x, spare_y = image.shape[1] - data.size, image.shape[0] - data.size
    if not jitter:
        return spare_x // 2, spare_y // 2, False
    left, top, coin = int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1)), float(rng.random())
    if data.load_size is None:
        left, top = spare_x // 2, spare_y // 2
    return left, top, data.flip and coin < 0.5
