"""Probing and reading films: every frame, the right pixels, and clear words for what is no film."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from clips import HEIGHT, VFR, WIDTH, make_clip, picture

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.listing import list_media
from p2pcli.io.video import frame_times, probe, read_frames
from p2pcli.io.video.colour import as_rgb, colour_of, refusal
from p2pcli.io.video.wide import as_bt709


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", matrix=1, colour_range=1)


def images(path: Path) -> list[Image]:
    with read_frames(path) as reader:
        return [frame.image for frame in reader]


def error(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_variable_timestamps_come_back_exactly(clip: Path) -> None:
    seconds = [time * probe(clip).time_base for time in frame_times(clip)]
    assert seconds == [Fraction(time, 1000) for time in VFR]


def test_every_frame_is_read_at_the_time_that_the_packets_name(clip: Path) -> None:
    assert [frame.pts for frame in read_frames(clip)] == frame_times(clip)


def test_asked_timestamps_give_the_same_pixels_as_reading_all(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=range(20), time_base=Fraction(1, 25))
    times, whole = frame_times(clip), images(clip)
    for wanted in ([3], [0, 19], [5, 6, 11], times):
        wanted = [times[i] if i < 20 else i for i in wanted] if wanted is not times else times
        read = list(read_frames(clip, pts=wanted))
        assert [frame.pts for frame in read] == wanted
        assert all(np.array_equal(frame.image, whole[times.index(frame.pts)]) for frame in read)


def test_an_asked_timestamp_that_is_not_there_is_reported_and_the_others_are_read(clip: Path) -> None:
    times = frame_times(clip)
    with read_frames(clip, pts=[times[1], times[1] + 1, times[4]]) as reader:
        assert [frame.pts for frame in reader] == [times[1], times[4]]
        assert reader.missing == [times[1] + 1]


def test_start_and_stop_bound_the_timestamps(clip: Path) -> None:
    times = frame_times(clip)
    assert [frame.pts for frame in read_frames(clip, start=times[2], stop=times[5])] == times[2:5]


@pytest.mark.parametrize("colour_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
def test_tagged_colour_is_read_as_it_was_before_encoding(
    tmp_path: Path, matrix: int, colour_range: int
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pix_fmt="yuv444p", matrix=matrix, colour_range=colour_range)
    first = images(clip)[0]
    assert error(first, picture(0)) < 1.0
    # The clip's own making rounds full-range chroma down, by half a code.
    limit = 0.5 if colour_range == 1 else 1.0
    assert np.abs((first.astype(float) - picture(0)).mean(axis=(0, 1))).max() < limit


def flat(
    path: Path, codes: tuple[int, ...], matrix: int, colour_range: int, *, pix_fmt: str = "yuv444p"
) -> Path:
    """A film of one frame that holds `codes` everywhere and names `matrix` and range."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, colour_range
        stream.codec_context.options = {"strict": "experimental"}
        frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
        for plane, code in zip(frame.planes, codes, strict=True):
            size = plane.line_size * plane.height
            depth = np.uint8 if pix_fmt == "yuv444p" else np.dtype("<u2")
            plane.update(np.full(size // np.dtype(depth).itemsize, code, dtype=depth).tobytes())
        frame.pts, frame.colorspace, frame.color_range = 0, matrix, colour_range
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


# RGB (200, 0, 40) by ITU-T H.273 8.3, equations 28 to 67.
KNOWN_CODES = {
    "bt709-limited": ((55, 125, 214), 1, 1, "yuv444p"),
    "bt601-full": ((64, 114, 225), 5, 2, "yuv444p"),
    "fcc-full": ((64, 114, 225), 4, 2, "yuv444p"),
    "smpte240m-full": ((46, 125, 226), 7, 2, "yuv444p"),
    "bt2020-full": ((55, 120, 226), 9, 2, "yuv444p"),
    "bt2020-ten-bits": ((252, 484, 856), 9, 1, "yuv444p10le"),
    "gbr-full": ((0, 40, 200), 0, 2, "yuv444p"),
    "gbr-limited": ((16, 50, 188), 0, 1, "yuv444p"),
    "ycgco-full": ((60, 68, 208), 8, 2, "yuv444p"),
    "ycgco-limited": ((68, 75, 198), 8, 1, "yuv444p"),
    "ycgco-ten-bits": ((241, 271, 833), 8, 2, "yuv444p10le"),
    "ycgco-re": ((60, 392, 672), 16, 2, "yuv444p10le"),
    "ycgco-ro": ((60, 136, 416), 17, 2, "yuv444p9le"),
}


@pytest.mark.parametrize("name", KNOWN_CODES)
def test_known_codes_give_known_rgb(tmp_path: Path, name: str) -> None:
    codes, matrix, colour_range, pix_fmt = KNOWN_CODES[name]
    path = flat(tmp_path / "flat.mkv", codes, matrix, colour_range, pix_fmt=pix_fmt)
    assert np.abs(images(path)[0].astype(int) - (200, 0, 40)).max() <= 1


def test_constant_luminance_is_undone_in_light(tmp_path: Path) -> None:
    # BT.2020 table 4 for R', G', B' of 0.8, 0.2, 0.4: luma is coded after the sum of light.
    coded = np.array([0.8, 0.2, 0.4])
    light = ((coded + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45)
    luma = 1.09929682680944 * float(light @ (0.2627, 0.6780, 0.0593)) ** 0.45 - 0.09929682680944
    blue, red = (0.4 - luma) / 1.9404, (0.8 - luma) / 0.9936
    codes = tuple(round(4 * value) for value in (16 + 219 * luma, 128 + 224 * blue, 128 + 224 * red))
    image = images(flat(tmp_path / "flat.mkv", codes, 10, 1, pix_fmt="yuv444p10le"))[0]
    assert np.abs(image.astype(int) - (204, 51, 102)).max() <= 1


@pytest.mark.parametrize(
    ("matrix", "pix_fmt", "words"),
    [
        (11, "yuv444p", "ST 2085"),
        (12, "yuv444p", "derived from its primaries"),
        (13, "yuv444p", "constant luminance"),
        (14, "yuv444p10le", "ICtCp"),
        (15, "yuv444p10le", "IPT-C2"),
        (16, "yuv444p10le", "reversible YCgCo in limited range"),
        (0, "yuv420p", "unequal sizes"),
    ],
)
def test_a_matrix_that_is_not_converted_is_refused_by_name(
    tmp_path: Path, matrix: int, pix_fmt: str, words: str
) -> None:
    path = flat(tmp_path / "flat.mkv", (64, 80, 90), matrix, 1, pix_fmt=pix_fmt)
    for look in (probe, images):
        with pytest.raises(ItemError, match=words):
            look(path)


@pytest.mark.parametrize("number", [3, 18, 99])
def test_a_number_that_names_no_matrix_is_guessed_and_said(tmp_path: Path, number: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", pts=[0], pix_fmt="yuv444p")
    frame = next(av.open(str(path)).decode(video=0))
    expected = images(path)[0]
    frame.colorspace = number
    colour = colour_of(frame)
    assert (colour.matrix, colour.guessed, refusal(frame)) == ("bt601", True, None)
    shown = as_rgb(frame, colour, reformatter=VideoReformatter(), width=WIDTH, height=HEIGHT)
    assert np.array_equal(shown, expected)
    notes = replace(probe(path), colour=colour).notes
    assert any(f"names matrix {number}" in note and "bt601 is taken" in note for note in notes)


@pytest.mark.parametrize(
    ("size", "matrix"), [((1280, 16), "bt709"), ((64, 720), "bt709"), ((64, 48), "bt601")]
)
def test_untagged_matrix_is_guessed_from_the_size(tmp_path: Path, size: tuple[int, int], matrix: str) -> None:
    colour = probe(make_clip(tmp_path / "clip.mp4", pts=[0], size=size)).colour
    assert (colour.matrix, colour.range, colour.guessed) == (matrix, "limited", True)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pixels_are_turned_upright(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=[0], rotation=rotation, mirrored=mirrored)
    # The display matrix turns first and mirrors after.
    expected = np.rot90(picture(0), k=-(rotation // 90))
    expected = expected[:, ::-1] if mirrored else expected
    info, image = probe(clip), images(clip)[0]
    assert image.shape == expected.shape == (info.height, info.width, 3)
    assert error(image, expected) < 3


def test_ten_bits_are_read_deep_or_rounded(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=[0], pix_fmt="yuv420p10le", matrix=1)
    deep = next(read_frames(clip, deep=True)).image
    assert deep.dtype == np.uint16
    assert error(deep / 257, images(clip)[0]) < 0.51
    assert error(images(clip)[0], picture(0)) < 3


def test_frames_that_change_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sizes.mjpeg.avi"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        other = av.CodecContext.create("mjpeg", "w")
        other.width, other.height, other.pix_fmt = 32, 24, "yuvj420p"
        other.time_base = Fraction(1, 25)
        for number, (context, size) in enumerate([(stream, (64, 48)), (other, (32, 24))]):
            image = picture(0, width=size[0], height=size[1])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in context.encode(frame):
                packet.stream, packet.pts, packet.dts = stream, number, number
                output.mux(packet)
    with read_frames(path) as reader:
        assert [frame.image.shape for frame in reader] == [(48, 64, 3)] * 2
        assert reader.resized == 1
        (note,) = (note for note in reader.notes if "another size" in note)
        assert "frames of another size (32×24 px)" in note and "the first's, 64×48 px" in note


def test_a_film_cut_short_gives_the_frames_that_are_left(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", pts=range(0, 800, 40))
    whole = images(clip)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    left = images(clip)
    assert 4 < len(left) < len(whole)
    assert all(np.array_equal(a, b) for a, b in zip(left[:4], whole, strict=False))


def test_damaged_packets_do_not_end_the_film(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "clip.avi", pts=range(20), time_base=Fraction(1, 25), codec="mjpeg", pix_fmt="yuvj420p"
    )
    data = bytearray(clip.read_bytes())
    places = [
        i for i in range(len(data) - 4) if data[i : i + 4] == b"00dc" and data[i + 8 : i + 10] == b"\xff\xd8"
    ]
    size = int.from_bytes(data[places[7] + 4 : places[7] + 8], "little")
    data[places[7] + 8 : places[7] + 8 + size] = b"\x00" * size
    clip.write_bytes(data)
    with read_frames(clip) as reader:
        assert len(list(reader)) == 19
        assert reader.damaged == 1


def test_interlaced_frames_are_said_to_be_woven(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "tape.dv", codec="dvvideo", size=(720, 576), pts=range(2), time_base=Fraction(1, 25)
    )
    with read_frames(path) as reader:
        assert len(list(reader)) == reader.woven == 2
    assert ["woven" in note for note in reader.notes if "interlaced" in note] == [True]


def test_streams_are_counted(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mp4", sounds=2, subtitle=True))
    assert (info.audio, info.subtitles, info.codec) == (2, 1, "h264")


def test_a_film_without_a_length_is_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ivf", codec="libvpx", pts=range(5), time_base=Fraction(1, 25))
    assert len(images(clip)) == len(frame_times(clip)) == 5


BARE = {
    "film.h264": {},
    "film.nut": {"codec": "mpeg4"},
    "film.ivf": {"codec": "libvpx"},
    "film.y4m": {"codec": "wrapped_avframe"},
    "film.mxf": {"codec": "mpeg2video"},
    "film.obu": {"codec": "libsvtav1", "size": (64, 64)},
    "film.m2v": {"codec": "mpeg2video"},
    "film.m1v": {"codec": "mpeg1video"},
    "film.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "film.dv": {"codec": "dvvideo", "size": (720, 576)},
    "film.hevc": {"codec": "libx265"},
}


@pytest.mark.parametrize("name", BARE)
def test_bare_streams_and_tapes_give_every_frame(tmp_path: Path, name: str) -> None:
    options = {"pts": range(10), "time_base": Fraction(1, 25), **BARE[name]}
    path = make_clip(tmp_path / name, **options)
    info, times = probe(path), frame_times(path)
    assert (info.fps, len(times)) == (25, 10)
    assert [round((t - times[0]) * info.time_base * 25) for t in times] == list(range(10))
    listed = list_media(tmp_path).entries
    assert [(entry.path.name, entry.kind) for entry in listed] == [(name, "video")]


def sound_only(path: Path) -> None:
    make_clip(path, sounds=1)
    with av.open(str(path)) as source:
        packets = [packet for packet in source.demux(source.streams.audio[0]) if packet.size]
        with av.open(str(path.with_name("sound.mp4")), "w") as output:
            track = output.add_stream_from_template(source.streams.audio[0])
            for packet in packets:
                packet.stream = track
                output.mux(packet)
    path.with_name("sound.mp4").replace(path)


def playlist(path: Path) -> None:
    other = make_clip(path.with_name("other.mp4"))
    path.write_text(f"ffconcat version 1.0\nfile '{other.name}'\n")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(500)), "no video container"),
        (lambda path: path.write_text("hello " * 100), "no video container"),
        (lambda path: path.mkdir(), "not a plain file"),
        (os.mkfifo, "not a plain file"),
        (lambda path: None, "no such file"),
        (sound_only, "audio only"),
        (playlist, "no video container"),
    ],
    ids=["empty", "header", "text", "folder", "pipe", "absent", "sound", "playlist"],
)
def test_what_is_no_film_is_refused_in_words(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "film.mp4"
    make(path)
    for look in (probe, frame_times, images):
        with pytest.raises(ItemError, match=words) as caught:
            look(path)
        assert caught.value.stage == "read"


def test_an_address_is_refused_without_a_connection() -> None:
    with pytest.raises(ItemError, match="local files"):
        probe("https://127.0.0.1/film.mp4")


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", pts=[0]).rename("concat:a.mp4")
    assert probe("concat:a.mp4").width == WIDTH


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5806889), (18, 0.75)], ids=["pq", "hlg"])
def test_hdr_reference_white_stays_neutral_and_below_the_peak(transfer: int, white: float) -> None:
    # BT.2408: 203 nits is 58 % of the PQ signal and 75 % of the HLG signal.
    levels = np.array([0.0, 0.3, white, 1.0])
    codes = np.repeat((levels * 65535).astype(np.uint16)[None, :, None], 3, axis=2)
    shown = as_bt709(codes, transfer=transfer, is_p3=False)[0] / 65535
    assert np.ptp(shown, axis=1).max() < 0.005
    assert shown[0, 0] == 0 and shown[3, 0] > 0.99
    assert 0.78 < shown[2, 0] < 0.9
    assert np.all(np.diff(shown[:, 0]) > 0)


@pytest.mark.real
def test_real_films_give_the_frames_that_ffmpeg_gives(real_data: Path) -> None:
    lines = (real_data / "videos" / "PROBE.txt").read_text().splitlines()
    counts = {line.split()[0]: line.split("frame=")[1].split()[0] for line in lines if "=> frame=" in line}
    for name, count in counts.items():
        path = real_data / "videos" / name
        if count == "none":
            with pytest.raises(ItemError):
                probe(path)
            continue
        times = [frame.pts for frame in read_frames(path)]
        assert (name, len(times)) == (name, int(count))
        assert times == frame_times(path), name


@pytest.mark.real
@pytest.mark.parametrize(("name", "white"), [("full444_ycgco.mkv", 255), ("lim444_ycgco.mkv", 255)])
def test_reported_films_in_ycgco_show_colour_bars(real_data: Path, name: str, white: int) -> None:
    bars = next(read_frames(real_data / "reported/ycgco" / name)).image[32, 8::16].astype(int)
    assert np.abs(bars[0] - white).max() <= 1 and np.abs(bars[7]).max() <= 1
    for bar, (red, green, blue) in zip(
        bars[1:7], [(1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)], strict=True
    ):
        assert np.abs(bar - (16 + 164 * np.array([red, green, blue]))).max() <= 2
