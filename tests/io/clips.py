"""Small films made with PyAV for the video tests: every oddity is an argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 48
VFR = (0, 40, 90, 100, 170, 175, 260, 300)


def picture(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A smooth colour ramp that changes with `number`; red grows to the right, green downwards."""
    y, x = np.mgrid[0:height, 0:width]
    blue = np.full((height, width), (number * 23) % 256)
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), blue], axis=2).astype(np.uint8)


def make_clip(
    path: Path,
    *,
    pts: Sequence[int] = VFR,
    time_base: Fraction = Fraction(1, 1000),
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    matrix: int = 2,
    colour_range: int = 0,
    rotation: int = 0,
    mirrored: bool = False,
    sounds: int = 0,
    subtitle: bool = False,
    images: Sequence[NDArray[np.uint8]] | None = None,
    b_frames: int = 0,
    key_every: int = 12,
    sound_seconds: float = 0.512,
) -> Path:
    """Write a film; RGB becomes YUV by `matrix` (H.273: 1, 5, 2 for untagged BT.601) and `colour_range`."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt, stream.time_base = pix_fmt, time_base
        context = stream.codec_context
        context.time_base = time_base
        context.options = {"crf": "1", "preset": "ultrafast"} if codec == "libx264" else {"qscale": "2"}
        context.colorspace, context.color_range = matrix, colour_range
        context.max_b_frames, context.gop_size = b_frames, key_every
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        tracks = [output.add_stream("aac", rate=8000, layout="mono") for _ in range(sounds)]
        text = output.add_mux_stream("mov_text", time_base=Fraction(1, 1000)) if subtitle else None
        output.metadata["title"] = "a clip"
        for number, time in enumerate(pts):
            image = images[number] if images else picture(number, width=size[0], height=size[1])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format=pix_fmt,
                dst_colorspace="ITU709" if matrix == 1 else "ITU601",
                src_color_range=2,
                dst_color_range=colour_range or 1,
                interpolation=Interpolation.BICUBIC
                | Interpolation.ACCURATE_RND
                | Interpolation.FULL_CHR_H_INP,
            )
            frame.pts, frame.time_base = time, time_base
            frame.colorspace, frame.color_range = matrix, colour_range
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for number, track in enumerate(tracks):
            _tone(output, track, 200 * (number + 1), round(sound_seconds * 8000) // 1024 * 1024)
        if text is not None:
            _caption(output, text)
    return path


def _tone(output: av.container.OutputContainer, track: av.AudioStream, hertz: int, samples: int) -> None:
    wave = np.sin(np.arange(samples) * hertz * 2 * np.pi / 8000).astype(np.float32) / 4
    for start in range(0, samples, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        output.mux(track.encode(frame))
    output.mux(track.encode(None))


def _caption(output: av.container.OutputContainer, text: av.stream.Stream) -> None:
    words = b"hello"
    packet = av.Packet(len(words).to_bytes(2, "big") + words)
    packet.stream = text
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = 0
    packet.duration = 200
    output.mux(packet)


def with_packet_times(
    source: Path, target: Path, change: Callable[[int, int, int], tuple[int, int]], **options: str
) -> Path:
    """A copy of a film in which `change` (packet number, pts, dts) gives each packet its pts and dts."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size:
                packet.pts, packet.dts = change(number, packet.pts, packet.dts)
                packet.stream = copy
                new.mux(packet)
    return target
