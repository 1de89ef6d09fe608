"""Films whose clock starts anew: pictures and sound of each part follow the part before and stay together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import picture

from p2pcli.io.video import VideoWriter, frame_times, probe, read_frames
from p2pcli.io.video.clock import clock_of

RATE = 48000


def part(path: Path, *, start: int, click: int, sound: bool = True) -> Path:
    """A second of film from second `start` on; at frame `click` a flash is seen and heard."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg2video", rate=25, options={"qscale": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        track = output.add_stream("mp2", rate=RATE, layout="mono") if sound else None
        for number in range(25):
            light = np.full((48, 64, 3), 255 if number == click else 0, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(light, format="rgb24")
            frame.pts, frame.time_base = start * 25 + number, Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if track is not None:
            wave = np.zeros(RATE, dtype=np.int16)
            wave[click * RATE // 25 : (click + 1) * RATE // 25] = 20000 * np.sign(
                np.sin(np.arange(RATE // 25) / 8)
            )
            for begin in range(0, RATE, 1152):
                values = wave[None, begin : begin + 1152]
                whole = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format="s16", layout="mono")
                whole.sample_rate, whole.time_base = RATE, Fraction(1, RATE)
                whole.pts = start * RATE + begin
                output.mux(track.encode(whole))
            output.mux(track.encode(None))
    return path


def joined(path: Path, starts: tuple[int, ...], **options: bool) -> Path:
    parts = [
        part(path.with_name(f"{number}{path.suffix}"), start=start, click=5 + 5 * number, **options)
        for number, start in enumerate(starts)
    ]
    path.write_bytes(b"".join(one.read_bytes() for one in parts))
    return path


def translated(source: Path, target: Path) -> VideoWriter:
    with read_frames(source) as frames, VideoWriter(target, like=probe(source), source=source) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts, frame.duration)
    return writer


def clicks(path: Path) -> tuple[list[float], list[float]]:
    """Seconds at which flashes are seen, and at which they are first heard."""
    with av.open(str(path)) as source:
        seen = [float(frame.time) for frame in source.decode(video=0) if frame.to_ndarray()[:48].mean() > 128]
    heard: list[float] = []
    with av.open(str(path)) as source:
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in source.decode(audio=0):
            values = np.concatenate([one.to_ndarray()[0] for one in resampler.resample(frame)])
            loud = np.flatnonzero(np.abs(values) > 0.2)
            if len(loud) and (not heard or frame.time - heard[-1] > 0.3):
                heard.append(float(frame.time + loud[0] / RATE))
    return seen, heard


@pytest.mark.parametrize("suffix", [".ts", ".vob", ".mpg"])
@pytest.mark.parametrize("starts", [(10, 10), (10, 0, 30), (0, 100), (100, 0)], ids=str)
def test_joined_films_keep_all_sound_beside_its_pictures(
    tmp_path: Path, suffix: str, starts: tuple[int, ...]
) -> None:
    source = joined(tmp_path / f"film{suffix}", starts)
    writer = translated(source, tmp_path / "out.mp4")
    seen, sounding = clicks(tmp_path / "out.mp4")
    assert len(seen) == len(sounding) == len(starts)
    assert np.abs(np.subtract(seen, sounding)).max() < 0.03
    # Each part lasts a second and some ticks; its click comes 0.2 s later than that of the part before.
    assert np.abs(np.diff(seen) - 1.2).max() < 0.08
    assert any(f"the {len(starts)} parts follow one another" in note for note in writer.notes)


@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_times_are_the_same_whether_packets_are_listed_or_frames_are_read(
    tmp_path: Path, suffix: str
) -> None:
    source = joined(tmp_path / f"film{suffix}", (10, 0))
    times = frame_times(source)
    assert len(times) == 50
    assert times == [frame.pts for frame in read_frames(source)]
    wanted = times[30:34]
    assert [frame.pts for frame in read_frames(source, pts=wanted)] == wanted


def test_a_film_without_sound_follows_on_by_one_frame(tmp_path: Path) -> None:
    source = joined(tmp_path / "film.ts", (10, 0), sound=False)
    assert set(np.diff(frame_times(source))) == {3600}


def test_one_damaged_time_is_no_new_clock(tmp_path: Path) -> None:
    source = part(tmp_path / "film.ts", start=10, click=5)
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as opened:
        positions = [packet.pos for packet in opened.demux(video=0) if packet.pos is not None]
    # The five bytes of the PTS lie 9 behind the start code of the packet.
    begin = data.find(b"\x00\x00\x01\xe0", positions[12]) + 9
    data[begin : begin + 5] = bytes([data[begin] & 0xF0 | 1, 0, 1, 0, 1])
    source.write_bytes(data)
    assert clock_of(source).joints == ()


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_formats_with_a_header_have_one_clock(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for time in (0, 1, 1000):
            frame = av.VideoFrame.from_ndarray(picture(time % 7), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    assert clock_of(tmp_path / name).joints == ()
