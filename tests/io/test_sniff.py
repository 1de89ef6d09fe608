"""Kinds told by first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pcli.io.sniff import HEAD_BYTES, kind_of_content, kind_of_suffix, sniff

_CASES = [
    (b"\xff\xd8\xff\xe0", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF89a", "image"),
    (b"RIFF\x00\x00\x00\x00WEBP", "image"),
    (b"RIFF\x00\x00\x00\x00AVI ", "video"),
    (b"RIFF\x00\x00\x00\x00WAVE", None),
    (b"\x00\x00\x00\x20ftypavif", "image"),
    (b"\x00\x00\x00\x20ftypheic", "image"),
    (b"\x00\x00\x00\x18ftypcrx ", "image"),
    (b"\x00\x00\x00\x20ftypisom", "video"),
    (b"\x00\x00\x00\x14ftypqt  ", "video"),
    (b"\x00\x00\x00\x20ftypM4A ", None),
    (b"\x00\x00\x10\x00moov", "video"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"OggS" + bytes(25) + b"\x80theora", "video"),
    (b"OggS" + bytes(25) + b"OpusHead", None),
    (b"\x00\x00\x01\xba", "video"),
    (b"G" + bytes(187) + b"G" + bytes(187) + b"G", "video"),
    (b"G" + bytes(203) + b"G" + bytes(203) + b"G", "video"),
    (b"GGG", None),
    (b"\x1f\x07\x00\x3f\xf9", "video"),
    (b"\x1f\x07\x00\xbf\xf8", "video"),
    (b"\x1f\x8b\x08", None),
    (b"\x00\x00\x00\x01\x67\x64\x00\x0a", "video"),
    (b"\x00\x00\x01\x27\x42", "video"),
    (b"\x00\x00\x00\x01\x09\xf0", "video"),
    (b"\x00\x00\x00\x01\x40\x01\x0c", "video"),
    (b"\x00\x00\x01\x0f\xda", "video"),
    (b"\x00\x00\x01\xb0\xf1", "video"),
    (b"\x00\x00\x01\x00\x00\x00\x01\x20\x08", "video"),
    (b"\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00" + bytes(16), "image"),
    (b"\x00\x00\x00\x01\x02", None),
    (b"nut/multimedia container\x00", "video"),
    (b"\x12\x00\x0a\x0b", "video"),
    (b".RMF\x00", "video"),
    (b"YUV4MPEG2 W8 H8", "video"),
    (b"qoif", "image"),
    (b"P6\n2 2\n255\n", "image"),
    (b"Python", None),
    (b"BM", None),
    (b"", None),
    (b"hello", None),
    (b"%PDF-1.7", None),
]


@pytest.mark.parametrize(("head", "kind"), _CASES)
def test_first_bytes_tell_the_kind(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".mjpeg", "video"), (".MJPG", "video"), (".jpg", "image"), (".mp4", "image")]
)
def test_a_jpeg_is_a_film_by_the_name_that_films_of_jpegs_have(suffix: str, kind: str) -> None:
    assert kind_of_content(b"\xff\xd8\xff\xe0", suffix) == kind


# fmt: off
FILM_SUFFIXES = [
    ".dv", ".dif", ".h264", ".264", ".avc", ".hevc", ".265", ".h265", ".nut", ".ivf", ".y4m", ".mxf", ".obu",
    ".m2v", ".m1v", ".vc1", ".mjpeg",
]
# fmt: on


@pytest.mark.parametrize("suffix", FILM_SUFFIXES)
def test_tapes_and_bare_streams_are_films(suffix: str) -> None:
    assert kind_of_suffix(suffix) == "video"


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".JPG", "image"), (".tga", "image"), (".Mkv", "video"), (".txt", None), ("", None)]
)
def test_suffixes_tell_a_kind_in_any_case(suffix: str, kind: str | None) -> None:
    assert kind_of_suffix(suffix) == kind


@pytest.mark.real
def test_every_real_film_and_photo_is_told_by_its_content(real_data: Path) -> None:
    wrong = []
    for folder, kind in (("videos", "video"), ("photos", "image"), ("kodak24", "image")):
        for path in (real_data / folder).iterdir():
            if kind_of_suffix(path.suffix) is not None and sniff(path.read_bytes()[:HEAD_BYTES]) != kind:
                wrong.append(path.name)
    assert wrong == []


@pytest.mark.real
def test_reported_tapes_and_bare_streams_are_films_by_content(real_data: Path) -> None:
    folder = real_data / "reported" / "tape-and-camera"
    names = ["cam.h264", "cam.hevc", "cam.mjpeg", "cam.nut", "clip.divx", "clip.mod", "tape.avi", "tape.dv"]
    kinds = [kind_of_content((folder / name).read_bytes()[:HEAD_BYTES], Path(name).suffix) for name in names]
    assert kinds == ["video"] * len(names)
