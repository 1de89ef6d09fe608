"""What all sections of a recipe have in common."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

_COUNTED = object()
"""Marks keys that say how many layers follow one another."""

Width = Annotated[int, Field(ge=1, le=1 << 20)]
"""Channels of a layer."""
Layers = Annotated[int, Field(ge=1, le=1000), _COUNTED]
"""Blocks one after the other. A recipe may be a stranger's: a million of them would be built for hours before
anything else could be said against it."""
Halvings = Annotated[int, Field(ge=1, le=12), _COUNTED]
"""Down-samplings, or scales: 12 make one pixel of 4096 px, the largest `data.size`."""
Count = Annotated[int, Field(ge=1, le=10**12)]
"""Steps, epochs, pictures."""
CountFromZero = Annotated[int, Field(ge=0, le=10**12)]


class Section(BaseModel):
    """Strict and frozen: an unknown key or a wrong type is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _none_is_a_word(cls, values: Any) -> Any:
        """TOML has no null: "none" stands for it where a key may be without a value."""
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields.items()
        optional = {name for name, field in fields if type(None) in get_args(field.annotation)}
        plain = {name: None if name in optional and v == "none" else v for name, v in values.items()}
        return {name: _frozen(value) for name, value in plain.items()}


def layer_count(section: Section) -> int:
    """How many layers `section` describes at the least; each of them has a weight of its own."""
    fields = type(section).model_fields
    return sum(value for name, value in section if any(one is _COUNTED for one in fields[name].metadata))


def _frozen(value: Any) -> Any:
    """Arrays as tuples, which is what fields are: after a "before" validator, strict means strict."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
