"""Label maps: from ids or colours in a file to checked ids, to one plane an id, to boundaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2pcli.conditions.label_advice import advice_on_values
from p2pcli.errors import ItemError
from p2pcli.image import Image, as_rgb8
from p2pcli.recipe import Data
from p2pcli.recipe.palettes import PALETTES, Colour

_FAR = 60.0
"""Distance in RGB up to which a colour may be a smeared one of the palette."""
_SURE = 45.0
"""Distance in RGB up to which a colour is its label's own."""
_AROUND_PX = 4
"""How far JPEG carries colours: half of its blocks."""
_MOST_FAR = 0.6
"""Share of far pixels that lossy compression and thin shapes explain (a third in the worst of facades); more
means another palette, or a photo."""
_MOST_EQUAL = 0.01
"""Share of pixels that may have one far colour: smear has many colours, a missing label has one."""


_SHOWN_COLOURS = 8


class ConditionError(ItemError):
    """A picture that the recipe's [data] cannot read: training refuses it before the first step."""


class LabelValueError(ConditionError):
    """A label map with a value that is no label. `found` says where; the values of all maps tell more."""

    def __init__(self, found: str, values: Collection[int], labels: int) -> None:
        super().__init__(f"{found} {advice_on_values(values, labels, is_all=False)}")
        self.found, self.labels = found, labels


def label_ids(image: Image, data: Data, *, name: str) -> Image:
    """The ids (H, W, 1) uint16 of a label map, in 0 … labels-1; `data.dontcare` becomes `labels`.

    Raises `ConditionError` with `name` and the value for ids out of range and colours not in the palette.
    """
    assert data.labels is not None
    if data.colours:
        return nearest_colours(image, data.colours, name=name)
    ids = plain_ids(image, name=name)
    wrong = ids >= data.labels
    if data.dontcare is not None:
        unknown = ids == data.dontcare
        wrong &= ~unknown
        ids = np.where(unknown, np.uint16(data.labels), ids)
    if wrong.any():
        row, column, _ = (int(place[0]) for place in np.nonzero(wrong))
        value = int(ids[row, column, 0])
        also = "" if data.dontcare is None else f", or {data.dontcare} (data.dontcare)"
        raise LabelValueError(
            f"{name}: label {value} at column {column}, row {row}; expected 0 to {data.labels - 1} "
            f"(data.labels = {data.labels}){also}.",
            values_in(ids, data),
            data.labels,
        )
    return ids


def values_in(ids: Image, data: Data) -> set[int]:
    """The different ids of a map, without the one that means unknown."""
    return {int(value) for value in np.unique(ids)} - {data.dontcare}


def plain_ids(image: Image, *, name: str) -> Image:
    """The ids (H, W, 1) uint16 that are the pixels' own values: gray, or red where green and blue are empty.

    Transparency does not count. Raises `ConditionError` for colours.
    """
    first = image[:, :, :1]
    if image.shape[2] >= 3:
        others = image[:, :, 1:3]
        if others.any() and not np.array_equal(others, np.repeat(first, 2, axis=2)):
            raise ConditionError(
                f"{name}: a map in colour{_colours_words(image)}, where pixels are expected to be ids. Name "
                f"its colours in the order of the ids: data.palette={', '.join(PALETTES)} or "
                f"[[r, g, b], …], or store it as gray or palette PNG."
            )
    return first.astype(np.uint16)


def _colours_words(image: Image) -> str:
    """ " (3 colours: [0, 0, 0], …)", where they are few."""
    found = np.unique(image[:, :, :3].reshape(-1, 3), axis=0)
    if len(found) > _SHOWN_COLOURS:
        return f" ({len(found):,} colours)"
    return f" ({len(found)} colours: {', '.join(str([int(value) for value in colour]) for colour in found)})"


