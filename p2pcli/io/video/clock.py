"""The one clock of a film whose own starts anew: transport and program streams that were joined or cut.

Every packet is placed on it as soon as it is read, whatever stream it is of: pictures, sound and subtitles of
one part move by the same time and stay together.
"""

from __future__ import annotations

import functools
import math
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from p2pcli.io.video.container import open_input
from p2pcli.io.video.timing import CLOCKS_START_ANEW

_BACK_SECONDS, _AHEAD_SECONDS = 0.1, 10.0
"""A clock that goes back so far, or ahead, has started anew (ahead: FFmpeg's own limit)."""

_STEADY_PACKETS = 3
"""So many packets have to go on from a jump: one damaged timestamp is no new clock."""

_CONSECUTIVE_FAILURES = 100
"""So many read errors in a row end the search: a demuxer that is stuck would never end by itself."""


_TICKS = 90_000
"""Of these formats' clock in a second."""


@dataclass(frozen=True)
class Joint:
    """A place from which on the clock is another."""

    position: int
    """Byte of the file."""
    shift: Fraction
    """Seconds to add to all timestamps from there to the next joint."""


@dataclass
class Clock:
    """Places the packets of one reading of a film, from its beginning on. Gaps at joints are closed."""

    joints: tuple[Joint, ...]
    _positions: dict[int, int] = field(default_factory=dict)
    """Stream → where its last packet with a known place began: several may come out of one."""

    def place(self, packet: Packet[Any]) -> None:
        """Move the packet's timestamps onto the clock of the film's beginning."""
        if not self.joints:
            return
        index = packet.stream_index
        if packet.pos is not None:
            self._positions[index] = packet.pos
        passed = bisect_right(self.joints, self._positions.get(index, 0), key=lambda joint: joint.position)
        if not packet.time_base:
            return
        shift = round(self.joints[passed - 1].shift / packet.time_base) if passed else 0
        if _is_of_next_part(packet):
            packet.pts = None
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift


def clock_of(path: Path) -> Clock:
    """A clock for one reading of the film at `path`; the file is looked through where its format needs it.

    Raises `ItemError` as `open_input` does.
    """
    state = path.stat()
    return Clock(_joints(str(path), state.st_mtime_ns, state.st_size))


@dataclass
class _Track:
    """What is known of one stream's packets, in the file's order. Times are in seconds."""

    time_base: Fraction
    decoded: array[float] = field(default_factory=lambda: array("d"))
    shown: array[float] = field(default_factory=lambda: array("d"))
    places: array[int] = field(default_factory=lambda: array("q"))
    returns: array[int] = field(default_factory=lambda: array("b"))
    """1 for a key frame that is shown before one that came before it: none does within one film."""
    _latest: float = -math.inf

    def add(self, packet: Packet[Any]) -> None:
        if packet.dts is None:
            return
        shown = packet.dts if packet.pts is None or _is_of_next_part(packet) else packet.pts
        seconds = float(shown * self.time_base)
        self.returns.append(packet.is_keyframe and seconds < self._latest)
        self._latest = seconds if self.returns[-1] else max(seconds, self._latest)
        self.decoded.append(float(packet.dts * self.time_base))
        self.shown.append(seconds)
        self.places.append(packet.pos if packet.pos is not None else self.places[-1] if self.places else 0)

    def jumps(self) -> list[tuple[int, int]]:
        """(byte before, byte after) of each place where the clock starts anew."""
        steps = np.diff(np.asarray(self.decoded))
        is_back = (steps < -_BACK_SECONDS) | ((steps < 0) & np.asarray(self.returns, dtype=bool)[1:])
        broken: NDArray[np.intp] = np.flatnonzero(is_back | (steps > _AHEAD_SECONDS))
        lonely = np.diff(broken, append=len(steps) + _STEADY_PACKETS) >= _STEADY_PACKETS
        lonely &= np.diff(broken, prepend=-_STEADY_PACKETS) >= _STEADY_PACKETS
        return [(self.places[i], self.places[i + 1]) for i in broken[lonely]]

    def goes_past(self, position: int) -> bool:
        """True where the stream has packets before and behind."""
        return bool(self.places) and self.places[0] < position <= self.places[-1]

    def part(self, positions: Sequence[int], number: int) -> tuple[float, float] | None:
        """(first second shown, end of the last) between two joints; None where the stream is silent there.

        The end is reckoned from the usual distance of two packets: durations may count fields, or be absent.
        """
        bounds = [-1, *positions, self.places[-1] + 1] if self.places else []
        if not bounds:
            return None
        places = np.asarray(self.places)
        inside = (places >= bounds[number]) & (places < bounds[number + 1])
        if not inside.any():
            return None
        shown, steps = np.asarray(self.shown)[inside], np.diff(np.asarray(self.decoded)[inside])
        onward = steps[(steps > 0) & (steps < 1)]
        return float(shown.min()), float(shown.max() + (np.median(onward) if len(onward) else 0))


def _is_of_next_part(packet: Packet[Any]) -> bool:
    """True for a time that cannot be the packet's own: the library takes the last one's from what follows."""
    if packet.pts is None or packet.dts is None:
        return False
    ahead = (packet.pts - packet.dts) * packet.time_base
    return ahead < -_BACK_SECONDS or ahead > _AHEAD_SECONDS


@functools.lru_cache(maxsize=64)
def _joints(name: str, mtime_ns: int, size: int) -> tuple[Joint, ...]:
    """The joints of a film, from the first to the last. Its time of change and size are part of the key."""
    with open_input(Path(name)) as container:
        if container.format.name not in CLOCKS_START_ANEW:
            return ()
        tracks = {
            stream.index: _Track(Fraction(stream.time_base))
            for stream in container.streams
            if stream.type in ("video", "audio") and stream.time_base
        }
        failures = 0
        while failures < _CONSECUTIVE_FAILURES:
            try:
                for packet in container.demux():
                    failures = 0
                    if packet.stream_index in tracks:
                        tracks[packet.stream_index].add(packet)
                break
            except (av.FFmpegError, EOFError):
                failures += 1
    return _laid_end_to_end(list(tracks.values()))


def _laid_end_to_end(tracks: Sequence[_Track]) -> tuple[Joint, ...]:
    """Each part begins where the one before ends, in the stream that ends last: nothing overlaps."""
    positions = _common_jumps(tracks)
    joints: list[Joint] = []
    shift = Fraction(0)
    for number, position in enumerate(positions):
        parts = [(track.part(positions, number), track.part(positions, number + 1)) for track in tracks]
        gaps = [before[1] - after[0] for before, after in parts if before and after]
        if gaps:
            shift += Fraction(round(max(gaps) * _TICKS), _TICKS)
            joints.append(Joint(position, shift))
    return tuple(joints)


def _common_jumps(tracks: Sequence[_Track]) -> list[int]:
    """Bytes at which all streams that go on start anew: one alone has a gap, or is damaged."""
    pending = [(track, deque(track.jumps())) for track in tracks]
    found: list[int] = []
    while jumps := [(own[0][1], number) for number, (_, own) in enumerate(pending) if own]:
        # The first packet known to be of the new part; the old one's may be anywhere before.
        position, first = min(jumps)
        pending[first][1].popleft()
        others = [other for number, other in enumerate(pending) if number != first]
        going_on = [own for track, own in others if track.goes_past(position)]
        if all(own and own[0][0] < position for own in going_on):
            found.append(position)
            for own in going_on:
                own.popleft()
    return found
