"""make-pairs from films: which frames, their provenance, what is no film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from p2pcli.events import Note
from p2pcli.io.codec import read_image
from p2pcli.jobs.make_pairs import make_pairs


def make_film(path: Path, *, frames: int, fps: int = 10, b_frames: int = 0) -> Path:
    """Frames that grow brighter with time, 64×48 px."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.max_b_frames = b_frames
        for number in range(frames):
            level = np.full((48, 64, 3), 20 + 200 * number // frames, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return make_film(tmp_path / "films/walk.mp4", frames=45)


def rows(dataset: Path) -> list[dict]:
    found = [row for file in (dataset / "data").iterdir() for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: row["key"])


def test_a_film_gives_one_frame_a_second(film, tmp_path):
    make_pairs("gray", film, tmp_path / "out", size=16, workers=1)
    assert [row["key"] for row in rows(tmp_path / "out")] == [f"walk/{n:06d}" for n in (0, 10, 20, 30, 40)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"every": "2s"}, [0, 20, 40]), ({"every": "15"}, [0, 15, 30]), ({"fps": 2}, list(range(0, 45, 5)))],
)
def test_distance_and_rate_choose_the_frames(arguments, expected, film, tmp_path):
    make_pairs("gray", film, tmp_path / "out", size=16, workers=1, **arguments)
    assert [row["frame_index"] for row in rows(tmp_path / "out")] == expected


def test_a_row_holds_the_frame_that_its_time_names(film, tmp_path):
    make_pairs("gray", film, tmp_path / "out", size=16, workers=1, encoding="png")
    made = rows(tmp_path / "out")
    steps = {(row["frame_pts"] - made[0]["frame_pts"]) / row["frame_index"] for row in made[1:]}
    assert len(steps) == 1
    assert made[3]["source"] == "walk.mp4"
    assert len({row["target"]["bytes"] for row in made}) == 5


def test_the_frame_number_names_the_decoder_s_frame_in_films_whose_times_are_odd(tmp_path):
    # Frames 4 and 5 carry the time of frame 3, and AVI stores no times of presentation.
    plain, odd = make_film(tmp_path / "plain.mkv", frames=12), tmp_path / "films/odd.mkv"
    odd.parent.mkdir()
    with av.open(str(plain)) as old, av.open(str(odd), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = 300 if number in (4, 5) else packet.pts
                packet.stream = copy
                new.mux(packet)
    make_film(tmp_path / "films/tape.avi", frames=12, b_frames=2)
    make_pairs("gray", odd.parent, tmp_path / "out", size=None, workers=1, encoding="png", every="1")
    made = rows(tmp_path / "out")
    assert [(row["source"], row["frame_index"]) for row in made] == [
        (name, number) for name in ("odd.mkv", "tape.avi") for number in range(12)
    ]
    for row in made:
        shown = read_image(row["target"]["bytes"]).image.mean()
        assert abs(shown - (20 + 200 * row["frame_index"] // 12)) < 5, (row["source"], row["frame_index"])


def test_what_becomes_of_a_film_s_frames_is_said_once(tmp_path):
    path = tmp_path / "films/sizes.avi"
    path.parent.mkdir()
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(80):
            width, height = (64, 48) if number < 70 else (32, 24)
            other = av.CodecContext.create("mjpeg", "w")
            other.width, other.height, other.pix_fmt = width, height, "yuvj420p"
            other.time_base = Fraction(1, 10)
            frame = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = 0, Fraction(1, 10)
            for packet in other.encode(frame):
                packet.stream, packet.pts, packet.dts = stream, number, number
                output.mux(packet)
    said = []
    make_pairs("gray", path, tmp_path / "out", size=16, workers=1, every="1", observe=said.append)
    texts = [event.text for event in said if isinstance(event, Note) and "size" in event.text]
    assert len(texts) == 1
    assert "frames of another size (32×24 px) are scaled to the first's, 64×48 px" in texts[0]


def test_the_same_bytes_for_any_number_of_workers(film, tmp_path):
    make_film(film.parent / "second.mp4", frames=90)
    for workers in (1, 2):
        make_pairs("edges", film.parent, tmp_path / str(workers), size=16, workers=workers, fps=5)
    shards = [sorted((tmp_path / name / "data").iterdir()) for name in "12"]
    assert [f.name for f in shards[0]] == [f.name for f in shards[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*shards, strict=True))


def test_a_film_that_cannot_be_read_is_one_failed_item(film, tmp_path):
    (film.parent / "broken.mp4").write_bytes(film.read_bytes()[:400])
    report = make_pairs("edges", film.parent, tmp_path / "out", size=16, workers=1)
    assert [(failure.key, failure.stage) for failure in report.tally.failed] == [("broken", "read")]
    assert report.tally.planned == 6


def test_the_frames_of_a_film_that_was_cut_short_are_used_and_the_film_failed(tmp_path):
    film = make_film(tmp_path / "films/walk.mkv", frames=60)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    report = make_pairs("gray", film.parent, tmp_path / "out", size=16, workers=1, every="10")
    made = rows(tmp_path / "out")
    assert 1 <= len(made) < 6
    assert [(failure.key, failure.stage) for failure in report.tally.failed] == [("walk", "read")]
    assert "it was cut short" in report.tally.failed[0].message
    assert report.tally.planned == report.tally.done == len(made) + 1


def test_one_film_is_split_by_time(film, tmp_path):
    make_pairs("gray", film, tmp_path / "out", size=16, workers=1, fps=10)
    last = {}
    for file in sorted((tmp_path / "out/data").iterdir()):
        indices = pq.read_table(file, columns=["frame_index"]).column(0).to_pylist()
        last.setdefault(file.name.split("-")[0], []).extend(indices)
    assert max(last["train"]) < min(last["validation"]) < max(last["validation"]) < min(last["test"])


@pytest.mark.real
def test_every_real_film_is_accounted_for(real_data, tmp_path):
    report = make_pairs("edges", real_data / "videos", tmp_path / "out", size=64, every="5s", workers=2)
    failed = {failure.key for failure in report.tally.failed}
    made = {row["key"].rpartition("/")[0] for row in rows(tmp_path / "out")}
    films = {path.stem for path in (real_data / "videos").iterdir() if path.name != "PROBE.txt"}
    assert films == failed | made
    assert report.tally.planned == report.tally.done