def nearest_colours(image: Image, colours: Sequence[Colour], *, name: str) -> Image:
    """For each pixel the index (H, W, 1) uint16 of its colour among `colours`.

    A colour between two, as JPEG leaves it along an edge, may be nearest to a third: pixels that are not
    sure choose among the labels of those around them that are. Raises `ConditionError` where so much lies
    far from all colours that it is no smear.
    """
    # A palette's transparent entry keeps its colour: what is hidden is labelled all the same.
    rgb = as_rgb8(image[:, :, :3]).astype(np.uint32)
    codes = (rgb[:, :, 0] << 16) | (rgb[:, :, 1] << 8) | rgb[:, :, 2]
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    channels = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.float32)
    known: NDArray[np.float32] = np.asarray(colours, np.float32)
    squares = np.square(channels[:, None] - known[None]).sum(axis=2)
    nearest = squares.argmin(axis=1).astype(np.uint16)
    far = np.where(squares.min(axis=1) > _FAR**2, counts, 0)
    share = far.sum() / codes.size
    if share > _MOST_FAR or far.max() > max(2, _MOST_EQUAL * codes.size):
        red, green, blue = (int(value) for value in channels[far.argmax()])
        raise ConditionError(
            f"{name}: {share:.0%} of its pixels are far from every colour of the palette, most often "
            f"({red}, {green}, {blue}). Expected the {len(known)} colours of data.palette: name another one, "
            f"or turn data.direction round if this is the photo."
        )
    places = places.reshape(codes.shape)
    sure = (squares.min(axis=1) <= _SURE**2)[places]
    ids: Image = nearest[places]
    if not sure.all():
        ids[~sure] = _among_neighbours(ids, sure, squares[places[~sure]])
    return ids[:, :, None]


def _among_neighbours(ids: Image, sure: NDArray[np.bool_], squares: NDArray[np.float32]) -> Image:
    """The label of each unsure pixel: the least of `squares` (pixels, labels) among labels around it."""
    window = np.ones((2 * _AROUND_PX + 1, 2 * _AROUND_PX + 1), np.uint8)
    present = [
        cv2.dilate((sure & (ids == label)).astype(np.uint8), window)[~sure] > 0
        for label in range(squares.shape[1])
    ]
    # Where nothing around is sure, all labels stay candidates, in their order.
    chosen: Image = np.where(np.stack(present, axis=1), squares, squares + np.float32(1e6)).argmin(axis=1)
    return chosen


def require_known(highest: int, data: Data) -> None:
    """Raise `ConditionError` where the `highest` id of a packed map is none that `data` has."""
    count = (data.labels or 0) + (data.dontcare is not None)
    if highest >= count:
        raise ConditionError(
            f"the map: label {highest}; expected 0 to {count - 1} (data.labels = {data.labels}). Pack maps "
            f"with main_layers, or prepare of a loaded model, which says where such a label is."
        )


def colours_for(data: Data) -> NDArray[np.uint8]:
    """A colour for each id (n, 3): the palette's own, else Pascal VOC's; unknown is black."""
    count = data.labels or 0
    own = list(data.colours) or [PALETTES["voc"][1 + label % 20] for label in range(count)]
    return np.asarray([*own, (0, 0, 0)], np.uint8)


def one_hot(ids: Tensor, count: int) -> Tensor:
    """`ids` (B, H, W), integers below `count`, as float32 (B, count, H, W) of 0 and 1, channels last."""
    planes = torch.zeros(*ids.shape, count, device=ids.device)
    return planes.scatter_(3, ids[..., None].long(), 1.0).permute(0, 3, 1, 2)


def boundaries(ids: Tensor) -> Tensor:
    """float32 (B, 1, H, W): 1 where the id (B, H, W) differs from the left, right, upper or lower neighbour.

    Both pixels of a differing pair are marked (pix2pixHD, 1711.11585, section 3.3).
    """
    marked = torch.zeros_like(ids, dtype=torch.bool)
    across, down = ids[:, :, 1:] != ids[:, :, :-1], ids[:, 1:] != ids[:, :-1]
    marked[:, :, 1:] |= across
    marked[:, :, :-1] |= across
    marked[:, 1:] |= down
    marked[:, :-1] |= down
    return marked[:, None].float()
