"""Every frame of a film by its number: when it is shown, and whether the film holds all that it announces."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from p2pcli.io.video.clock import clock_of
from p2pcli.io.video.container import open_input, video_stream
from p2pcli.io.video.extent import Extent
from p2pcli.io.video.reader import FrameReader
from p2pcli.io.video.timing import packet_times


@dataclass(frozen=True)
class FilmFrames:
    """Every frame of a film, without its pixels."""

    times: list[int]
    """pts in order of presentation, in the film's time base: frame n has `times[n]`."""
    cut_short: str | None
    """A sentence where the film holds much less than its header announces."""


def frame_times(path: Path | str) -> list[int]:
    """The pts of every frame in order of presentation, in the film's time base; see `film_frames`."""
    return film_frames(path).times


def film_frames(path: Path | str) -> FilmFrames:
    """All frames' times, and whether they are all.

    Read from the packets, without decoding. Decodes only where packets do not tell; `timing` says when.
    """
    path = Path(path)
    with open_input(path) as container:
        stream = video_stream(container, path)
        extent = Extent(container, stream, path)
        time_base = Fraction(stream.time_base or 1)
        times = packet_times(container, stream, extent.see)
    if times is not None and not clock_of(path).joints:
        longest = max((b - a for a, b in itertools.pairwise(times)), default=0)
        return FilmFrames(times, _cut_short(path.name, extent, times[-1], longest, time_base))
    with FrameReader(path) as reader:
        times = []
        for timed in reader.timed():
            reader.reached(timed)
            times.append(timed.pts)
        return FilmFrames(times, reader.cut_short)


def _cut_short(name: str, extent: Extent, last: int, longest: int, time_base: Fraction) -> str | None:
    if not extent.is_incomplete(last, longest, time_base):
        return None
    return f"{name}: {extent.shortfall(last, longest, time_base)}"
