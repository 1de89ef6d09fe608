"""Sound that the container cannot hold: encoded anew without loss where it was stored so, at its own time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import picture
from numpy.typing import NDArray

from p2pcli.errors import EnvironmentFaultError, ItemError
from p2pcli.io.video import VideoWriter, encoder, output_suffix, probe, read_frames
from p2pcli.io.video.clock import Clock
from p2pcli.io.video.container import output_fault

RATE = 16000


def film_with(path: Path, codec: str, *, gap: int = 0, channels: int = 1, video: str = "mpeg4") -> Path:
    """Half a second of film with a tone of rising pitch; `gap` samples are missing after the first 0.2 s."""
    samples = np.sin(np.arange(RATE // 2) ** 1.5 / 200) * 0.4
    with av.open(str(path), "w") as output:
        stream = output.add_stream(video, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = output.add_stream(codec, rate=RATE, layout="mono" if channels == 1 else "stereo")
        sound.bit_rate = 48000
        form = sound.codec_context.format
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        step = sound.codec_context.frame_size or RATE // 10
        for start in range(0, len(samples), step):
            part = np.repeat(samples[start : start + step], channels)[None]
            whole = av.AudioFrame.from_ndarray(
                (part * 32767).astype(np.int16), format="s16", layout=sound.layout.name
            )
            whole.sample_rate, whole.time_base = RATE, Fraction(1, RATE)
            whole.pts = start + (gap if start >= RATE // 5 else 0)
            for one in av.AudioResampler(form.name, sound.layout.name, RATE).resample(whole):
                one.pts = whole.pts
                output.mux(sound.encode(one))
        output.mux(sound.encode(None))
    return path


def heard(path: Path) -> NDArray[np.float64]:
    """The samples of the first sound (N,), each at its place on the film's clock, in -1…1."""
    with av.open(str(path)) as source:
        track = source.streams.audio[0]
        resampler = av.AudioResampler("flt", "mono", RATE)
        found, begin = np.zeros(RATE * 2), 0
        for frame in source.decode(track):
            begin = begin if frame.pts is None else round(frame.pts * frame.time_base * RATE)
            for one in resampler.resample(frame):
                values = one.to_ndarray()[0]
                # The encoder's run-up lies before zero.
                values, begin = values[max(0, -begin) :], max(0, begin)
                found[begin : begin + len(values)] = values
                begin += len(values)
    return found


def translated(source: Path, target: Path) -> VideoWriter:
    with read_frames(source) as frames, VideoWriter(target, like=probe(source), source=source) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts, frame.duration)
    return writer


@pytest.mark.parametrize(
    ("name", "codec", "target", "found"),
    [
        ("in.mkv", "tta", "out.mp4", "flac"),
        ("in.mkv", "tta", "out.mov", "alac"),
        ("in.mkv", "pcm_u8", "out.mp4", "flac"),
        ("in.avi", "adpcm_ms", "out.mp4", "aac"),
        ("in.avi", "adpcm_ms", "out.mkv", "aac"),
        ("in.wmv", "wmav2", "out.mp4", "aac"),
    ],
)
def test_sound_that_does_not_fit_is_encoded_anew_and_said(
    tmp_path: Path, name: str, codec: str, target: str, found: str
) -> None:
    source = film_with(tmp_path / name, codec)
    writer = translated(source, tmp_path / target)
    with av.open(str(tmp_path / target)) as out:
        assert out.streams.audio[0].codec_context.codec.canonical_name == found
    before, after = heard(source), heard(tmp_path / target)
    if found == "aac":
        assert np.corrcoef(before, after)[0, 1] > 0.98
    else:
        assert np.array_equal(before, after)
    notes = [note for note in writer.notes if "encoded anew" in note]
    assert len(notes) == 1
    assert codec in notes[0] and found.upper() in notes[0]


def test_the_pictures_keep_their_times_beside_sound_that_is_encoded_anew(tmp_path: Path) -> None:
    source = film_with(tmp_path / "in.avi", "adpcm_ms")
    for target in (tmp_path / "out.mp4", tmp_path / "out.mkv"):
        translated(source, target)
        times = [frame.pts * probe(target).time_base for frame in read_frames(target)]
        assert times == [Fraction(number, 10) for number in range(5)]


