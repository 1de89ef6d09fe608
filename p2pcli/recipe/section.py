"""What all sections of a recipe have in common."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


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


def _frozen(value: Any) -> Any:
    """Arrays as tuples, which is what fields are: after a "before" validator, strict means strict."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
