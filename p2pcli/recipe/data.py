"""Where pairs come from, and how they come to the network's size and channels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.palettes import PALETTES, Colour
from p2pcli.recipe.section import Section

RESERVED = frozenset({"input", "target", "inst", "mask", "class"})
"""Names that no further picture of a sample may have: each has a key of its own."""


class Pairs(Section):
    """Pairs made on the fly from plain photos; without a maker, DATA must hold pairs already."""

    maker: str | None = None
    """Name of the pair maker ("edges", "gray", "downsample", "mask", "restore"). None: DATA holds pairs."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the maker. What is not given is drawn anew for each image and epoch."""


class Data(Section):
    """How pairs come to the network's size and channels."""

    layout: Literal["photos", "side-by-side", "folders", "parquet"] | None = None
    """How DATA lies: single photos, pairs side by side in one picture, pairs in two folders (or two files of
    one name), a Parquet dataset. None: what it is decides, and is said."""
    input_folder: str | None = None
    """Name of A's folder (or "*.png"), where two folders hold the same names and do not tell: --input."""
    target_folder: str | None = None
    """Name of B's folder (or "*.jpg"): --target."""
    group: Literal["auto", "folder", "stem", "none"] = "auto"
    """What stays together where validation is held out. folder: the pictures of one folder; stem: those whose
    names are the same up to their last number; none: each for itself. auto: folders of numbered frames,
    and runs of near-equal neighbours, which a small hash finds."""
    size: int = Field(256, ge=16, le=4096)
    """Side in px of the square the networks see while training."""
    load_size: int | None = Field(286, ge=16, le=8192)
    """Side in px before the random crop to `size`. None: no jitter."""
    fit: Literal["stretch", "crop", "source"] = "stretch"
    """stretch: aspect ignored, as published. crop: the shorter side comes to `load_size`, aspect kept.
    source: never resized, squares are cut out of the picture as it is (`load_size` does not count)."""
    flip: bool = True
    """Mirror left-right with probability 0.5, input and target together."""
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    """BtoA swaps input and target. In side-by-side images A is the left half."""
    input_channels: int = Field(3, ge=1, le=1024)
    """1: the input is turned to gray. 3: RGB. More than 3 belong to imported networks whose planes the file
    does not tell; the keys below name them."""
    target_channels: int = Field(3, ge=1, le=16)
    """1: the target is turned to gray."""
    color: Literal["rgb", "lab"] = "rgb"
    """lab: the input is the target's lightness L, and a and b are predicted (colourisation as published)."""
    labels: int | None = Field(None, ge=1, le=65535)
    """The input is a label map with ids 0 … labels-1, one plane each; resized to the nearest pixel."""
    palette: str | tuple[Colour, ...] | None = None
    """Label maps are coloured: [r, g, b] of id 0, 1, …, or a name (facades, cityscapes, voc). Other colours,
    as JPEG makes them, count as the nearest. None: pixels are ids."""
    dontcare: int | None = Field(None, ge=0, le=65535)
    """An id outside the labels that means "unknown": it has one more plane, the last."""
    instances: Literal["labels", "inst"] | None = None
    """One more plane, 1 on the boundaries of instances: "inst", where they differ in the third picture of the
    sample (folder inst/ beside the others); "labels", where the labels differ."""
    mask: bool = False
    """Inpainting: the input's transparent pixels (or those white in the picture mask/) are holes. One more
    plane is 1 there; the result replaces the holes alone."""
    extra: dict[str, Annotated[int, Field(ge=1, le=3)]] = Field(default_factory=dict)
    """Further pictures of each sample that the network sees, such as pose = 3: folder → 1 (gray) or 3."""
    classes: tuple[str, ...] = Field((), max_length=256)
    """Class names: a folder in each picture's path. Every class has one plane, all 1 for its pictures."""
    scale: Literal[1, 2, 4, 8] = 1
    """Super-resolution: the input's side is so many times smaller than the target's."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the pairs held out where DATA has no validation split of its own."""

    @model_validator(mode="after")
    def _load_size_covers_size(self) -> Data:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is smaller than size {self.size}")
        return self

    @model_validator(mode="after")
    def _keys_go_together(self) -> Data:
        if isinstance(self.palette, str) and self.palette not in PALETTES:
            raise ValueError(f"no palette '{self.palette}'. Known: {', '.join(PALETTES)}, or [[r, g, b], …]")
        if self.labels is None:
            for name in ("palette", "dontcare"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} belongs to label maps: set labels to their number as well")
            if self.instances == "labels":
                raise ValueError('instances = "labels" needs labels, the number of ids')
        else:
            self._labels_go_together(self.labels)
        if self.color == "lab" and (self.labels is not None or self.mask):
            raise ValueError('color = "lab" is for photos; leave labels and mask out')
        if self.layout not in (None, "folders") and (self.input_folder or self.target_folder):
            raise ValueError(
                f'layout "{self.layout}" has no folders to name; leave input_folder and target_folder'
            )
        taken = sorted(RESERVED & set(self.extra))
        if taken:
            raise ValueError(f"extra cannot be called '{taken[0]}': data has a key of its own for it")
        if self.scale > 1 and (self.size % self.scale or self._has_more_than_a_picture):
            raise ValueError(
                f"scale {self.scale} needs a size that is a multiple of it, and pictures alone as input"
            )
        return self

    def _labels_go_together(self, labels: int) -> None:
        if self.mask:
            raise ValueError("mask is for pictures with holes; leave labels out")
        colours = self.colours
        if colours and len(colours) != labels:
            raise ValueError(f"the palette has {len(colours)} colours for {labels} labels; give as many")
        if self.dontcare is not None and self.dontcare < labels:
            raise ValueError(f"dontcare {self.dontcare} is one of the {labels} labels (0 … {labels - 1})")

    @property
    def _has_more_than_a_picture(self) -> bool:
        special = self.color == "lab" or self.labels is not None or self.instances is not None
        return special or self.mask or bool(self.extra) or bool(self.classes)

    @property
    def is_plain(self) -> bool:
        """True where input and target are one picture each, of one size."""
        return not self._has_more_than_a_picture and self.scale == 1

    @property
    def colours(self) -> tuple[Colour, ...]:
        """RGB of id 0, 1, …; empty where label maps hold ids."""
        if isinstance(self.palette, str):
            return PALETTES[self.palette]
        return self.palette or ()

    @property
    def pixels_are_ids(self) -> bool:
        """True where label maps hold ids, whatever colours a file's own palette gives them."""
        return self.labels is not None and not self.colours

    @property
    def input_planes(self) -> int:
        """Channels of what the generator sees."""
        if self.color == "lab":
            main = 1
        elif self.labels is not None:
            main = self.labels + (self.dontcare is not None)
        else:
            main = self.input_channels
        further = (self.instances is not None) + self.mask
        return main + further + sum(self.extra.values()) + len(self.classes)

    @property
    def target_planes(self) -> int:
        """Channels of what the generator makes."""
        return 2 if self.color == "lab" else self.target_channels

    @property
    def input_size(self) -> int:
        """Side in px of the squares that the generator sees while training."""
        return self.size // self.scale

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders beside those of the pair that may hold pictures of it: `further_pictures`, and mask/."""
        return (*self.further_pictures, *(("mask",) if self.mask else ()))

    @property
    def further_pictures(self) -> tuple[str, ...]:
        """Names of the pictures that each sample must have besides input and target."""
        return (*(("inst",) if self.instances == "inst" else ()), *self.extra)
