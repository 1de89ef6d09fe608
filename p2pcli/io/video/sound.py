"""Sound that a container cannot hold, encoded anew: which encoder, and the way from packet to packet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

LOSSLESS = ("flac", "alac")
"""Encoders for sound that was stored without loss, in order of preference."""

LOSSY = "aac"
"""For all other sound, and where no lossless one fits."""

_BITS_A_SECOND = 96_000
"""Of each channel of lossy sound: hardly anyone hears a difference."""

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Channels → what they are taken for where the source does not say."""

_DRIFT_SECONDS = 0.05
"""Timestamps of sound are often rounded; what lies further apart is a gap, or overlaps."""

_LONGEST_SILENCE_SECONDS = 600
"""A gap is filled so far. Longer ones come from damaged timestamps."""


@dataclass(frozen=True)
class SoundEncoding:
    """How one stream of sound is encoded anew."""

    encoder: str
    sample_format: str
    layout: str
    rate: int

    @property
    def is_lossless(self) -> bool:
        """True for encoders that give every sample back."""
        return self.encoder in LOSSLESS


def encoding_for(container: str, sound: AudioStream) -> SoundEncoding | None:
    """What a file of this format can hold in place of `sound`; None where nothing was found.

    Tried by encoding silence into memory. Lossless for sound that is stored so, with its own rate and
    channels where the encoder takes them.
    """
    context = sound.codec_context
    if context.format is None or not context.rate or not context.channels:
        return None
    named = context.layout.name if context.layout is not None else ""
    layouts = dict.fromkeys((_LAYOUTS.get(context.channels, named) if " " in named else named, "stereo"))
    encoders = (*LOSSLESS, LOSSY) if context.codec.lossless and not context.codec.lossy else (LOSSY,)
    for encoder in encoders:
        for layout in layouts:
            found = SoundEncoding(
                encoder, _format_of(encoder, context.format), layout, _rate_of(encoder, context.rate)
            )
            if _is_held(container, found):
                return found
    return None


def _format_of(encoder: str, source: av.AudioFormat) -> str:
    """The encoder's sample format: one of 16 bits where the source has no more, else its widest."""
    known = [form.name for form in av.Codec(encoder, "w").audio_formats or ()]
    narrow = [name for name in known if name.startswith("s16")]
    wide = [name for name in known if not name.startswith("s16")]
    return (narrow or wide)[0] if source.bytes <= 2 or not wide else wide[0]


def _rate_of(encoder: str, rate: int) -> int:
    """The source's own rate, or the nearest that loses nothing."""
    rates = sorted(av.Codec(encoder, "w").audio_rates or (rate,))
    return next((known for known in rates if known >= rate), rates[-1])


def _is_held(container: str, encoding: SoundEncoding) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            stream = add_sound(trial, encoding)
            silence = _silence(encoding, 4 * encoding.rate // 10)
            silence.pts = 0
            for frame in (silence, None):
                for packet in stream.encode(frame):
                    trial.mux_one(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def add_sound(output: OutputContainer, encoding: SoundEncoding) -> AudioStream:
    """A stream of the output for sound in this encoding."""
    stream = output.add_stream(encoding.encoder, rate=encoding.rate)
    assert isinstance(stream, AudioStream)
    context = stream.codec_context
    context.layout = encoding.layout
    context.format = encoding.sample_format
    context.time_base = stream.time_base = Fraction(1, encoding.rate)
    if not encoding.is_lossless:
        context.bit_rate = _BITS_A_SECOND * context.channels
    return stream


class SoundEncoder:
    """Turns the packets of one stream of sound into those of another, each sample at its own time."""

    def __init__(
        self, source: AudioStream, target: AudioStream, encoding: SoundEncoding, origin: Fraction
    ) -> None:
        """`origin` is the second of the packets' clock that becomes zero."""
        self.damaged = 0
        """Packets that could not be decoded."""
        self._source, self._target, self._encoding, self._origin = source, target, encoding, origin
        self._resampler: AudioResampler | None = None
        self._heard: tuple[str, str, int] | None = None
        self._latest: Fraction | None = None
        self._next: int | None = None
        """The sample, counted from zero on the output's clock, at which what comes next belongs."""

    def encode(self, packet: Packet[AudioStream] | None) -> Iterator[Packet[AudioStream]]:
        """The packets that are ready once `packet` has come; None ends the stream."""
        try:
            decoded = packet.decode() if packet is not None else self._source.codec_context.decode(None)
        except (av.FFmpegError, ValueError):
            self.damaged += 1
            decoded = []
        for frame in decoded:
            yield from self._encoded(frame)
        if packet is None:
            for converted in self._drained():
                yield from self._appended(converted)
            yield from self._target.encode(None)

    def _encoded(self, frame: AudioFrame) -> Iterator[Packet[AudioStream]]:
        heard = (frame.format.name, frame.layout.name, frame.sample_rate)
        if heard != self._heard:
            for converted in self._drained():
                yield from self._appended(converted)
            encoding = self._encoding
            self._heard = heard
            self._resampler = AudioResampler(encoding.sample_format, encoding.layout, encoding.rate)
        assert self._resampler is not None
        time = self._time_of(frame)
        frame.pts = None
        for converted in self._resampler.resample(frame):
            yield from self._appended(converted, time)
            time = None

    def _time_of(self, frame: AudioFrame) -> Fraction | None:
        """Second at which the frame begins; None where it names none, or none after the one before."""
        if frame.pts is None or not frame.time_base:
            return None
        time = Fraction(frame.pts * frame.time_base)
        if self._latest is not None and time <= self._latest:
            return None
        self._latest = time
        return time

    def _drained(self) -> list[AudioFrame]:
        return [] if self._resampler is None else self._resampler.resample(None)

    def _appended(self, frame: AudioFrame, time: Fraction | None = None) -> Iterator[Packet[AudioStream]]:
        """Encode `frame` where it belongs: after silence where there is a gap, less what is there already."""
        rate = self._encoding.rate
        due = None if time is None else round((time - self._origin) * rate)
        if self._next is None:
            self._next = due or 0
        ahead = 0 if due is None else due - self._next
        if ahead > _LONGEST_SILENCE_SECONDS * rate:
            ahead = 0
        while ahead > _DRIFT_SECONDS * rate:
            silence = _silence(self._encoding, min(ahead, rate))
            ahead -= silence.samples
            yield from self._placed(silence)
        if -ahead >= frame.samples:
            return
        if -ahead > _DRIFT_SECONDS * rate:
            frame = _without_first(frame, -ahead)
        yield from self._placed(frame)

    def _placed(self, frame: AudioFrame) -> Iterator[Packet[Any]]:
        assert self._next is not None
        frame.pts, frame.time_base = self._next, Fraction(1, self._encoding.rate)
        self._next += frame.samples
        yield from self._target.encode(frame)


def _silence(encoding: SoundEncoding, samples: int) -> AudioFrame:
    frame = AudioFrame(encoding.sample_format, encoding.layout, samples)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate = encoding.rate
    return frame


def _without_first(frame: AudioFrame, samples: int) -> AudioFrame:
    values = frame.to_ndarray()
    skipped = samples if frame.format.is_planar else samples * frame.layout.nb_channels
    kept: Any = np.ascontiguousarray(values[:, skipped:])
    cut = AudioFrame.from_ndarray(kept, format=frame.format.name, layout=frame.layout.name)
    cut.sample_rate = frame.sample_rate
    return cut
