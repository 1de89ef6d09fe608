"""Whether a film holds all that its header announces, or was cut short: by a full disk, a broken download."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

_NOTED_SECONDS = 0.5
"""A film that ends so much before what its header announces was cut short; less is a matter of rounding."""
_CUT_SECONDS, _CUT_SHARE = 1.0, 0.02
"""More than both of these, of the announced duration, make a film incomplete."""

_OF_PICTURES = ("mov", "mxf", "ivf")
"""Formats whose header says how long the pictures last."""
_OF_ALL = ("matroska", "asf", "flv", "rm")
"""Formats whose header says how long the longest stream lasts."""


class Extent:
    """Compares what is read of a film with what its header announces. Show it every packet, of all streams.

    Transport and program streams have no header, and bare ones neither: they are never short.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, path: Path) -> None:
        self._index = stream.index
        self._announced = announced_end(container, stream)
        self._announced_of_all = None if self._announced else _announced_of_all(container)
        is_table = container.format.name.startswith("mov")
        self._samples = len(stream.index_entries) if is_table else 0
        is_silent = self._announced is None and self._announced_of_all is None
        self._share = _share_of_bytes(path) if is_silent else 1.0
        self._whole = 0
        self._end_of_others = 0.0
        self._streams = {one.index for one in container.streams if one.type == "audio"}

    def see(self, packet: Packet[Any]) -> None:
        """Count a packet."""
        if not packet.size:
            return
        if packet.stream_index == self._index:
            self._whole += not packet.is_corrupt
        elif packet.stream_index in self._streams and packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._end_of_others = max(self._end_of_others, end)

    def shortfall(self, last: int, longest: int, time_base: Fraction) -> str | None:
        """What is missing, as the rest of a sentence; None for a whole film.

        `last` is the time of the last frame, `longest` the longest that any stood.
        """
        end, announced = self._ends(last, time_base)
        # The last frame of a slide show may stand as long as any, which not every container stores.
        if announced - end > max(_NOTED_SECONDS, float(2 * longest * time_base)):
            return f"ends at {end:.1f} s of the {announced:.1f} s that its header announces: {_CUT}"
        if self._whole < self._samples:
            return f"holds {self._whole:,} of the {self._samples:,} frames that its header lists: {_CUT}"
        if self._share < 1 - _CUT_SHARE:
            return f"holds {self._share:.0%} of the bytes that its header announces: {_CUT}"
        return None

    def is_incomplete(self, last: int, longest: int, time_base: Fraction) -> bool:
        """True where so much is missing that a translation of it is no translation of the film."""
        if self.shortfall(last, longest, time_base) is None:
            return False
        end, announced = self._ends(last, time_base)
        is_short = announced - end > max(_CUT_SECONDS, _CUT_SHARE * announced)
        return is_short or self._whole < self._samples or self._share < 1 - _CUT_SHARE

    def _ends(self, last: int, time_base: Fraction) -> tuple[float, float]:
        end = float(last * time_base)
        if self._announced is not None:
            return end, self._announced
        return max(end, self._end_of_others), self._announced_of_all or 0.0


_CUT = "it was cut short. Copy or download it again for the rest."


def announced_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Second at which the pictures end by the header; None where it says nothing of them alone."""
    if container.format.name.startswith(_OF_PICTURES) and stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.format.name == "avi" and stream.frames and stream.time_base:
        # The library reckons a cut file's duration from its size.
        return float(stream.frames * stream.time_base)
    # Matroska's own duration is that of the longest stream.
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return None if tag is None else int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])


def _announced_of_all(container: InputContainer) -> float | None:
    if not container.format.name.startswith(_OF_ALL) or not container.duration:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def _share_of_bytes(path: Path) -> float:
    """The file's size, of what AVI, ASF and Matroska say that it is; 1 where they are silent."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
    announced = 0
    if head[:4] == b"RIFF":
        announced = 8 + int.from_bytes(head[4:8], "little")
        # What writers put there who do not know, or cannot: sizes from 2 GB on overflow.
        announced = 0 if announced >= 1 << 31 else announced
    elif (place := head.find(_ASF_FILE_PROPERTIES)) >= 0:
        announced = int.from_bytes(head[place + 40 : place + 48], "little")
    elif head[:4] == b"\x1a\x45\xdf\xa3" and (place := head.find(_MATROSKA_SEGMENT)) >= 0:
        announced = _matroska_end(head, place + len(_MATROSKA_SEGMENT))
    return min(1.0, size / announced) if announced else 1.0


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"


def _matroska_end(head: bytes, place: int) -> int:
    """The byte at which a segment ends whose size begins at `place`; 0 where it is not known."""
    first = head[place] if place < len(head) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(head[place : place + length], "big") & ((1 << (7 * length)) - 1)
    is_known = first and value != (1 << (7 * length)) - 1
    return place + length + value if is_known else 0
