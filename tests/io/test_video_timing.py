"""Which frame of a film has which time: no frame moves for another's sake, and a number names one frame."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import make_clip, with_packet_times
from numpy.typing import NDArray

from p2pcli.io.video import frame_times, read_frames
from p2pcli.io.video.timing import FrameClock

FRAMES = 30


def film(path: Path, **options: object) -> Path:
    """25 frames a second, 30 of them, on a clock of milliseconds."""
    times = [40 * number for number in range(FRAMES)]
    return make_clip(path, pts=times, **options)


def repeated(path: Path, numbers: range, **options: object) -> Path:
    """Matroska, where the frames `numbers` carry the time of the frame before them."""
    before = 40 * (numbers.start - 1)
    return with_packet_times(
        film(path.with_name("plain.mkv"), **options),
        path,
        lambda n, pts, dts: (before, before) if n in numbers else (pts, dts),
    )


def by_avi(path: Path) -> Path:
    """B-frames in AVI, which stores no times of presentation."""
    return make_clip(
        path, pts=range(FRAMES), time_base=Fraction(1, 25), codec="mpeg4", b_frames=2, key_every=8
    )


def in_decoding_order(path: Path) -> Path:
    """B-frames whose packets are stamped in the order of decoding."""
    plain = film(path.with_name("plain.mkv"), codec="mpeg4", b_frames=2, key_every=8)
    return with_packet_times(plain, path, lambda n, pts, dts: (40 * n, 40 * n))


def joined(path: Path) -> Path:
    """Two transport streams one after the other: the clock starts anew in the middle."""
    part = make_clip(
        path.with_name("part.ts"), pts=range(0, 15 * 3600, 3600), time_base=Fraction(1, 90000), key_every=5
    )
    path.write_bytes(part.read_bytes() * 2)
    return path


def bare(path: Path) -> Path:
    """H.264 without a container: no times at all."""
    plain = film(path.with_name("plain.mkv"))
    return with_packet_times(plain, path, lambda n, pts, dts: (pts, dts))


def behind_its_sound(path: Path) -> Path:
    """B-frames in the second stream, behind a sound."""
    plain = film(path.with_name("plain.mkv"), codec="mpeg4", b_frames=2, key_every=8, sounds=1)
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        sound = new.add_stream_from_template(old.streams.audio[0])
        pictures = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux():
            if packet.size:
                packet.stream = pictures if packet.stream.type == "video" else sound
                new.mux(packet)
    return path


ODD = {
    "behind-its-sound.mkv": behind_its_sound,
    "plain.avi": by_avi,
    "decoding-order.mkv": in_decoding_order,
    "joined.ts": joined,
    "bare.h264": bare,
    "once.mkv": lambda path: repeated(path, range(7, 8)),
    "at-a-key-frame.mkv": lambda path: repeated(path, range(12, 13)),
    "a-run.mkv": lambda path: repeated(path, range(9, 15)),
    "all.mkv": lambda path: repeated(path, range(1, FRAMES)),
}


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame as the decoder alone gives it, 8×8 and gray."""
    with av.open(str(path)) as source:
        return [small(frame.to_ndarray(format="rgb24")) for frame in source.decode(video=0)]


def small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[::6, ::8]


@pytest.mark.parametrize("name", ODD)
def test_frame_n_is_the_decoder_s_frame_n_and_times_ascend(name: str, tmp_path: Path) -> None:
    path = ODD[name](tmp_path / name)
    expected = decoded(path)
    with read_frames(path) as reader:
        frames = [(frame.pts, small(frame.image)) for frame in reader]
    assert len(frames) == len(expected) == FRAMES
    assert all(np.abs(a.astype(int) - b).mean() < 3 for (_, a), b in zip(frames, expected, strict=True))
    assert all(a < b for (a, _), (b, _) in itertools.pairwise(frames))


@pytest.mark.parametrize("name", ODD)
def test_the_listed_times_are_those_of_reading(name: str, tmp_path: Path) -> None:
    path = ODD[name](tmp_path / name)
    with read_frames(path) as reader:
        assert frame_times(path) == [frame.pts for frame in reader]


@pytest.mark.parametrize("name", ODD)
def test_each_time_asked_for_alone_gives_the_frame_that_reading_all_gives(name: str, tmp_path: Path) -> None:
    path = ODD[name](tmp_path / name)
    with read_frames(path) as reader:
        whole = [(frame.pts, frame.image) for frame in reader]
    for number in (0, 6, 7, 11, 12, 14, 15, 20, 29):
        pts, image = whole[number]
        with read_frames(path, pts=[pts]) as reader:
            assert [np.array_equal(frame.image, image) for frame in reader] == [True], number


@pytest.mark.parametrize("name", ["plain.avi", "decoding-order.mkv", "joined.ts"])
def test_frames_of_an_even_rate_stay_even(name: str, tmp_path: Path) -> None:
    times = frame_times(ODD[name](tmp_path / name))
    assert len({b - a for a, b in itertools.pairwise(times)}) == 1


def test_b_frames_in_avi_begin_with_the_sound_at_zero(tmp_path: Path) -> None:
    assert frame_times(by_avi(tmp_path / "film.avi"))[:3] == [0, 1, 2]