def test_a_gap_in_the_sound_stays_a_gap(tmp_path: Path) -> None:
    source = film_with(tmp_path / "in.mkv", "pcm_u8", gap=RATE // 2)
    translated(source, tmp_path / "out.mp4")
    before, after = heard(source), heard(tmp_path / "out.mp4")
    assert np.abs(before - after).max() < 1e-4
    assert np.abs(after[RATE // 2 : RATE * 7 // 10]).max() < 1e-4
    assert np.abs(after[RATE * 7 // 10 :]).max() > 0.3


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [("in.avi", "adpcm_ms", ".mp4"), ("in.mkv", "tta", ".mkv"), ("in.wmv", "wmav2", ".mp4")],
)
def test_the_container_is_the_nearest_that_copies_most_of_the_sound(
    tmp_path: Path, name: str, codec: str, suffix: str
) -> None:
    assert output_suffix(probe(film_with(tmp_path / name, codec)))[0] == suffix


def test_a_packet_that_the_container_refuses_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film_with(tmp_path / "in.ts", "aac", video="libx264")
    place = Clock.place

    def placed(self: Clock, packet: av.Packet) -> None:
        place(self, packet)
        if packet.stream.type == "audio" and packet.pts == times[4]:
            packet.update(bytes(packet.size))

    with av.open(str(source)) as opened:
        times = [packet.pts for packet in opened.demux(audio=0) if packet.size]
    monkeypatch.setattr(Clock, "place", placed)
    writer = translated(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as opened:
        assert sum(1 for packet in opened.demux(audio=0) if packet.size) == len(times) - 1
    assert any("1 packets of sound or subtitles were damaged" in note for note in writer.notes)


def test_everything_that_is_left_out_is_named_with_its_kind_codec_language_and_reason(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(film_with(tmp_path / "plain.mp4", "aac"))) as plain, av.open(str(source), "w") as output:
        copies = [output.add_stream_from_template(stream) for stream in plain.streams]
        text = output.add_mux_stream("subrip", time_base=Fraction(1, 1000))
        text.metadata["language"] = "fre"
        output.add_attachment("font.ttf", "application/x-truetype-font", b"letters")
        for packet in plain.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
        words = av.Packet(b"bonjour")
        words.stream, words.time_base, words.pts, words.dts = text, Fraction(1, 1000), 0, 0
        words.duration = 200
        output.mux(words)
    notes = " ".join(translated(source, tmp_path / "out.mp4").notes)
    assert "left out: subtitle stream 2 (subrip, fre), which a mp4 file cannot hold" in notes
    assert "attachment stream 3 (font.ttf), which a mp4 file cannot hold" in notes
    assert not translated(source, tmp_path / "out.mkv").notes


def test_teletext_for_which_there_is_no_decoder_is_named_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.ts"
    plain = film_with(tmp_path / "plain.ts", "mp2", video="mpeg2video")
    with av.open(str(plain)) as opened, av.open(str(source), "w") as output:
        copies = [output.add_stream_from_template(stream) for stream in opened.streams]
        text = output.add_mux_stream("dvb_teletext", time_base=Fraction(1, 90000))
        text.metadata["language"] = "deu"
        for packet in opened.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
        page = av.Packet(b"\x10\x02\x2c" + bytes(44))
        page.stream, page.time_base, page.pts, page.dts = text, Fraction(1, 90000), 130_000, 130_000
        output.mux(page)
    notes = " ".join(translated(source, tmp_path / "out.mp4").notes)
    assert "left out: subtitle stream 2 (dvb_teletext, deu), which a mp4 file cannot hold." in notes
    assert av.logging.get_level() is None
    assert capfd.readouterr() == ("", "")


def test_a_picture_that_no_encoder_takes_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like = probe(film_with(tmp_path / "in.mkv", "tta"))
    with pytest.raises(ItemError, match="not for 40000×2 px") as caught:
        VideoWriter(tmp_path / "out.mp4", like=like, width=40000, height=2)
    assert caught.value.stage == "write"
    monkeypatch.setattr(encoder, "_failure_to_open", lambda name, picture: "no such encoder")
    with pytest.raises(EnvironmentFaultError, match="Install a PyAV wheel"):
        VideoWriter(tmp_path / "out.mp4", like=like)


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (av.error.OSError(28, "No space left on device"), True),
        (av.error.PermissionError(13, "Permission denied"), True),
        (av.error.PermissionError(1, "Operation not permitted"), False),
        (av.error.InvalidDataError(1094995529, "Invalid data found"), False),
        (av.error.ArgumentError(22, "Invalid argument"), False),
    ],
    ids=["full", "denied", "minus-one", "invalid-data", "invalid-argument"],
)
def test_only_what_the_machine_refuses_is_its_fault(error: Exception, is_fault: bool) -> None:
    assert output_fault(error) is is_fault


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "found"), [("dvd_pcm.vob", "flac"), ("vc1_wmapro.mp4", "aac"), ("a.wmv", "aac")]
)
def test_real_sound_that_does_not_fit_keeps_its_length(
    real_data: Path, tmp_path: Path, name: str, found: str
) -> None:
    source = real_data / "reported" / "films" / "sound-that-does-not-fit" / name
    like = probe(source)
    target = tmp_path / f"out{output_suffix(like)[0]}"
    with VideoWriter(target, like=like, source=source) as writer:
        writer.write(next(read_frames(source)).image, like.start_pts)
    lengths = []
    for path in (source, target):
        with av.open(str(path)) as opened:
            frames = list(opened.decode(audio=0))
            lengths.append(sum(frame.samples for frame in frames) / frames[0].sample_rate)
            codec = opened.streams.audio[0].codec_context.codec.canonical_name
    assert codec == found
    assert abs(lengths[0] - lengths[1]) < 0.15


@pytest.mark.real
def test_real_subtitles_and_sensors_that_are_left_out_are_named(real_data: Path, tmp_path: Path) -> None:
    films = real_data / "reported" / "films"
    notes = []
    for name in ("dvb-subtitles.ts", "gopro_gpmf.mp4"):
        like = probe(films / name)
        with VideoWriter(tmp_path / "out.mp4", like=like, source=films / name) as writer:
            writer.write(next(read_frames(films / name)).image, like.start_pts)
        notes += writer.notes
    assert "subtitle stream 1 (dvb_subtitle, fre), which a mp4 file cannot hold" in notes[0]
    assert "subtitle stream 2 (dvb_subtitle, chi), which a mp4 file cannot hold" in notes[0]
    assert "data stream 1 (bin_data, eng), which is not carried over" in notes[1]
