"""Where pairs come from, and how they come to the network's size and channels."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from p2pcli.recipe.section import Section


class Pairs(Section):
    """Pairs made on the fly from plain photos; without a maker, DATA must hold pairs already."""

    maker: str | None = None
    """Name of the pair maker ("edges", "gray", "downsample"). None: DATA holds pairs."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the maker. What is not given is drawn anew for each image and epoch."""


class Data(Section):
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
    input_channels: int = Field(3, ge=1, le=1024)
    """1: the input is turned to gray. Pictures have 1 or 3; more are label planes or several pictures."""
    target_channels: int = Field(3, ge=1, le=16)
    """1: the target is turned to gray."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the pairs held out where DATA has no validation split of its own."""

    @model_validator(mode="after")
    def _load_size_covers_size(self) -> Data:
        if self.load_size is not None and self.load_size < self.size:
            raise ValueError(f"load_size {self.load_size} is smaller than size {self.size}")
        return self
