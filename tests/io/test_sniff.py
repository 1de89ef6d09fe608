"""Kinds told by first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pcli.io.sniff import HEAD_BYTES, kind_of_suffix, sniff

_CASES = [
    (b"\xff\xd8\xff\xe0", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF89a", "image"),
    (b"RIFF\x00\x00\x00\x00WEBP", "image"),
    (b"RIFF\x00\x00\x00\x00AVI ", "video"),
    (b"RIFF\x00\x00\x00\x00WAVE", None),
    (b"\x00\x00\x00\x20ftypavif", "image"),
    (b"\x00\x00\x00\x20ftypheic", "image"),
    (b"\x00\x00\x00\x20ftypisom", "video"),
    (b"\x00\x00\x00\x14ftypqt  ", "video"),
    (b"\x00\x00\x00\x20ftypM4A ", None),
    (b"\x00\x00\x10\x00moov", "video"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"OggS" + bytes(25) + b"\x80theora", "video"),
    (b"OggS" + bytes(25) + b"OpusHead", None),
    (b"\x00\x00\x01\xba", "video"),
    (b"G" + bytes(187) + b"G" + bytes(187) + b"G", "video"),
    (b"GGG", None),
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
