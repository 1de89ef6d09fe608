"""What a decoder hands over beside a frame's pixels; kinds that PyAV has no name for are passed over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from av import VideoFrame
from av.sidedata.sidedata import SideData, Type


def display_matrix(frame: VideoFrame) -> bytes | None:
    """The nine 32-bit numbers that say how the frame is turned and mirrored; None where there are none."""
    # Iterating gives the entries themselves, whatever the type stubs say of a mapping.
    entries = cast(Iterable[SideData], frame.side_data)
    matrices = [entry for entry in entries if entry.type.name == "DISPLAYMATRIX"]
    return bytes(matrices[0]) if matrices else None


def _nameless(cls: type[Type], value: Any) -> Type:
    member: Type = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# FFmpeg gains kinds faster than PyAV names them (EXIF, views of 3D films), and one without a name would keep
# all the others of its frame from being read.
Type._missing_ = classmethod(_nameless)  # type: ignore[method-assign, assignment]
