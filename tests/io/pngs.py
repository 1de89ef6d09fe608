"""PNG files of any kind, made in memory from known values (PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Adam7: first row, first column, step down, step across."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """A whole chunk, with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    samples: NDArray[Any],
    colours: int,
    bits: int,
    *,
    is_interlaced: bool = False,
    before: Sequence[bytes] = (),
    behind: Sequence[bytes] = (),
) -> bytes:
    """A PNG of `samples` (H, W, S) with whole chunks before and behind its pixels."""
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, is_interlaced)
    pixels = chunk(b"IDAT", zlib.compress(filtered(samples, bits, is_interlaced=is_interlaced)))
    return b"".join([SIGNATURE, chunk(b"IHDR", header), *before, pixels, *behind, chunk(b"IEND", b"")])


def filtered(samples: NDArray[Any], bits: int, *, is_interlaced: bool = False) -> bytes:
    """The rows of `samples`, each without a filter, before they are compressed."""
    if is_interlaced:
        passes = (samples[y::down, x::across] for y, x, down, across in _PASSES)
        return b"".join(_rows(part, bits) for part in passes if part.size)
    return _rows(samples, bits)


def animated(first: NDArray[Any], second: NDArray[Any], colours: int, bits: int) -> bytes:
    """An APNG of two frames."""
    height, width, _ = first.shape
    control = [
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0))
        for number in (0, 1)
    ]
    count = chunk(b"acTL", struct.pack(">II", 2, 0))
    data = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(filtered(second, bits)))
    return png(first, colours, bits, before=[count, control[0]], behind=[control[1], data])


def _rows(samples: NDArray[Any], bits: int) -> bytes:
    places = np.arange(bits - 1, -1, -1)
    return b"".join(
        b"\0"
        + (
            np.packbits((row.reshape(-1, 1) >> places & 1).astype(np.uint8)).tobytes()
            if bits < 8
            else row.astype(f">u{bits // 8}").tobytes()
        )
        for row in samples
    )
