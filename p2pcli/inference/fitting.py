"""Pictures as a network takes them, and its results as pictures again: channels, padding, cropping."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL.Image import Image as PillowImage
from torch import Tensor
from torch.nn import functional as F

from p2pcli.errors import UsageError
from p2pcli.image import Image, as_gray8, as_rgb8, over
from p2pcli.io.codec import read_image
from p2pcli.io.id_maps import stored_ids
from p2pcli.io.places import path_of

Picture = Image | PillowImage | str | os.PathLike[str]
"""What a picture may be handed over as: an array, a Pillow image, the path of a file."""


def picture_of(value: object, *, ids: bool = False) -> Image:
    """The picture (H, W, C), C in {1, 3, 4}, that an array, a Pillow image or the path of a file stands for.

    With `ids` the pixels of a file or a palette are read as the numbers of labels.
    Raises `UsageError` for anything else, `ItemError` where the file cannot be read as a picture.
    """
    found = type(value).__name__
    if isinstance(value, str | os.PathLike):
        return read_image(path_of(value, "picture"), ids=ids).image
    if isinstance(value, PillowImage):
        return _from_pillow(value, ids=ids)
    if isinstance(value, np.ndarray):
        if value.size and (value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))):
            return value[:, :, None] if value.ndim == 2 else value
        found = f"an array of shape {value.shape}"
    raise UsageError(
        f"a picture is a uint8 array (H, W, 3), RGB, a Pillow image or a path, not {found}. For many files: "
        "translate(sources, model=..., output=...)."
    )


def _from_pillow(image: PillowImage, *, ids: bool) -> Image:
    """Pillow's pixels; its further modes as the nearest of gray, RGB and RGBA."""
    if ids and (stored := stored_ids(image, bits=8)) is not None:
        return stored
    if image.mode.startswith("I"):
        return np.asarray(image).clip(0, 65535).astype(np.uint16)[:, :, None]
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    mode = "RGBA" if has_alpha else "L" if image.mode in ("1", "L") else "RGB"
    pixels = np.asarray(image.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def as_images(made: Image, inputs: Sequence[Image], *, scale: int) -> list[Image]:
    """Each of `made` (B, H, W, C) without what was padded: as large as its input, times `scale`."""
    results = []
    for image, seen in zip(made, inputs, strict=True):
        height, width = seen.shape[0] * scale, seen.shape[1] * scale
        # In steps of the input's pixels, as it was padded.
        left, top = (image.shape[1] - width) // (2 * scale), (image.shape[0] - height) // (2 * scale)
        left, top = left * scale, top * scale
        cropped = image[top : top + height, left : left + width]
        results.append(np.ascontiguousarray(cropped))
    return results


def pad(batch: Tensor, sides: tuple[int, int, int, int], *, shorter: int) -> Tensor:
    """Reflect `sides` (left, right, top, bottom) px of `batch` (B, C, H, W), without doubling the edge.

    Repeats the edge where the picture is not larger than what is added; `shorter` is its side in px.
    """
    if not any(sides):
        return batch
    return F.pad(batch, sides, mode="reflect" if max(sides) < shorter else "replicate")


def with_channels(image: Image, channels: int) -> Image:
    """`image` with 1 or 3 channels, what has alpha over white; uint16 stays uint16."""
    if image.shape[2] == channels:
        return image
    if image.dtype == np.uint8:
        return as_gray8(image) if channels == 1 else as_rgb8(image)
    colours = image
    if image.shape[2] == 4:
        colours = over(image, (255, 255, 255))
    if colours.shape[2] == channels:
        return colours
    if colours.shape[2] == 1:
        return np.repeat(colours, 3, axis=2)
    # BT.601 luma, as `as_gray8` has it.
    luma: Image = np.rint(colours @ np.array([0.299, 0.587, 0.114])).astype(np.uint16)
    return luma[:, :, None]


def runs_of_equals(images: Sequence[Image]) -> list[list[Image]]:
    """`images` in order, cut where shape or dtype changes."""
    runs: list[list[Image]] = []
    for image in images:
        if runs and (runs[-1][0].shape, runs[-1][0].dtype) == (image.shape, image.dtype):
            runs[-1].append(image)
        else:
            runs.append([image])
    return runs
