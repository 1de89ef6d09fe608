"""The chunks of a PNG: which of them its pixels need, and which are too large to be unpacked."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FOR_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

_MOST_TEXT_BYTES = 1 << 20
_MOST_TEXTS_BYTES = 32 << 20
_MOST_PROFILE_BYTES = 32 << 20
"""What is unpacked of one text, of all texts of a file, and of a profile; one of more than this is none."""
_UNREADABLE_PROFILE = b"\0"


class LightPng(io.BytesIO):
    """A PNG whose large chunks were left out, and the ICC profile that was among them, unpacked."""

    profile: bytes | None = None


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int
    """Where the whole chunk, with its length and checksum, lies."""


def pixels_alone(data: bytes) -> bytes:
    """The PNG `data` with the chunks that its still picture is made of, and no other."""
    kept = (data[chunk.start : chunk.end] for chunk in _chunks(data) if chunk.kind in _FOR_PIXELS)
    return _SIGNATURE + b"".join(kept)


def without_large_chunks(file: IO[bytes]) -> LightPng | None:
    """The PNG in `file` without the texts and the profile that Pillow would not unpack; None without such.

    Of a text its name stays. No more than a limit is unpacked, whatever a chunk claims. A profile above it
    stands for one that cannot be read.
    """
    file.seek(0)
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        return None
    file.seek(0)
    data = file.read()
    kept = [_SIGNATURE]
    texts, large, profile = 0, 0, None
    for chunk in _chunks(data):
        content = data[chunk.start + 8 : chunk.end - 4]
        if chunk.kind in (b"tEXt", b"zTXt", b"iTXt"):
            text = _text_of(chunk.kind, content)
            texts += len(text or b"")
            is_large = text is None or texts > _MOST_TEXTS_BYTES
        elif chunk.kind == b"iCCP":
            packed = content.partition(b"\0")[2][1:]
            is_large = _unpacked(packed, _MOST_TEXT_BYTES) is None
            if is_large:
                profile = _unpacked(packed, _MOST_PROFILE_BYTES) or _UNREADABLE_PROFILE
        else:
            is_large = False
        large += is_large
        if not is_large:
            kept.append(data[chunk.start : chunk.end])
        elif chunk.kind != b"iCCP":
            # Its name stays: that there was a text is said.
            kept.append(_chunk(b"tEXt", content.partition(b"\0")[0][:79] + b"\0"))
    if not large:
        return None
    light = LightPng(b"".join(kept))
    light.profile = profile
    return light


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text_of(kind: bytes, content: bytes) -> bytes | None:
    """What a text chunk unpacks to; None where that is more than the limit, or damaged."""
    _, _, rest = content.partition(b"\0")
    if kind == b"zTXt":
        return _unpacked(rest[1:], _MOST_TEXT_BYTES)
    if kind == b"iTXt":
        is_packed, text = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        return _unpacked(text, _MOST_TEXT_BYTES) if is_packed else text
    return rest


def _unpacked(packed: bytes, most: int) -> bytes | None:
    """What `packed` unpacks to, or None where that is more than `most` bytes, or damaged."""
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(packed, most)
    except zlib.error:
        return None
    is_more = unpacking.unconsumed_tail or (len(found) >= most and not unpacking.eof)
    return None if is_more else found


def _chunks(data: bytes) -> Iterator[_Chunk]:
    place = len(_SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        # A chunk cut short goes on as it is: the decoder says what it thinks of it.
        yield _Chunk(kind, place, end := min(place + 12 + length, len(data)))
        if kind == b"IEND":
            return
        place = end
