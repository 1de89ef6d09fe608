"""Reading frames: all of them in order, or exactly those with given timestamps."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.video.clock import clock_of
from p2pcli.io.video.colour import as_rgb
from p2pcli.io.video.container import open_input, video_stream
from p2pcli.io.video.extent import Extent
from p2pcli.io.video.probe import WOVEN, VideoInfo, describe, probe
from p2pcli.io.video.timing import FrameClock, Timed

CONSECUTIVE_FAILURES = 100
"""So many read errors in a row end the film: a demuxer that no longer advances would never end by itself."""


@dataclass(frozen=True)
class Frame:
    """One frame. `pts` and `duration` are in the film's time base."""

    pts: int
    index: int
    """Counted from the first frame that is read; with `pts` given, the position in that list."""
    image: Image
    """Upright RGB (H, W, 3), uint8, or uint16 where asked `deep`."""
    duration: int | None = None
    is_damaged: bool = False
    """True where the decoder filled in for data that was missing."""


def read_frames(
    path: Path | str,
    *,
    pts: Sequence[int] | None = None,
    start: int | None = None,
    stop: int | None = None,
    deep: bool = False,
    threads: int = 0,
) -> FrameReader:
    """An iterator of `Frame`: every frame in order, or those with the timestamps `pts` (ascending).

    `start` and `stop` bound the pts (stop excluded). With `pts`, seeks to the key frame before and decodes
    forward; timestamps that are not there are left in `reader.missing`. `threads` 0 uses every core; a worker
    of a pool wants 1. DamagedError packets are skipped and counted in `reader.damaged`. Raises `ItemError` as
    `probe` does.
    """
    return FrameReader(path, pts=pts, start=start, stop=stop, deep=deep, threads=threads)


