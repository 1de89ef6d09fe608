"""Which frame of a film has which time: the one place that decides, for every film and every dataset.

A decoder gives frames in order of presentation, so their order is never in doubt; the times that they carry
may be. Here each frame gets a time of its own, after the one before, as near to what the film stores as that
allows, and no frame moves because another one's time is absent, repeated or out of order.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

HELD_FRAMES = 16
"""As many frames are held at most to see the times that follow: what H.264 and HEVC may reorder."""
HELD_BYTES = 64 << 20
HELD_AT_LEAST = 3

BACKWARD_SECONDS = 1
"""Times that go back further than reordering can explain belong to a clock that starts anew."""
FORWARD_SECONDS = 10
"""In formats whose clock may start anew, a step so large is no pause but another clock."""

NO_PRESENTATION_TIMES = frozenset({"avi"})
"""Formats that store when a frame is decoded, never when it is shown."""
NO_TIMES = frozenset(
    {"h264", "hevc", "vvc", "obu", "vc1", "mpegvideo", "m4v", "mjpeg", "dirac", "h261", "h263"}
)
"""Bare streams of a codec: what times they are given here comes from a rate alone."""
CLOCKS_START_ANEW = frozenset({"mpegts", "mpeg"})
"""Formats that are joined by appending one file to another."""


@dataclass(frozen=True)
class Timed:
    """A decoded frame and its time."""

    frame: VideoFrame
    pts: int
    """In the film's time base."""
    own: int | None
    """What the frame carried itself, on the film's clock."""
    duration: int | None


