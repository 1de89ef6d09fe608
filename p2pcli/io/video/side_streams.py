"""What rides along with the pictures: sound, subtitles, attachments, chapters, titles; copied if possible."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from p2pcli.errors import UsageError
from p2pcli.io.video.clock import clock_of
from p2pcli.io.video.container import has_codec, open_input, output_fault, read_only, video_stream
from p2pcli.io.video.mux import FALLBACK_SUFFIX, accepts
from p2pcli.io.video.sound import SoundEncoder, add_sound, encoding_for
from p2pcli.io.video.timing import CLOCKS_START_ANEW

_UNHEARD = logging.NullHandler()

OWN_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "alpha_mode", "duration"}
)
"""Metadata that describes the source file and would be untrue of the written one."""

_OF_CODED_PICTURES = ("bps", "number_of_", "_statistics_", "duration", "timecode", "rotate")
"""What tags begin with that are untrue of pictures that are coded anew."""


class SideStreams:
    """Carries the packets of a source's sound, subtitles and attachments into an output, as time advances.

    Sound that the container cannot hold is encoded anew; all that is left out is told in `notes`.
    """

    def __init__(self, path: Path, output: OutputContainer) -> None:
        self.notes: list[str] = []
        self.dropped = 0
        """Packets that the container refused: damaged, or without a usable time."""
        self._path = path
        self._source = open_input(path)
        self._output = output
        self._copied: dict[int, Stream] = {}
        self._encoders: dict[int, SoundEncoder] = {}
        self._waiting: Packet[Any] | None = None
        try:
            self.origin = origin_of(self._source)
            self._clock = clock_of(path)
            self._add_streams()
        except BaseException:
            self._source.close()
            raise
        output.metadata.update(_kept(self._source.metadata))
        with contextlib.suppress(ValueError, av.FFmpegError):
            output.set_chapters(self._source.chapters())
        carried = {*self._copied, *self._encoders}
        read_only(self._source, carried)
        streams = [stream for stream in self._source.streams if stream.index in carried]
        self._packets: Iterator[Packet[Any]] = self._source.demux(streams) if streams else iter(())
        if self._clock.joints:
            parts = len(self._clock.joints) + 1
            self.notes.append(
                f"{path.name}: its clock starts anew; the {parts} parts follow one another, sound and all."
            )

    def advance(self, until: Fraction | None) -> None:
        """Carry over what comes before `until` (seconds on the output's clock); None: all that is left."""
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                return
            if until is not None and self._seconds(packet) > until:
                self._waiting = packet
                return
            self._carry(packet)

    def finish(self, until: Fraction | None) -> None:
        """`advance`, then what the encoders of sound still hold. Nothing may follow."""
        self.advance(until)
        for encoder in self._encoders.values():
            self._mux(encoder.encode(None))
        damaged = sum(encoder.damaged for encoder in self._encoders.values())
        if self.dropped or damaged:
            self.notes.append(
                f"{self._path.name}: {self.dropped + damaged} packets of sound or subtitles were damaged or "
                "had no usable time."
            )

    def describe_pictures(self, copy: Stream) -> None:
        """Give the stream of new pictures the language, title and disposition of the source's."""
        pictures = video_stream(self._source, self._path)
        _describe(copy, pictures)
        for key in list(copy.metadata):
            if key.lower().startswith(_OF_CODED_PICTURES):
                del copy.metadata[key]

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _add_streams(self) -> None:
        pictures = video_stream(self._source, self._path)
        left_out: list[str] = []
        encoded: dict[str, list[str]] = {}
        for stream in self._source.streams:
            if stream.index == pictures.index:
                continue
            if self._is_copied(stream):
                self._copy_stream(stream)
            elif isinstance(stream, AudioStream) and (name := self._encode_stream(stream)):
                encoded.setdefault(name, []).append(_described(stream))
            else:
                left_out.append(f"{_described(stream)}, {self._reason(stream)}")
        name, container = self._path.name, self._output.format.name
        for encoder, sounds in encoded.items():
            self.notes.append(
                f"{name}: a {container} file cannot hold {', '.join(sounds)}; encoded anew as {encoder}."
            )
        if left_out:
            self.notes.append(f"{name}: left out: {'; '.join(left_out)}.")

    def _is_copied(self, stream: Stream) -> bool:
        container = self._output.format.name
        if stream.type == "attachment":
            return container == "matroska"
        return stream.type in ("audio", "subtitle") and accepts(container, self._path, stream.index)

    def _copy_stream(self, stream: Stream) -> None:
        copy = self._output.add_stream_from_template(stream)
        _describe(copy, stream)
        if stream.type != "attachment":
            self._copied[stream.index] = copy

    def _encode_stream(self, stream: AudioStream) -> str | None:
        """The encoder's name; None where the sound cannot even be decoded.

        Raises `UsageError` where no encoder of ours fits the container.
        """
        if not has_codec(stream):
            return None
        container = self._output.format.name
        encoding = encoding_for(container, stream)
        if encoding is not None:
            target = add_sound(self._output, encoding)
            _describe(target, stream)
            self._encoders[stream.index] = SoundEncoder(stream, target, encoding, self.origin)
            return encoding.encoder.upper() + ("" if encoding.is_lossless else ", which loses a little")
        if encoding_for("matroska", stream) is None:
            return None
        raise UsageError(
            f"{self._path.name}: a {container} file cannot hold its {_codec_of(stream)} sound. Choose an "
            f"output that ends in {FALLBACK_SUFFIX}."
        )

    def _reason(self, stream: Stream) -> str:
        if stream.type == "video":
            cover = stream.disposition & stream.disposition.__class__.attached_pic
            return "a still cover picture" if cover else "since one film is translated"
        if stream.type == "audio":
            return "which cannot be decoded here"
        if stream.type in ("subtitle", "attachment"):
            return f"which a {self._output.format.name} file cannot hold"
        return "which is not carried over"

    def _next(self) -> Packet[Any] | None:
        try:
            packet = next((packet for packet in self._packets if packet.size), None)
        except (av.FFmpegError, EOFError):
            # The sound of a damaged source ends where it cannot be read on.
            self._packets = iter(())
            return None
        if packet is not None:
            self._clock.place(packet)
        return packet

    def _seconds(self, packet: Packet[Any]) -> Fraction:
        time = packet.dts if packet.dts is not None else packet.pts
        return Fraction((time or 0) * packet.time_base) - self.origin

    def _carry(self, packet: Packet[Any]) -> None:
        encoder = self._encoders.get(packet.stream_index)
        if encoder is not None:
            self._mux(encoder.encode(packet))
            return
        shift = round(self.origin / packet.time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._copied[packet.stream_index]
        self._mux([packet])

    def _mux(self, packets: Iterator[Packet[Any]] | list[Packet[Any]]) -> None:
        for packet in packets:
            try:
                self._output.mux_one(packet)
            except av.FFmpegError as error:
                if output_fault(error):
                    raise
                self.dropped += 1


def origin_of(source: InputContainer) -> Fraction:
    """Seconds on the source's clock that become zero on the output's."""
    if source.format.name in CLOCKS_START_ANEW and source.start_time:
        return Fraction(source.start_time, av.time_base)
    return Fraction(0)


def _describe(copy: Stream, stream: Stream) -> None:
    tags = _kept(stream.metadata)
    # The title of a track as mp4 and mov are read, though not as they are written.
    name = tags.pop("name", None)
    copy.metadata.update(tags if name is None else {"title": name, **tags})
    copy.disposition = stream.disposition


def _described(stream: Stream) -> str:
    """Such as "subtitle stream 2 (dvbsub, fre)"."""
    facts = [_codec_of(stream), *([stream.language] if stream.language not in (None, "und") else [])]
    return f"{stream.type} stream {stream.index} ({', '.join(facts)})"


def _codec_of(stream: Stream) -> str:
    if has_codec(stream):
        return stream.codec_context.codec.canonical_name
    name = getattr(stream, "name", None) or _name_without_decoder(stream)
    return name or stream.metadata.get("handler_name") or "unknown codec"


def _name_without_decoder(stream: Stream) -> str | None:
    """What FFmpeg calls the stream's codec where it has no decoder for it, such as teletext's; else None.

    PyAV tells it nowhere but in the description that FFmpeg writes to its log.
    """
    described = getattr(stream.container, "dumps_format", None)  # in no stub
    if described is None:
        return None
    before = av.logging.get_level()
    # Whatever another thread's decoder says meanwhile goes nowhere.
    logging.getLogger("libav").addHandler(_UNHEARD)
    av.logging.set_level(av.logging.INFO)
    try:
        text = described()
    finally:
        av.logging.set_level(before)
        logging.getLogger("libav").removeHandler(_UNHEARD)
    found = re.search(rf"Stream #0:{stream.index}\b.*?: [A-Z][a-z]+: (\w+)", text)
    return None if found is None or found[1] in ("none", "unknown") else found[1]


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in OWN_TAGS}
