"""Writing films: what came with the pictures stays, colours stay, and a file is whole or absent."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from clips import HEIGHT, VFR, WIDTH, make_clip, picture

from p2pcli.errors import EnvironmentFaultError, ItemError, UsageError
from p2pcli.io.video import VideoWriter, frame_times, output_suffix, probe, read_frames


def rewrite(source: Path, target: Path, **options: object) -> VideoWriter:
    with (
        read_frames(source) as frames,
        VideoWriter(target, like=probe(source), source=source, **options) as writer,
    ):
        for frame in frames:
            writer.write(frame.image, frame.pts, frame.duration)
    return writer


def packets(path: Path, kind: str) -> dict[int, str]:
    """Stream number among its kind → SHA-1 of all packets."""
    sums = {}
    with av.open(str(path)) as source:
        for number, stream in enumerate(getattr(source.streams, kind)):
            with av.open(str(path)) as again:
                digest = hashlib.sha1()
                for packet in again.demux(again.streams[stream.index]):
                    digest.update(bytes(packet))
                sums[number] = digest.hexdigest()
    return sums


def seconds(path: Path) -> list[Fraction]:
    return [time * probe(path).time_base for time in frame_times(path)]


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if ".tmp" in path.name]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_timestamps_stay_as_they_were(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", pts=[time + 120 for time in VFR])
    rewrite(source, tmp_path / f"out{suffix}")
    assert seconds(tmp_path / f"out{suffix}") == seconds(source)
    assert seconds(source)[0] == Fraction(120, 1000)


def test_the_clock_stays_as_fine_as_it_was(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=[0, 1001, 2002], time_base=Fraction(1, 30000))
    rewrite(source, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").time_base == probe(source).time_base


def test_a_frame_keeps_its_own_duration(tmp_path: Path) -> None:
    like = probe(make_clip(tmp_path / "in.mkv"))
    with VideoWriter(tmp_path / "out.mkv", like=like) as writer:
        for number in range(3):
            writer.write(picture(number), number * 40, 40 if number < 2 else 200)
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.duration == 280_000


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_sound_stream_and_the_subtitles_are_copied_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", sounds=2, subtitle=suffix == ".mp4")
    rewrite(source, tmp_path / f"out{suffix}")
    assert packets(tmp_path / f"out{suffix}", "audio") == packets(source, "audio")
    assert packets(tmp_path / f"out{suffix}", "subtitles") == packets(source, "subtitles")
    assert len(packets(source, "audio")) == 2


def test_subtitles_that_the_container_refuses_are_left_out_with_a_note(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", subtitle=True)
    writer = rewrite(source, tmp_path / "out.webm")
    assert probe(tmp_path / "out.webm").subtitles == 0
    assert any("mov_text" in note and "left out" in note for note in writer.notes)


def test_sound_that_the_container_refuses_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", sounds=1)
    with pytest.raises(UsageError, match=r"cannot hold its aac sound.*\.mkv"):
        VideoWriter(tmp_path / "out.webm", like=probe(source), source=source)
    assert not temporaries(tmp_path)


def test_titles_and_chapters_are_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "plain.mkv")
    with av.open(str(source)) as plain, av.open(str(tmp_path / "in.mkv"), "w") as output:
        copy = output.add_stream_from_template(plain.streams.video[0])
        output.metadata["title"] = "a clip"
        output.set_chapters(
            [{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    rewrite(tmp_path / "in.mkv", tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert out.metadata["title"] == "a clip"
        assert [chapter["metadata"]["title"] for chapter in out.chapters()] == ["one"]


def described(path: Path) -> Path:
    """A film each of whose streams has a language, a title and a disposition of its own."""
    plain = make_clip(path.with_name(f"plain{path.suffix}"), sounds=2, subtitle=path.suffix == ".mp4")
    words = [("fra", "Image", 1), ("deu", "Ton", 0), ("eng", "Commentary", 9), ("spa", "Forced", 65)]
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        copies = []
        for stream, (language, title, disposition) in zip(old.streams, words, strict=False):
            copies.append(new.add_stream_from_template(stream))
            copies[-1].metadata.update(language=language, title=title)
            copies[-1].disposition = Disposition(disposition)
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return path


def words_of(path: Path) -> list[tuple[str, str, str, int]]:
    with av.open(str(path)) as film:
        return [
            (
                stream.type,
                stream.metadata["language"],
                # What mp4 and mov are read with is "name".
                stream.metadata.get("title") or stream.metadata["name"],
                int(stream.disposition),
            )
            for stream in film.streams
        ]


@pytest.mark.parametrize(("before", "after"), [(".mkv", ".mkv"), (".mp4", ".mp4"), (".mkv", ".mp4")])
def test_every_stream_keeps_its_language_title_and_disposition(
    tmp_path: Path, before: str, after: str
) -> None:
    source = described(tmp_path / f"in{before}")
    rewrite(source, tmp_path / f"out{after}")
    expected = words_of(source)
    assert [row[:3] for row in expected[:3]] == [
        ("video", "fra", "Image"),
        ("audio", "deu", "Ton"),
        ("audio", "eng", "Commentary"),
    ]
    assert words_of(tmp_path / f"out{after}") == expected


def test_a_title_that_mp4_has_is_one_in_matroska(tmp_path: Path) -> None:
    source = described(tmp_path / "in.mp4")
    rewrite(source, tmp_path / "out.mkv")
    assert words_of(tmp_path / "out.mkv") == words_of(source)[:3]


def test_sound_ends_with_the_last_frame_where_asked(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", sounds=1)
    like = probe(source)
    with VideoWriter(tmp_path / "out.mkv", like=like, source=source, trim=True) as writer:
        writer.write(picture(0), 0, 100)
    with av.open(str(source)) as whole, av.open(str(tmp_path / "out.mkv")) as cut:
        before = [packet.pts for packet in whole.demux(audio=0) if packet.size]
        after = [packet.pts for packet in cut.demux(audio=0) if packet.size]
    assert after == [time for time in before if time <= 100]
    assert len(after) < len(before)


@pytest.mark.parametrize("colour_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
def test_colours_and_their_tags_survive_the_round_trip(
    tmp_path: Path, matrix: int, colour_range: int
) -> None:
    source = make_clip(tmp_path / "in.mp4", matrix=matrix, colour_range=colour_range)
    rewrite(source, tmp_path / "out.mp4", quality=1)
    before, after = probe(source).colour, probe(tmp_path / "out.mp4").colour
    assert (after.matrix, after.range, after.guessed) == (before.matrix, before.range, False)
    pairs = zip(read_frames(source), read_frames(tmp_path / "out.mp4"), strict=True)
    difference = np.stack([a.image.astype(float) - b.image for a, b in pairs])
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.3


@pytest.mark.parametrize(("matrix", "codes"), [(1, (55, 125, 214)), (5, (71, 116, 213))], ids=["709", "601"])
def test_known_rgb_is_stored_as_known_codes(tmp_path: Path, matrix: int, codes: tuple[int, ...]) -> None:
    like = probe(make_clip(tmp_path / "in.mp4", matrix=matrix, colour_range=1))
    with VideoWriter(tmp_path / "out.mp4", like=like, quality=1) as writer:
        writer.write(np.full((HEIGHT, WIDTH, 3), (200, 0, 40), dtype=np.uint8), 0)
    with av.open(str(tmp_path / "out.mp4")) as out:
        frame = next(out.decode(video=0))
        stored = [np.frombuffer(bytes(plane), np.uint8)[0] for plane in frame.planes]
    assert np.abs(np.array(stored, dtype=int) - codes).max() <= 1


def test_an_untagged_source_is_written_with_the_guessed_colour_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    rewrite(source, tmp_path / "out.mp4")
    assert probe(source).colour.guessed
    colour = probe(tmp_path / "out.mp4").colour
    assert (colour.matrix, colour.primaries, colour.transfer) == ("bt601", 6, 6)


@pytest.mark.parametrize(
    ("size", "matrix", "expected"),
    [((720, 576), 2, 5), ((352, 288), 2, 5), ((720, 480), 2, 6), ((64, 48), 5, 5), ((64, 48), 6, 6)],
    ids=["pal", "half pal", "ntsc", "named bt470bg", "named smpte170m"],
)
def test_standard_definition_is_tagged_by_its_lines_or_its_name(
    tmp_path: Path, size: tuple[int, int], matrix: int, expected: int
) -> None:
    source = make_clip(tmp_path / "in.mp4", pts=[0], size=size, matrix=matrix)
    rewrite(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as out:
        frame = next(out.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (expected, expected, 6)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_films_are_written_upright_without_a_tag(tmp_path: Path, rotation: int) -> None:
    source = make_clip(tmp_path / "in.mp4", rotation=rotation)
    rewrite(source, tmp_path / "out.mp4")
    before, after = probe(source), probe(tmp_path / "out.mp4")
    assert (after.rotation, after.coded_width, after.coded_height) == (0, before.width, before.height)
    first = [next(read_frames(path)).image.astype(float) for path in (source, tmp_path / "out.mp4")]
    assert np.abs(first[0] - first[1]).mean() < 3


def test_odd_sizes_are_kept_exactly_and_noted(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(63, 47), pix_fmt="yuv444p")
    writer = rewrite(source, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.pix_fmt) == (63, 47, "yuv444p")
    assert any("odd" in note for note in writer.notes)


def test_another_size_can_be_written(tmp_path: Path) -> None:
    like = probe(make_clip(tmp_path / "in.mp4"))
    with VideoWriter(tmp_path / "out.mp4", like=like, width=128, height=96) as writer:
        writer.write(picture(0, width=128, height=96), 0)
    assert (probe(tmp_path / "out.mp4").width, probe(tmp_path / "out.mp4").height) == (128, 96)


def test_pixel_aspect_is_kept(tmp_path: Path) -> None:
    from dataclasses import replace

    like = replace(probe(make_clip(tmp_path / "in.mp4")), sample_aspect_ratio=Fraction(16, 15))
    with VideoWriter(tmp_path / "out.mp4", like=like) as writer:
        writer.write(picture(0), 0)
    assert probe(tmp_path / "out.mp4").sample_aspect_ratio == Fraction(16, 15)


def test_an_error_leaves_nothing_and_the_older_file_as_it_was(tmp_path: Path) -> None:
    source, target = make_clip(tmp_path / "in.mp4", sounds=1), tmp_path / "out.mp4"
    target.write_bytes(b"older")
    with (
        pytest.raises(RuntimeError, match="stop"),
        VideoWriter(target, like=probe(source), source=source) as writer,
    ):
        writer.write(picture(0), 0)
        raise RuntimeError("stop")
    assert target.read_bytes() == b"older"
    assert not temporaries(tmp_path)


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", like=probe(make_clip(tmp_path / "in.mp4")))
    writer.write(picture(0), 0)
    writer.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", like=probe(make_clip(tmp_path / "in.mp4")))
    writer.write(picture(0), 0)
    assert not (tmp_path / "out.mp4").exists()
    writer.close()
    assert len(frame_times(tmp_path / "out.mp4")) == 1


def test_a_film_without_frames_is_not_written(tmp_path: Path) -> None:
    like = probe(make_clip(tmp_path / "in.mp4"))
    with pytest.raises(ItemError, match="no frame") as caught, VideoWriter(tmp_path / "out.mp4", like=like):
        pass
    assert caught.value.stage == "write"
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_file_that_may_not_grow_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4")
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from p2pcli.errors import EnvironmentFaultError\n"
        "from p2pcli.io.video import VideoWriter, probe\n"
        "like = probe(sys.argv[1] + '/in.mp4')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0)\n"
        "try:\n"
        "    with VideoWriter(sys.argv[1] + '/out.mp4', like=like, quality=1) as writer:\n"
        "        for number in range(60):\n"
        "            writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8), number)\n"
        "except EnvironmentFaultError as error:\n"
        "    sys.exit(f'fault: {error}')\n"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert result.stderr.startswith("fault: "), result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_frames_that_cannot_be_read_back_are_a_fault(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", like=probe(make_clip(tmp_path / "in.mp4")))
    writer.write(picture(0), 0)
    writer.frames += 1
    with pytest.raises(EnvironmentFaultError, match="1 frames can be read back of 2"):
        writer.close()
    assert not (tmp_path / "out.mp4").exists()


def test_frames_must_have_the_announced_size_and_ascend(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", like=probe(make_clip(tmp_path / "in.mp4"))) as writer:
        writer.write(picture(0), 5)
        with pytest.raises(ValueError, match="announced"):
            writer.write(picture(0, width=32), 6)
        with pytest.raises(ValueError, match="does not come after"):
            writer.write(picture(0), 5)


def test_an_encoder_that_does_not_open_is_replaced_with_a_note(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    try:
        av.CodecContext.create("h264_nvenc", "w").open()
    except Exception:
        writer = rewrite(source, tmp_path / "out.mp4", encoder="h264_nvenc")
        assert any("h264_nvenc" in note and "libx264" in note for note in writer.notes)
    else:
        pytest.skip("this machine has the encoder")


def test_an_unknown_encoder_is_answered_with_the_nearest(tmp_path: Path) -> None:
    like = probe(make_clip(tmp_path / "in.mp4"))
    with pytest.raises(UsageError, match="Did you mean 'libx264'"):
        VideoWriter(tmp_path / "out.mp4", like=like, encoder="libx264x")


def test_a_suffix_that_is_not_written_is_refused(tmp_path: Path) -> None:
    like = probe(make_clip(tmp_path / "in.mp4"))
    with pytest.raises(UsageError, match=r"not written as '\.avi'"):
        VideoWriter(tmp_path / "out.avi", like=like)


@pytest.mark.parametrize(
    ("name", "options", "suffix"),
    [
        ("a.mp4", {"sounds": 1}, ".mp4"),
        ("a.mkv", {"sounds": 1}, ".mkv"),
        ("a.avi", {"codec": "mpeg4", "pts": range(4), "time_base": Fraction(1, 25)}, ".mp4"),
    ],
)
def test_the_suffix_is_the_source_s_where_it_can_hold_the_result(
    tmp_path: Path, name: str, options: dict[str, object], suffix: str
) -> None:
    chosen, note = output_suffix(probe(make_clip(tmp_path / name, **options)))
    assert chosen == suffix
    assert (note is None) == name.endswith(suffix)


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "mb_rotate-buck-bunny.mp4",
        "dc_video_90.mov",
        "mv_transparent.webm",
        "tc_nasa_13013.mp4",
        "in_car-detection.mp4",
    ],
)
def test_real_films_keep_clock_and_sound(real_data: Path, tmp_path: Path, name: str) -> None:
    source = real_data / "videos" / name
    target = tmp_path / f"out{source.suffix}"
    rewrite(source, target)
    assert seconds(target) == seconds(source)
    assert packets(target, "audio") == packets(source, "audio")
