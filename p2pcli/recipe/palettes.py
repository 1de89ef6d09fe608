"""Colours of published label maps, by id."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

_Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[_Byte, _Byte, _Byte]
"""R, G, B, 0 … 255."""


def _voc(count: int) -> tuple[Colour, ...]:
    """The colour map of Pascal VOC: bits 0, 1, 2 of an id are the top bits of R, G, B; the next follow."""
    colours = []
    for label in range(count):
        channels = [0, 0, 0]
        for bit in range(3):
            for channel in range(3):
                channels[channel] |= (label >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


PALETTES: dict[str, tuple[Colour, ...]] = {
    # CMP Facades as pix2pix published it (JPEG; the values are those of its flat areas): background, facade,
    # window, door, cornice, sill, balcony, blind, deco, molding, pillar, shop.
    "facades": (
        (0, 0, 222),
        (0, 48, 255),
        (0, 128, 255),
        (0, 207, 255),
        (32, 255, 224),
        (112, 255, 143),
        (192, 255, 63),
        (255, 240, 0),
        (255, 159, 0),
        (255, 80, 0),
        (255, 0, 0),
        (174, 0, 0),
    ),
    # The 19 training classes of Cityscapes, in the order of their train ids, road to bicycle.
    "cityscapes": (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    "voc": _voc(21),
}
"""Name → RGB of id 0, 1, …"""
