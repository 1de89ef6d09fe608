"""What a film is: size, rotation, clock, colour, streams. Decodes one frame, since only a frame tells all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from p2pcli.errors import ItemError
from p2pcli.io.video.colour import Colour, colour_of, refusal
from p2pcli.io.video.container import open_input, video_stream
from p2pcli.io.video.side_data import display_matrix
from p2pcli.io.video.timing import frame_rate

PACKETS_TO_FIRST_FRAME = 2000
"""After so many packets without one frame a stream is called undecodable."""

INTERLACED_ORDERS = frozenset({2, 3, 4, 5})

WOVEN = (
    "the two fields of a frame are used woven into one picture, and so written, as progressive. Where motion "
    "shows combs, deinterlace first (ffmpeg -i FILM -vf bwdif OUT.mkv)."
)
"""What is done with interlaced frames, as the end of a sentence."""


@dataclass(frozen=True)
class VideoInfo:
    """One film, as its first video stream. All sizes are in pixels."""

    path: Path
    width: int
    """Upright: after `rotation`."""
    height: int
    coded_width: int
    """As stored: before `rotation`."""
    coded_height: int
    rotation: int
    """Degrees clockwise that turn a stored frame upright: 0, 90, 180 or 270."""
    mirrored: bool
    """True where a stored frame is flipped left-right before it is turned."""
    fps: Fraction
    """Average frames per second; the clock itself is `time_base` and each frame's pts."""
    frames: int | None
    """An estimate from the header; `frame_times` counts."""
    seconds: float | None
    time_base: Fraction
    start_pts: int
    colour: Colour
    bits: int
    pix_fmt: str
    codec: str
    container: str
    sample_aspect_ratio: Fraction
    """Of an upright frame."""
    interlaced: bool
    alpha: bool
    videos: int
    audio: int
    subtitles: int

    @property
    def is_hdr(self) -> bool:
        """True for the PQ and HLG transfers; reading tone-maps them."""
        return self.colour.is_hdr

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what reading changes or leaves out."""
        name = self.path.name
        facts = {
            f"{name}: HDR is tone-mapped to BT.709.": self.is_hdr,
            f"{name}: wide colour is converted to BT.709.": self.colour.is_wide and not self.is_hdr,
            f"{name}: {self.bits} bits a channel are rounded to 8.": self.bits > 8,
            f"{name}: names matrix {self.colour.unknown_matrix} for its colours, which nothing is known of; "
            f"{self.colour.matrix} is taken.": self.colour.unknown_matrix is not None,
            f"{name}: transparency is ignored.": self.alpha,
            f"{name}: interlaced; {WOVEN}": self.interlaced,
            f"{name}: {self.videos} video streams; the first is used.": self.videos > 1,
        }
        return tuple(text for text, holds in facts.items() if holds)


def probe(path: Path | str) -> VideoInfo:
    """What the film at `path` is.

    Raises `ItemError` (stage "read") where it is no local file, no container, has no video stream, or gives
    no frame.
    """
    path = Path(path)
    with open_input(path) as container:
        stream = video_stream(container, path)
        return describe(container, stream, _first_frame(container, stream, path), path)


def describe(container: InputContainer, stream: VideoStream, frame: VideoFrame, path: Path) -> VideoInfo:
    """`VideoInfo` of an opened film, of which `frame` is the first frame."""
    refused = refusal(frame)
    if refused is not None:
        raise ItemError(
            f"{path}: its colours are coded as {refused}, which is not converted here. BT.601, BT.709, "
            "BT.2020, SMPTE 240M, FCC, YCgCo or RGB was expected: convert it first "
            "(ffmpeg -i FILM -vf zscale=matrix=709 OUT.mp4)."
        )
    rotation, mirrored = orientation_of(frame)
    is_turned = rotation in (90, 270)
    seconds = _seconds(container, stream)
    fps = frame_rate(stream)
    time_base = stream.time_base or Fraction(1, 1000)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    has_alpha = any(part.is_alpha for part in frame.format.components)
    return VideoInfo(
        path=path,
        width=frame.height if is_turned else frame.width,
        height=frame.width if is_turned else frame.height,
        coded_width=frame.width,
        coded_height=frame.height,
        rotation=rotation,
        mirrored=mirrored,
        fps=fps,
        frames=stream.frames or (round(seconds * fps) if seconds else None),
        seconds=seconds,
        time_base=Fraction(time_base),
        start_pts=stream.start_time if stream.start_time is not None else frame.pts or 0,
        colour=colour_of(frame),
        bits=max(part.bits for part in frame.format.components),
        pix_fmt=frame.format.name,
        codec=stream.codec_context.codec.canonical_name,
        container=container.format.name,
        sample_aspect_ratio=Fraction(1) / aspect if is_turned else Fraction(aspect),
        interlaced=frame.interlaced_frame or stream.codec_context.field_order in INTERLACED_ORDERS,
        alpha=has_alpha or stream.metadata.get("alpha_mode") == "1",
        videos=len(container.streams.video),
        audio=len(container.streams.audio),
        subtitles=len(container.streams.subtitles),
    )


def orientation_of(frame: VideoFrame) -> tuple[int, bool]:
    """(degrees clockwise, mirrored): flip left-right if mirrored, then turn, and the frame is upright.

    From the display matrix (a, b, u, c, d, v, x, y, w): a stored point (p, q) is shown at (a·p + c·q,
    b·p + d·q). Angles between are taken to the nearest quarter turn.
    """
    matrix = display_matrix(frame)
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90, mirrored


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    stream.thread_type = "AUTO"
    errors = 0
    try:
        for number, packet in enumerate(container.demux(stream)):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                errors += 1
                frames = []
            if frames:
                return frames[0]
            if number > PACKETS_TO_FIRST_FRAME:
                break
    except (av.FFmpegError, EOFError):
        errors += 1
    cause = f"{errors} packets are damaged" if errors else "the stream is empty"
    raise ItemError(
        f"{path}: not one frame can be decoded ({cause}). A film with at least one frame was expected: "
        "copy or download it again."
    )


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
