"""Reading frames: all of them in order, or exactly those with given timestamps."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.video.colour import as_rgb
from p2pcli.io.video.container import open_input, video_stream
from p2pcli.io.video.probe import VideoInfo, describe

CONSECUTIVE_FAILURES = 100
"""So many read errors in a row end the film: a demuxer that no longer advances would never end by itself."""

_CUT_SECONDS = 0.5
"""A film that ends so much before what its header announces was cut short; less is a matter of rounding."""


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


def frame_times(path: Path | str) -> list[int]:
    """The pts of every frame in order of presentation, in the film's time base.

    Read from the packets, without decoding. Decodes only where packets do not tell: no or repeated
    timestamps, or a beginning that no key frame opens.
    """
    path = Path(path)
    with open_input(path) as container:
        times = _packet_times(container, video_stream(container, path))
    if times is not None:
        return times
    with FrameReader(path) as reader:
        return [reader.stamp(frame) for frame in reader.decoded()]


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
    of a pool wants 1. Damaged packets are skipped and counted in `reader.damaged`. Raises `ItemError` as
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
        self.restamped = 0
        """Frames whose timestamp was absent or not after the one before."""
        self.cut_short: tuple[float, float] | None = None
        """(second at which the film ended, second that its header announces) where that is much later."""
        self._deep = deep
        self._threads = threads
        self._last_pts: int | None = None
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
        name = self.path.name
        counted = {
            f"{name}: {self.damaged} damaged packets or frames were skipped.": self.damaged,
            f"{name}: {self.concealed} frames are partly damaged.": self.concealed,
            f"{name}: {self.resized} frames have another size and were scaled to the first's.": self.resized,
            f"{name}: {self.restamped} frames had no usable timestamp and got one.": self.restamped,
            f"{name}: {len(self.missing)} asked frames are not there.": len(self.missing),
        }
        if self.cut_short is not None:
            end, announced = self.cut_short
            text = (
                f"{name}: ends at {end:.1f} s of the {announced:.1f} s that its header announces: it was cut "
                "short. Copy or download it again for the rest."
            )
            counted[text] = 1
        return (self.info.notes if self.info else ()) + tuple(text for text, n in counted.items() if n)

    def decoded(self, *, seek_to: int | None = None) -> Generator[VideoFrame]:
        """Decoded frames as the codec gives them, from the start or from the key frame before `seek_to`."""
        if self._container is not None:
            self._container.close()
        container = self._container = open_input(self.path)
        stream = video_stream(container, self.path)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        if seek_to is not None:
            container.seek(seek_to, stream=stream, backward=True)
        count = 0
        for frame in self._decode(container, stream):
            if self.info is None:
                self.info = describe(container, stream, frame, self.path)
            count += 1
            yield frame
        if not count and seek_to is None:
            raise ItemError(
                f"{self.path}: not one frame can be decoded ({self.damaged} packets are damaged). A film "
                "with at least one frame was expected: copy or download it again."
            )

    def stamp(self, frame: VideoFrame) -> int:
        """The frame's pts, or the next free one where it has none or it does not come after the last."""
        pts, last = frame.pts, self._last_pts
        if pts is None or (last is not None and pts <= last):
            self.restamped += 1
            pts = 0 if last is None else last + self._step(frame)
        self._longest = max(self._longest, int(frame.duration or 0), 0 if last is None else pts - last)
        self._last_pts = pts
        return pts

    def _step(self, frame: VideoFrame) -> int:
        if frame.duration:
            return int(frame.duration)
        info = self.info
        return max(1, round(1 / (info.fps * info.time_base))) if info else 1

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        for packet in self._packets(container, stream):
            try:
                yield from packet.decode() if packet is not None else stream.codec_context.decode(None)
            except av.FFmpegError:
                self.damaged += 1

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream] | None]:
        """Packets up to the flushing one; None flushes where the file ended in read errors."""
        failures = 0
        while failures < CONSECUTIVE_FAILURES:
            try:
                for packet in container.demux(stream):
                    failures = 0
                    yield packet
                return
            except av.FFmpegError:
                self.damaged += 1
                failures += 1
        yield None

    def _in_range(self, start: int | None, stop: int | None) -> Generator[Frame]:
        index = 0
        for decoded in self.decoded(seek_to=start):
            pts = self.stamp(decoded)
            if stop is not None and pts >= stop:
                break
            if start is not None and pts < start:
                continue
            frame = self._converted(decoded, pts, index)
            if frame is not None:
                index += 1
                yield frame
        else:
            self._compare_with_header()
        self._finish()

    def _compare_with_header(self) -> None:
        info, last = self.info, self._last_pts
        if info is None or info.announced_end is None or last is None:
            return
        end = float(last * info.time_base)
        # The last frame of a slide show may stand as long as any, which not every container stores.
        if info.announced_end - end > max(_CUT_SECONDS, float(2 * self._longest * info.time_base)):
            self.cut_short = (end, info.announced_end)

    def _exactly(self, wanted: list[int]) -> Generator[Frame]:
        """The wanted frames: by seeking, then, from the first that seeking missed, from the start."""
        found = 0
        if wanted:
            for decoded in self.decoded(seek_to=wanted[0]):
                if decoded.pts is None or decoded.pts > wanted[found]:
                    break
                if decoded.pts == wanted[found]:
                    frame = self._converted(decoded, decoded.pts, found)
                    found += 1
                    if frame is not None:
                        yield frame
                    if found == len(wanted):
                        break
        if found < len(wanted):
            yield from self._exactly_from_start(wanted, found)
        self._finish()

    def _exactly_from_start(self, wanted: list[int], found: int) -> Generator[Frame]:
        self._last_pts = None
        positions = {pts: position for position, pts in enumerate(wanted) if position >= found}
        for decoded in self.decoded():
            pts = self.stamp(decoded)
            position = positions.pop(pts, None)
            if position is not None:
                frame = self._converted(decoded, pts, position)
                if frame is not None:
                    yield frame
            if pts >= wanted[-1]:
                break
        self.missing.extend(positions)

    def _finish(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _converted(self, frame: VideoFrame, pts: int, index: int) -> Frame | None:
        """`frame` as upright RGB in the first frame's size; None, and counted, where that fails."""
        info = self.info
        assert info is not None
        if (frame.width, frame.height) != (info.coded_width, info.coded_height):
            self.resized += 1
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
            pts,
            index,
            upright(image, info.rotation, mirrored=info.mirrored),
            int(frame.duration) if frame.duration else None,
            bool(frame.is_corrupt),
        )


def upright(image: Image, rotation: int, *, mirrored: bool = False) -> Image:
    """`image` (H, W, C) flipped left-right if mirrored, then turned `rotation` degrees clockwise."""
    if mirrored:
        image = image[:, ::-1]
    if rotation:
        image = np.rot90(image, k=-(rotation // 90))
    return np.ascontiguousarray(image)


def _packet_times(container: InputContainer, stream: VideoStream) -> list[int] | None:
    """Sorted pts of the packets that give frames; None where only decoding can tell."""
    times: list[int] = []
    first_key: int | None = None
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            if first_key is None:
                if not packet.is_keyframe:
                    return None
                first_key = packet.pts
            times.append(packet.pts)
    except av.FFmpegError:
        return None
    times.sort()
    if not times or times[0] != first_key or any(a == b for a, b in itertools.pairwise(times)):
        return None
    return times