class FrameClock:
    """Gives decoded frames their times. Feed it every packet, push every frame, and flush it at the end."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.restamped = 0
        """Frames whose own time was absent or not after the one before, in a film that stores times."""
        self.is_sorted = False
        """True once times came in the order of decoding, and were given out in order."""
        self.is_timed = False
        """True once any packet named a time that the film stores."""
        self._stores_times = container.format.name not in NO_TIMES
        second = self._second = 1 / Fraction(stream.time_base or 1)
        self._step = frame_step(stream)
        self._back = max(round(BACKWARD_SECONDS * second), (HELD_FRAMES + 1) * self._step)
        may_jump = container.format.name in CLOCKS_START_ANEW
        self._forth = max(round(FORWARD_SECONDS * second), 2 * self._back) if may_jump else None
        self._order = _PacketOrder(container, stream)
        self._pending: deque[tuple[VideoFrame, int | None]] = deque()
        self._shift = 0
        self._latest: int | None = None
        self._last: int | None = None
        self._stands = self._step
        """How long the last frame stands by itself: some films repeat fields."""

    @property
    def frames_per_second(self) -> float:
        """The rate at which the last frame was shown."""
        return float(self._second / self._stands)

    @property
    def is_plain(self) -> bool:
        """True where all times so far were stored, on the clock that the film began with.

        Those alone are the same wherever reading begins.
        """
        is_disordered = self.is_sorted and not self._order.may_be_decoding_order
        return self.is_timed and not (self.restamped or self._shift or is_disordered)

    def feed(self, packet: Packet[VideoStream]) -> None:
        """Look at a packet's times before it is decoded."""
        self.is_timed = self.is_timed or (self._stores_times and packet.pts is not None)
        self._order.feed(packet)

    def push(self, frame: VideoFrame) -> Iterator[Timed]:
        """Take the next frame in order of presentation; gives those whose time is settled now."""
        self._pending.append((frame, self._own_time(frame)))
        held = self._held_at_most(frame)
        while self._pending and (len(self._pending) > held or self._is_settled()):
            yield self._release()

    def flush(self) -> Iterator[Timed]:
        """The frames that are left, after the last one was pushed."""
        while self._pending:
            yield self._release()

    def _own_time(self, frame: VideoFrame) -> int | None:
        if frame.pts is None or not self._stores_times:
            return None
        own, latest = frame.pts - self._order.offset + self._shift, self._latest
        if latest is not None and (
            own < latest - self._back or (self._forth is not None and own > latest + self._forth)
        ):
            restart = latest + self._step
            self._shift, own = self._shift + restart - own, restart
        if latest is not None and own < latest:
            self.is_sorted = True
        self._latest = own if latest is None else max(latest, own)
        return own

    def _held_at_most(self, frame: VideoFrame) -> int:
        size = sum(plane.buffer_size for plane in frame.planes) or 1
        return min(max(HELD_BYTES // size, HELD_AT_LEAST), HELD_FRAMES)

    def _is_settled(self) -> bool:
        own = self._pending[0][1]
        if self._order.may_be_decoding_order:
            return False
        if self._is_after_last(own):
            return True
        # Its place is between two frames that do have a time.
        return any(self._is_after_last(later) for _, later in itertools.islice(self._pending, 1, None))

    def _is_after_last(self, own: int | None) -> bool:
        return own is not None and (self._last is None or own > self._last)

    def _release(self) -> Timed:
        self._sort()
        frame, own = self._pending.popleft()
        if own is not None and self._is_after_last(own):
            pts, duration = own, int(frame.duration or 0) or None
        else:
            self.restamped += self.is_timed
            pts, duration = self._between(), None
        self._last, self._stands = pts, int(frame.duration or 0) or self._step
        return Timed(frame, pts, own, duration)

    def _sort(self) -> None:
        """Hand the times of the frames that are held out in order."""
        times = [own for _, own in self._pending if own is not None]
        if all(a <= b for a, b in itertools.pairwise(times)):
            return
        ordered = iter(sorted(times))
        self._pending = deque((frame, None if own is None else next(ordered)) for frame, own in self._pending)

    def _between(self) -> int:
        """A time for the frame just taken: one step on, or less where the next frame comes earlier."""
        if self._last is None:
            first = next(((n, own) for n, (_, own) in enumerate(self._pending, 1) if own is not None), None)
            return 0 if first is None else max(min(0, first[1]), first[1] - first[0] * self._step)
        step = self._stands
        for number, (_, own) in enumerate(self._pending, 2):
            if own is not None and own > self._last:
                step = min(step, (own - self._last) // number)
                break
        return self._last + max(1, step)


class _PacketOrder:
    """Whether packets name when frames are shown, or only when they are decoded."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.offset = 0
        """What the library added to the time of decoding, in formats that store no other."""
        self.may_be_decoding_order = reorders(stream)
        self._is_stored = container.format.name not in NO_PRESENTATION_TIMES
        self._latest: int | None = None

    def feed(self, packet: Packet[VideoStream]) -> None:
        if packet.pts is None or not packet.size or not self.may_be_decoding_order:
            return
        if self._latest is None and not self._is_stored and packet.dts is not None:
            self.offset = packet.pts - packet.dts
        if self._is_stored and self._latest is not None and packet.pts < self._latest:
            # Times of decoding never go back. Those that do so in AVI are the library's guess.
            self.may_be_decoding_order = False
        self._latest = packet.pts


def reorders(stream: VideoStream) -> bool:
    """True where frames may be shown in another order than they are decoded in."""
    return bool(stream.codec_context.has_b_frames)


def frame_step(stream: VideoStream) -> int:
    """The usual distance of two frames, at least 1, in the stream's time base."""
    return max(1, round(1 / (frame_rate(stream) * Fraction(stream.time_base or Fraction(1, 1000)))))


def frame_rate(stream: VideoStream) -> Fraction:
    """Average frames per second: the stream's own, else the library's guess, else 25."""
    average = stream.average_rate
    # From one frame, or a clock that stands still, an average comes out as the clock itself.
    if average and stream.time_base and average >= 1 / Fraction(stream.time_base) and stream.guessed_rate:
        average = min(Fraction(average), Fraction(stream.guessed_rate))
    return Fraction(average or stream.guessed_rate or stream.base_rate or 25)


def packet_times(
    container: InputContainer, stream: VideoStream, see: Callable[[Packet[Any]], None]
) -> list[int] | None:
    """Sorted pts of the packets that give frames, without decoding; None where only decoding can tell.

    `see` is shown every packet, of all streams.

    That is so where times are absent or repeated, where the clock starts anew, where no key frame opens the
    film, where a packet is damaged, and where only the order of decoding is stored.
    """
    name = container.format.name
    if name in NO_TIMES or (name in NO_PRESENTATION_TIMES and reorders(stream)):
        return None
    furthest = FORWARD_SECONDS / (stream.time_base or 1) if name in CLOCKS_START_ANEW else None
    times: list[int] = []
    first_key: int | None = None
    last_dts: int | None = None
    try:
        for packet in container.demux():
            see(packet)
            if packet.stream is not stream or packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            if packet.dts is not None:
                if last_dts is not None and packet.dts < last_dts:
                    return None
                last_dts = packet.dts
            if first_key is None:
                if not packet.is_keyframe:
                    return None
                first_key = packet.pts
            times.append(packet.pts)
    except av.FFmpegError:
        return None
    times.sort()
    steps = {b - a for a, b in itertools.pairwise(times)}
    if not times or times[0] != first_key or 0 in steps or (furthest and max(steps, default=0) > furthest):
        return None
    return times