@pytest.mark.parametrize("numbers", [range(7, 8), range(12, 13), range(9, 15), range(FRAMES - 1, FRAMES)])
def test_a_repeated_time_moves_no_other_frame(numbers: range, tmp_path: Path) -> None:
    times = frame_times(repeated(tmp_path / "film.mkv", numbers))
    assert [t for n, t in enumerate(times) if n not in numbers] == [
        40 * n for n in range(FRAMES) if n not in numbers
    ]


def test_a_bare_stream_says_the_rate_that_is_taken(tmp_path: Path) -> None:
    with read_frames(bare(tmp_path / "film.h264")) as reader:
        assert len(list(reader)) == FRAMES
    assert any("stores no times" in note and "25 frames a second" in note for note in reader.notes)


def timed(own: list[int | None], path: Path) -> list[int]:
    """What a clock makes of frames with these times, in an ordinary film."""
    with av.open(str(film(path / "plain.mkv"))) as container:
        stream = container.streams.video[0]
        clock = FrameClock(container, stream)
        for packet in container.demux(stream):
            clock.feed(packet)
        given = []
        for pts in own:
            frame = av.VideoFrame(16, 16)
            frame.pts = pts
            given += clock.push(frame)
        return [one.pts for one in (*given, *clock.flush())]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([0, None, 80, 120], [0, 40, 80, 120]),
        ([None, None, 80, 120], [0, 40, 80, 120]),
        ([0, None, None, 40, 80], [0, 13, 26, 40, 80]),
        ([0, 40, None, None], [0, 40, 80, 120]),
        ([0, 0, 0, 2, 40], [0, 1, 2, 21, 40]),
        ([0, 40, 40, 41, 120], [0, 40, 41, 80, 120]),
        ([0, 40, 20, 120], [0, 40, 80, 120]),
        ([500, 540, 0], [500, 540, 580]),
        ([5000, 5040, 0, 40, 80], [5000, 5040, 5080, 5120, 5160]),
        ([None, None], [0, 40]),
    ],
    ids=str,
)
def test_absent_and_repeated_times_are_fitted_between_those_that_stand(
    own: list[int | None], expected: list[int], tmp_path: Path
) -> None:
    assert timed(own, tmp_path) == expected


FFMPEG_FRAMES = {
    "films/alpha_vp9.webm": 24,
    "films/dvb-subtitles.ts": 26,
    "films/gen_ac3.avi": 36,
    "films/gopro_gpmf.mp4": 250,
    "films/interl_crop.mp4": 32,
    "films/iphone_dv84.mov": 15,
    "films/packed_b.avi": 15,
    "films/pcm24.mxf": 36,
    "films/sar_16_11.mp4": 27,
    "films/sizechange.ts": 30,
    "films/spherical.mkv": 17,
    "films/yuv444_mp3.mp4": 18,
    "films/sound-that-does-not-fit/a.wmv": 306,
    "films/sound-that-does-not-fit/b.mp4": 5,
    "films/sound-that-does-not-fit/dvd_pcm.vob": 17,
    "films/sound-that-does-not-fit/gen_adpcm.avi": 36,
    "films/sound-that-does-not-fit/vc1_wmapro.mp4": 120,
    "repeated-timestamps/none.mkv": 120,
    "repeated-timestamps/one.mkv": 110,
    "tape-and-camera/cam.h264": 25,
    "tape-and-camera/cam.hevc": 25,
    "tape-and-camera/cam.mjpeg": 10,
    "tape-and-camera/cam.nut": 25,
    "many-in-one/e.mjpeg": 5,
    "tape-and-camera/clip.divx": 25,
    "tape-and-camera/clip.mod": 25,
    "tape-and-camera/tape.avi": 1,
    "tape-and-camera/tape.dv": 1,
    "broken/damaged-ts-then-intact/a.ts": 29,
    "broken/damaged-ts-then-intact/z.mp4": 30,
}
"""How many frames `ffmpeg -fps_mode passthrough` decodes."""


@pytest.mark.real
@pytest.mark.parametrize("name", FFMPEG_FRAMES)
def test_reported_films_give_the_decoder_s_frames_each_under_its_number(name: str, real_data: Path) -> None:
    path = real_data / "reported" / name
    with read_frames(path) as reader:
        frames = [(frame.pts, gray(frame.image)) for frame in reader]
    with av.open(str(path)) as source:
        plain = [
            gray(one.to_ndarray(format="rgb24"))
            for packet in source.demux(video=0)
            for one in harmless(packet)
        ]
    assert len(frames) == len(plain) == FFMPEG_FRAMES[name]
    times = [pts for pts, _ in frames]
    assert times == frame_times(path) == sorted(set(times))
    for number, (_, shown) in enumerate(frames):
        distances = [float(np.abs(shown - other).mean()) for other in plain]
        assert distances[number] <= min(distances) + 1, number


def gray(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """8×8 means without their level, so that neither scaling nor tone-mapping counts."""
    cells = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (8, 8), interpolation=cv2.INTER_AREA).astype(
        float
    )
    return cells - cells.mean()


def harmless(packet: av.Packet) -> list[av.VideoFrame]:
    try:
        return packet.decode()
    except av.FFmpegError:
        return []
