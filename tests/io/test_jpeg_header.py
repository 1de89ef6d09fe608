"""Plain JPEG headers: what Pillow would say, or None."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.io import codec
from p2pcli.io.codec import read_header
from p2pcli.io.jpeg_header import plain_jpeg

_PIXELS = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)


def jpeg(*, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(_PIXELS).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_segment(marker: int, content: bytes) -> bytes:
    """A plain JPEG with one more segment behind its first two bytes."""
    whole = jpeg()
    return whole[:2] + struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content + whole[2:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"hello"}, {"subsampling": 0}])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_a_plain_jpeg_tells_its_size_and_channels(mode, channels, options):
    assert plain_jpeg(jpeg(mode=mode, **options)) == (14, 9, channels)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_header_says_what_pillow_says(mode, monkeypatch):
    data = jpeg(mode=mode)
    quick = read_header(data)
    monkeypatch.setattr(codec, "plain_jpeg", lambda head: None)
    assert read_header(data) == quick


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xEE, 0xC3, 0xC9, 0xD9])
def test_a_segment_that_may_matter_is_left_to_pillow(marker):
    assert plain_jpeg(with_segment(marker, b"anything")) is None


def test_cmyk_is_left_to_pillow():
    assert plain_jpeg(jpeg(mode="CMYK")) is None


def test_a_second_frame_header_is_left_to_pillow():
    again = struct.pack(">BHHB", 8, 5, 5, 3) + bytes(9)
    assert plain_jpeg(with_segment(0xC0, again)) is None


@pytest.mark.parametrize("length", [0, 1, 4, 30, 150])
def test_a_header_cut_short_is_left_to_pillow(length):
    assert plain_jpeg(jpeg()[:length]) is None


def test_bytes_after_the_start_that_are_no_marker_are_left_to_pillow():
    whole = jpeg()
    assert plain_jpeg(whole[:2] + b"\x00" + whole[2:]) is None