class FrameReader:
    """The iterator behind `read_frames`; also a context manager. Holds one decoded frame at a time."""

    def __init__(
        self,
        path: Path | str,
        *,
        pts: Sequence[int] | None = None,
        start: int | None = None,
        stop: int | None = None,
        deep: bool = False,
        threads: int = 0,
    ) -> None:
        self.path = Path(path)
        self.info: VideoInfo | None = None
        """Known from the first frame on."""
        self.damaged = 0
        """Packets or frames that could not be used."""
        self.concealed = 0
        """Frames given with `is_damaged`."""
        self.missing: list[int] = []
        self.resized = 0
        """Frames of another size, scaled to the first frame's."""
        self.woven = 0
        """Frames that hold two fields."""
        self._other_sizes: dict[tuple[int, int], None] = {}
        self.clock: FrameClock | None = None
        """What gave the frames read so far their times."""
        self._deep = deep
        self._threads = threads
        self._extent: Extent | None = None
        self._is_read_through = False
        self._end_pts: int | None = None
        self._longest = 0
        self._reformatter = VideoReformatter()
        self._container: InputContainer | None = None
        self._frames: Generator[Frame]
        if pts is None:
            self._frames = self._in_range(start, stop)
        else:
            wanted = [t for t in pts if (start is None or t >= start) and (stop is None or t < stop)]
            if any(a >= b for a, b in itertools.pairwise(wanted)):
                raise ValueError("pts must ascend")
            self._frames = self._exactly(wanted)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and close the file. Harmless to repeat; reading to the end does it too."""
        self._frames.close()
        if self._container is not None:
            self._container.close()
            self._container = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was changed or could not be used so far."""
        name, restamped = self.path.name, self.clock.restamped if self.clock else 0
        counted = {
            f"{name}: {self.damaged} damaged packets or frames were skipped.": self.damaged,
            f"{name}: {self.concealed} frames are partly damaged.": self.concealed,
            f"{name}: {restamped} frames had no usable timestamp and got one.": restamped,
            f"{name}: {len(self.missing)} asked frames are not there.": len(self.missing),
        }
        if self.clock is not None and self.info is not None and not self.clock.is_timed:
            rate = f"{self.clock.frames_per_second:.5g} frames a second are taken"
            counted[f"{name}: stores no times for its frames; {rate}."] = 1
        if self.shortfall is not None:
            counted[self.shortfall] = 1
        return (*self.notes_on_pictures, *(text for text, n in counted.items() if n))

    @property
    def notes_on_pictures(self) -> tuple[str, ...]:
        """Sentences on what becomes of frames, the same for any part of the film that shows it."""
        info, name = self.info, self.path.name
        if info is None:
            return ()
        is_turned = info.rotation in (90, 270)
        sizes = ", ".join(f"{h}×{w}" if is_turned else f"{w}×{h}" for w, h in self._other_sizes)
        facts = {
            f"{name}: its size changes midway; frames of another size ({sizes} px) are scaled to the "
            f"first's, {info.width}×{info.height} px.": bool(sizes),
            f"{name}: some frames are interlaced; {WOVEN}": self.woven and not info.interlaced,
        }
        return (*info.notes, *(text for text, holds in facts.items() if holds))

    @property
    def shortfall(self) -> str | None:
        """A sentence where a film that was read to its end holds less than its header announces."""
        if self.info is None or self._extent is None or self._end_pts is None or not self._is_read_through:
            return None
        missing = self._extent.shortfall(self._end_pts, self._longest, self.info.time_base)
        return None if missing is None else f"{self.path.name}: {missing}"

    @property
    def cut_short(self) -> str | None:
        """`shortfall`, where what is missing is too much for the film to count as read."""
        if self.shortfall is None or self._extent is None or self.info is None or self._end_pts is None:
            return None
        is_cut = self._extent.is_incomplete(self._end_pts, self._longest, self.info.time_base)
        return self.shortfall if is_cut else None

    def reached(self, timed: Timed) -> None:
        """Take note of how far a reading from the start has come."""
        stood = 0 if self._end_pts is None else timed.pts - self._end_pts
        self._end_pts, self._longest = timed.pts, max(self._longest, timed.duration or 0, stood)

    def timed(self, *, seek_to: int | None = None) -> Generator[Timed]:
        """Decoded frames with their times, from the start or from the key frame before `seek_to`."""
        if self._container is not None:
            self._container.close()
        container = self._container = open_input(self.path)
        stream = video_stream(container, self.path)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        clock = self.clock = FrameClock(container, stream)
        self._extent, self._is_read_through, self._end_pts = Extent(container, stream, self.path), False, None
        # Where the clock starts anew, one timestamp leads to several places.
        if seek_to is not None and not clock_of(self.path).joints:
            # Size, colour and rotation are those of the film's first frame, wherever reading begins.
            self.info = self.info or probe(self.path)
            # Where a format stores less than times, the film's first packet tells how to read the others.
            clock.feed(next(container.demux(stream)))
            container.seek(seek_to, stream=stream, backward=True)
        count = 0
        for frame in self._decode(container, stream, clock):
            if self.info is None:
                self.info = describe(container, stream, frame, self.path)
            count += 1
            yield from clock.push(frame)
        yield from clock.flush()
        self._is_read_through = seek_to is None
        if not count and seek_to is None:
            raise ItemError(
                f"{self.path}: not one frame can be decoded ({self.damaged} packets are damaged). A film "
                "with at least one frame was expected: copy or download it again."
            )

    def _decode(
        self, container: InputContainer, stream: VideoStream, clock: FrameClock
    ) -> Iterator[VideoFrame]:
        for packet in self._packets(container, stream):
            if packet is not None:
                clock.feed(packet)
            try:
                yield from packet.decode() if packet is not None else stream.codec_context.decode(None)
            except av.FFmpegError:
                self.damaged += 1

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream] | None]:
        """Packets up to the flushing one; None flushes where the file ended in read errors."""
        failures, clock = 0, clock_of(self.path)
        while failures < CONSECUTIVE_FAILURES:
            try:
                for packet in container.demux():
                    failures = 0
                    if self._extent is not None:
                        self._extent.see(packet)
                    # The packets that flush decoders have a stream, and no index of one.
                    if packet.stream is stream:
                        clock.place(packet)
                        yield cast("av.Packet[VideoStream]", packet)
                return
            except av.FFmpegError:
                self.damaged += 1
                failures += 1
        yield None

    def _in_range(self, start: int | None, stop: int | None) -> Generator[Frame]:
        index = 0
        for timed in self.timed():
            if stop is not None and timed.pts >= stop:
                break
            self.reached(timed)
            if start is not None and timed.pts < start:
                continue
            frame = self._converted(timed, index)
            if frame is not None:
                yield frame
            index += 1
        self._finish()

    def _exactly(self, wanted: list[int]) -> Generator[Frame]:
        """The wanted frames: by seeking, then, from the first that seeking missed, from the start."""
        found = 0
        if wanted:
            for timed in self._from_key_frame(wanted[0]):
                if timed.pts > wanted[found]:
                    break
                if timed.pts == wanted[found]:
                    frame = self._converted(timed, found)
                    found += 1
                    if frame is not None:
                        yield frame
                    if found == len(wanted):
                        break
        if found < len(wanted):
            yield from self._exactly_from_start(wanted, found)
        self._finish()

    def _from_key_frame(self, pts: int) -> Iterator[Timed]:
        """Frames from the key frame before `pts` on, as long as their times are those of a whole reading.

        They are not where a time was made from its neighbours', since not all of them may have been seen.
        """
        first: int | None = None
        try:
            # One tick earlier: the frame before, of the same time perhaps, has to be seen.
            for timed in self.timed(seek_to=pts - 1):
                if self.clock is None or not self.clock.is_plain:
                    return
                if first is not None and timed.pts > first:
                    yield timed
                first = timed.pts if first is None else first
        except (av.FFmpegError, StopIteration):
            # Streams without an index, or without any times, cannot be searched.
            return

    def _exactly_from_start(self, wanted: list[int], found: int) -> Generator[Frame]:
        positions = {pts: position for position, pts in enumerate(wanted) if position >= found}
        for timed in self.timed():
            position = positions.pop(timed.pts, None)
            if position is not None:
                frame = self._converted(timed, position)
                if frame is not None:
                    yield frame
            if timed.pts >= wanted[-1]:
                break
        self.missing.extend(positions)

    def _finish(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _converted(self, timed: Timed, index: int) -> Frame | None:
        """`frame` as upright RGB in the first frame's size; None, and counted, where that fails."""
        info, frame = self.info, timed.frame
        assert info is not None
        if (frame.width, frame.height) != (info.coded_width, info.coded_height):
            self.resized += 1
            self._other_sizes[frame.width, frame.height] = None
        self.woven += frame.interlaced_frame
        try:
            image = as_rgb(
                frame,
                info.colour,
                reformatter=self._reformatter,
                width=info.coded_width,
                height=info.coded_height,
                deep=self._deep,
                threads=self._threads,
            )
        except (av.FFmpegError, ValueError):
            self.damaged += 1
            return None
        self.concealed += frame.is_corrupt
        return Frame(
            timed.pts,
            index,
            upright(image, info.rotation, mirrored=info.mirrored),
            timed.duration,
            bool(frame.is_corrupt),
        )


def upright(image: Image, rotation: int, *, mirrored: bool = False) -> Image:
    """`image` (H, W, C) flipped left-right if mirrored, then turned `rotation` degrees clockwise."""
    if mirrored:
        image = image[:, ::-1]
    if rotation:
        image = np.rot90(image, k=-(rotation // 90))
    return np.ascontiguousarray(image)
