"""What a decoder hands over beside a frame's pixels; kinds that PyAV has no name for are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from av import VideoFrame
from av.sidedata.sidedata import SideData, Type


def display_matrix(frame: VideoFrame) -> bytes | None:
    """The nine 32-bit numbers that say how the frame is turned and mirrored; None where there are none."""
    # By kind: iterating gives entries up to PyAV 18 and kinds from 19 on.
    entries = cast(Mapping[Type, SideData], frame.side_data)
    matrix = entries.get(Type.DISPLAYMATRIX)
    return None if matrix is None else bytes(matrix)


def _nameless(cls: type[Type], value: Any) -> Type:
    member: Type = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# FFmpeg gains kinds faster than PyAV names them (EXIF, views of 3D films), and one without a name would keep
# all the others of its frame from being read. From 19 on PyAV does this itself.
if "_missing_" not in vars(Type):
    Type._missing_ = classmethod(_nameless)  # type: ignore[method-assign, assignment]
