"""The pictures of a sample packed into one uint8 array (H, W, K), which is cropped and mirrored as one.

K channels: the picture, or a label map's ids as two bytes; the hole; instance ids as two bytes; further
pictures; the class. `channels_of` says which are which.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from p2pcli.conditions.labels import ConditionError, colours_for, label_ids, plain_ids, require_known
from p2pcli.image import Image, as_gray8, as_rgb8, resize
from p2pcli.recipe import Data

_TRANSPARENT_BELOW = 253
"""Alpha. Resizing a mask makes its border soft; what is hidden only in part belongs to the hole."""


def channels_of(data: Data) -> dict[str, slice]:
    """Name → channels of a packed input, in order."""
    if data.color == "lab":
        counts = {"picture": 3}
    elif data.labels is not None:
        counts = {"labels": 2}
    else:
        counts = {"picture": data.input_channels}
    counts |= {"hole": 1} if data.mask else {}
    counts |= {"inst": 2} if data.instances == "inst" else {}
    counts |= data.extra
    counts |= {"class": 1} if data.classes else {}
    places, first = {}, 0
    for name, count in counts.items():
        places[name] = slice(first, first + count)
        first += count
    return places


def main_layers(
    image: Image, data: Data, *, width: int, height: int, name: str, mask: Image | None = None
) -> Image:
    """The input picture `image` (H, W, C) at `width` × `height`: picture or ids, and the hole.

    Pictures go through Pillow's bicubic, in gray where one channel is asked for, before the resize: as
    published. Ids take the nearest pixel. The hole is where `image` is transparent, or where `mask` is
    white. Raises `ConditionError` with `name`.
    """
    if data.labels is not None:
        ids = label_ids(image, data, name=name)
        return _two_bytes(resize(ids, width, height, kernel="nearest"))
    channels = 3 if data.color == "lab" else data.input_channels
    if not data.mask:
        return _picture(image, width, height, channels=channels)
    if mask is not None:
        alpha = 255 - _white(mask)
    elif image.shape[2] == 4:
        alpha = _eight_bit(image[:, :, 3:])
    else:
        raise ConditionError(
            f"{name}: no transparent pixels, so there is no hole to fill. Expected a picture with alpha "
            f"(PNG, WebP), or a picture in mask/ beside it, white where the hole is."
        )
    colours = _eight_bit(image[:, :, :3]) if image.shape[2] == 4 else image
    small = _picture(colours, width, height, channels=channels)
    hole = np.where(resize(alpha, width, height, kernel="bicubic") < _TRANSPARENT_BELOW, 255, 0)
    return np.concatenate([small, hole.astype(np.uint8)], axis=2)


def further_layers(
    pictures: Mapping[str, Image], data: Data, *, key: str, width: int, height: int
) -> Image | None:
    """Instance ids, further pictures and the class of the sample `key`; None where the recipe has none.

    Raises `ConditionError` where one is missing.
    """
    layers = []
    for name in data.further_pictures:
        if name not in pictures:
            raise ConditionError(
                f"{key}: no picture in {name}/. Expected one of the same name in a folder beside input "
                f"and target (in a Parquet dataset: a column '{name}'), for every sample "
                f"(data.{'instances' if name == 'inst' else 'extra'})."
            )
        if name == "inst":
            ids = plain_ids(pictures[name], name=f"{name}/{key}")
            layers.append(_two_bytes(resize(ids, width, height, kernel="nearest")))
        else:
            layers.append(_picture(pictures[name], width, height, channels=data.extra[name]))
    if data.classes:
        layers.append(np.full((height, width, 1), class_of(key, data), np.uint8))
    return np.concatenate(layers, axis=2) if layers else None


def class_of(key: str, data: Data) -> int:
    """The index of the class whose name is a folder of `key`. Raises `ConditionError` unless one is."""
    folders = key.split("/")[:-1]
    found = [index for index, name in enumerate(data.classes) if name in folders]
    if len(found) != 1:
        raise ConditionError(
            f"{key}: {'no' if not found else 'more than one'} folder of its path is a class. Expected "
            f"CLASS/NAME with one of: {', '.join(data.classes)} (data.classes)."
        )
    return found[0]


def shown_input(packed: Image, data: Data) -> Image:
    """A packed input (H, W, K) as people see it, uint8 (H, W, 1 or 3): labels in colours, holes in gray."""
    places = channels_of(data)
    if "labels" in places:
        ids = packed[:, :, places["labels"]].astype(np.uint16)
        both = ids[:, :, 0] + 256 * ids[:, :, 1]
        require_known(int(both.max(initial=0)), data)
        coloured: Image = colours_for(data)[both]
        return coloured
    picture = packed[:, :, places["picture"]]
    if data.color == "lab":
        return as_gray8(picture)
    if "hole" in places:
        picture = np.where(packed[:, :, places["hole"]] > 0, np.uint8(128), picture)
    return picture


def _picture(image: Image, width: int, height: int, *, channels: int) -> Image:
    plain = as_gray8(image) if channels == 1 else as_rgb8(image)
    return resize(plain, width, height, kernel="bicubic")


def _white(mask: Image) -> Image:
    """A mask as gray uint8 (H, W, 1); of two values, such as 0 and 1, the larger is white."""
    if mask.dtype == np.uint16 and mask.max() <= 255:
        mask = mask.astype(np.uint8)
    gray = as_gray8(mask)
    largest = gray.max()
    is_binary = largest > 0 and bool(((gray == 0) | (gray == largest)).all())
    return np.where(gray > 0, np.uint8(255), np.uint8(0)) if is_binary else gray


def _two_bytes(ids: Image) -> Image:
    return np.concatenate([ids & 255, ids >> 8], axis=2).astype(np.uint8)


def _eight_bit(image: Image) -> Image:
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
