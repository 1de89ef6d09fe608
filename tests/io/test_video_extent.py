"""Whether a film holds all that its header announces."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import make_clip

from p2pcli.io.video import film_frames, read_frames


def faststart(path: Path, *, pts: tuple[int, ...] = tuple(range(0, 4000, 40))) -> Path:
    """A film whose index stands before its pictures, as films for the web have it."""
    plain = make_clip(path.with_name(f"plain{path.suffix}"), pts=pts)
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(plain)) as source, av.open(str(path), "w", container_options=options) as output:
        copy = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_was_cut_short_is_noted(tmp_path: Path, suffix: str) -> None:
    film = faststart(tmp_path / f"film{suffix}")
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with read_frames(film) as reader:
        assert 0 < sum(1 for _ in reader) < 100
    assert any("s of the 4.0 s that its header announces: it was cut short" in note for note in reader.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("pts", [tuple(range(0, 4000, 40)), (0, 3000, 6000, 9000), (5000, 5040, 5080)])
def test_a_whole_film_is_not_taken_for_one_that_was_cut(
    tmp_path: Path, suffix: str, pts: tuple[int, ...]
) -> None:
    film = faststart(tmp_path / f"film{suffix}", pts=pts)
    with read_frames(film) as reader:
        assert sum(1 for _ in reader) == len(pts)
    assert (reader.shortfall, reader.cut_short, film_frames(film).cut_short) == (None, None, None)


CUT = {
    "film.mp4": ({}, "s of the 4.0 s that its header announces"),
    "film.mkv": ({}, "s of the 4.0 s that its header announces"),
    "film.avi": ({"codec": "mpeg4", "time_base": Fraction(1, 25), "pts": range(100)}, "s of the 4.0 s"),
    "film.mxf": ({"codec": "mpeg2video", "time_base": Fraction(1, 25), "pts": range(100)}, "s of the 4.0 s"),
    "film.wmv": ({"codec": "wmv2"}, "holds 5.% of the bytes that its header announces"),
    "film.flv": ({"codec": "flv"}, "s of the 4.0 s"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_film_that_lacks_what_its_header_announces_is_incomplete(tmp_path: Path, name: str) -> None:
    options, words = CUT[name]
    path = tmp_path / name
    if options:
        make_clip(path, **{"pts": range(0, 4000, 40), **options})
    else:
        faststart(path)
    with read_frames(path) as reader:
        assert sum(1 for _ in reader) == 100
    assert (reader.cut_short, film_frames(path).cut_short) == (None, None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 55 // 100])
    with read_frames(path) as reader:
        assert 0 < sum(1 for _ in reader) < 100
    assert re.search(words, reader.cut_short or "")
    assert film_frames(path).cut_short == reader.cut_short


def test_one_missing_sample_makes_a_film_incomplete(tmp_path: Path) -> None:
    path = faststart(tmp_path / "film.mp4")
    path.write_bytes(path.read_bytes()[:-20])
    with read_frames(path) as reader:
        assert sum(1 for _ in reader) >= 99
    assert "holds 99 of the 100 frames" in (reader.cut_short or "")


def test_sound_that_is_longer_than_the_pictures_does_not_make_a_film_incomplete(tmp_path: Path) -> None:
    # Without its own tag, Matroska tells the length of the longest stream: the sound's.
    path = make_clip(tmp_path / "film.mkv", pts=range(0, 200, 40), sounds=1, sound_seconds=4)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    with av.open(str(path)) as source:
        assert source.duration >= 4_000_000 and "DURATION" not in source.streams.video[0].metadata
    assert film_frames(path).cut_short is None
    with read_frames(path) as reader:
        assert len(list(reader)) == 5
    assert reader.shortfall is None
