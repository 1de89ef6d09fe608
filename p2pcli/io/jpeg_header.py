"""The header of a JPEG that says nothing but its size: what most datasets hold, read without Pillow."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEAD_BYTES = 1 << 16
"""How much of a file `plain_jpeg` wants to see."""

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_START_OF_SCAN = 0xDA
# Huffman and quantisation tables, restart interval, JFIF density, comment: they change no pixel's meaning.
_JFIF, _COMMENT = 0xE0, 0xFE
_INDIFFERENT = frozenset({0xC4, 0xDB, 0xDD, _JFIF, _COMMENT})


class PlainJpeg(NamedTuple):
    """Size in px, and 1 (gray) or 3 (colour) channels."""

    width: int
    height: int
    channels: int


def plain_jpeg(head: bytes) -> PlainJpeg | None:
    """What the first `HEAD_BYTES` of an 8-bit gray or colour JPEG say, where it has no metadata.

    None for everything else: EXIF, XMP, ICC, Adobe and multi-picture segments need a reader that knows them,
    and so does damage (ITU-T T.81, annex B).
    """
    found: PlainJpeg | None = None
    position = 2
    while head[:3] == b"\xff\xd8\xff" and position + 10 <= len(head) and head[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", head, position + 1)
        if marker == _START_OF_SCAN:
            return found
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            bits, height, width, channels = struct.unpack_from(">BHHB", head, position + 4)
            if found or bits != 8 or channels not in (1, 3) or not width or not height:
                return None
            found = PlainJpeg(width, height, channels)
        elif marker not in _INDIFFERENT:
            return None
        position += 2 + length
    return None


def metadata_of_plain(head: bytes) -> frozenset[str]:
    """What a JPEG that is plain says beside its size, in the words of `metadata.KINDS`: "dpi", "text"."""
    found: set[str] = set()
    position = 2
    while head[position + 1] != _START_OF_SCAN:
        marker, length = struct.unpack_from(">BH", head, position + 1)
        if marker == _COMMENT:
            found.add("text")
        elif marker == _JFIF and _says_dpi(head[position + 4 : position + 2 + length]):
            found.add("dpi")
        position += 2 + length
    return frozenset(found)


def _says_dpi(segment: bytes) -> bool:
    """True where a JFIF segment has dots per inch or cm, and not an aspect ratio (JFIF 1.02)."""
    name, _, units, across, down = struct.unpack_from(">5sHBHH", segment.ljust(12, b"\0"))
    return name == b"JFIF\0" and units in (1, 2) and across > 0 and down > 0
