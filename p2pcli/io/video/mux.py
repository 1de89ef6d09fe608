"""What rides along with the pictures: sound, subtitles, attachments, chapters, titles, copied as they are."""

from __future__ import annotations

import contextlib
import errno
import io
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from p2pcli.errors import UsageError
from p2pcli.io.video.container import has_codec, open_input
from p2pcli.io.video.probe import VideoInfo

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Suffix → format that films are written in. Others lose timestamps (avi) or titles and chapters (ts)."""

FALLBACK_SUFFIX = ".mkv"
"""Holds every sound and subtitle codec, but keeps time in milliseconds."""

UNTIMED_ORIGIN = ("mpegts", "mpeg")
"""Formats whose clock starts anywhere: their films are moved to start at zero."""

OWN_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "alpha_mode", "duration"}
)
"""Metadata that describes the source file and would be untrue of the written one."""


def container_format(path: Path) -> str:
    """The format that `path`'s suffix asks for; raises `UsageError` where none is written."""
    known = CONTAINERS.get(path.suffix.lower())
    if known is None:
        raise UsageError(
            f"{path}: films are not written as '{path.suffix or path.name}'. "
            f"Choose one of {', '.join(CONTAINERS)}."
        )
    return known


def output_suffix(info: VideoInfo) -> tuple[str, str | None]:
    """The suffix under which the film's translation keeps its sound, and a note where it is another.

    The source's own where films are written so and every sound stream fits; else ".mp4", ".mov" or ".mkv".
    """
    own = info.path.suffix.lower()
    candidates = [own] if own in CONTAINERS else []
    if own != ".webm":
        candidates.extend(suffix for suffix in (".mp4", ".mov") if suffix != own)
    with open_input(info.path) as source:
        sounds = [sound.index for sound in source.streams.audio if has_codec(sound)]
    for suffix in candidates:
        if all(accepts(CONTAINERS[suffix], info.path, index) for index in sounds):
            break
    else:
        suffix = FALLBACK_SUFFIX
    if suffix == own:
        return suffix, None
    return (
        suffix,
        f"{info.path.name}: written as {suffix}, since {own or 'its format'} cannot take the result.",
    )


def accepts(container: str, path: Path, index: int) -> bool:
    """True where a file of this format can hold stream `index` of the film at `path`.

    Found by writing a file with its first packet to memory: some formats refuse only when they are finished.
    """
    with open_input(path) as source:
        stream = source.streams[index]
        if not has_codec(stream):
            return False
        _read_only(source, {index})
        try:
            with av.open(io.BytesIO(), "w", format=container) as trial:
                copy = trial.add_stream_from_template(stream)
                trial.start_encoding()
                first = next((packet for packet in source.demux(stream) if packet.size), None)
                if first is not None:
                    first.stream = copy
                    trial.mux_one(first)
        except (av.FFmpegError, ValueError):
            return False
    return True


class SideStreams:
    """Copies the packets of a source's sound, subtitles and attachments into an output, as time advances."""

    def __init__(self, path: Path, output: OutputContainer) -> None:
        self.notes: list[str] = []
        self.dropped = 0
        """Packets that the container refused for their timestamps."""
        self._source = open_input(path)
        self._output = output
        self._streams: dict[int, Stream] = {}
        self._waiting: Packet[Stream] | None = None
        try:
            self._add_streams(path)
        except BaseException:
            self._source.close()
            raise
        output.metadata.update(_kept(self._source.metadata))
        with contextlib.suppress(ValueError, av.FFmpegError):
            output.set_chapters(self._source.chapters())
        self.origin = origin_of(self._source)
        _read_only(self._source, set(self._streams))
        copied = [stream for stream in self._source.streams if stream.index in self._streams]
        self._packets = self._source.demux(copied) if copied else iter(())

    def advance(self, until: Fraction | None) -> None:
        """Copy what comes before `until` (seconds on the output's clock); None copies all that is left."""
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                return
            if until is not None and self._seconds(packet) > until:
                self._waiting = packet
                return
            self._copy(packet)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _add_streams(self, path: Path) -> None:
        container = self._output.format.name
        for stream in self._source.streams:
            if stream.type == "video" or not self._is_copied(stream, path, container):
                continue
            copy = self._output.add_stream_from_template(stream)
            copy.metadata.update(_kept(stream.metadata))
            copy.disposition = stream.disposition
            if stream.type != "attachment":
                self._streams[stream.index] = copy

    def _is_copied(self, stream: Stream, path: Path, container: str) -> bool:
        if stream.type == "attachment":
            return container == "matroska"
        if stream.type not in ("audio", "subtitle"):
            return False
        if accepts(container, path, stream.index):
            return True
        codec = stream.codec_context.codec.canonical_name if has_codec(stream) else None
        if stream.type == "audio" and codec is not None:
            raise UsageError(
                f"{path.name}: a {container} file cannot hold its {codec} sound. Choose an output that "
                f"ends in {FALLBACK_SUFFIX}."
            )
        what = f"{stream.type} stream {stream.index} ({codec or 'unknown codec'})"
        self.notes.append(f"{path.name}: {what} is left out; a {container} file cannot hold it.")
        return False

    def _next(self) -> Packet[Stream] | None:
        try:
            return next((packet for packet in self._packets if packet.size), None)
        except av.FFmpegError:
            # The sound of a damaged source ends where it cannot be read on.
            self._packets = iter(())
            return None

    def _seconds(self, packet: Packet[Stream]) -> Fraction:
        time = packet.dts if packet.dts is not None else packet.pts
        return Fraction((time or 0) * packet.time_base) - self.origin

    def _copy(self, packet: Packet[Stream]) -> None:
        shift = round(self.origin / packet.time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._streams[packet.stream_index]
        try:
            self._output.mux_one(packet)
        except av.FFmpegError as error:
            if error.errno != errno.EINVAL:
                raise
            self.dropped += 1


def origin_of(source: InputContainer) -> Fraction:
    """Seconds on the source's clock that become zero on the output's."""
    if source.format.name in UNTIMED_ORIGIN and source.start_time:
        return Fraction(source.start_time, av.time_base)
    return Fraction(0)


def _read_only(source: InputContainer, indices: set[int]) -> None:
    """Let the demuxer pass over the other streams, the pictures above all."""
    for stream in source.streams:
        if stream.index not in indices:
            stream.discard = Discard.all


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in OWN_TAGS}
