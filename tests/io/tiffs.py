"""TIFF files of any layout, made in memory from known values (TIFF 6.0; Adobe's Technical Note 3 for floats).

What is written is what the arguments say, also where no sensible program would write it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, SEPARATED, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
CFA, LINEAR_RAW = 32803, 34892
UINT, INT, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2
CONTIGUOUS, PLANAR = 1, 2

_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "old deflate": 32946, "packbits": 32773}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_CODES = {1: "B", 2: "s", _SHORT: "H", _LONG: "I", _LONG8: "Q"}


@dataclass(frozen=True)
class Page:
    """One picture of a TIFF: `samples` (H, W, S) as stored, and how they are stored."""

    samples: NDArray[Any]
    bits: int
    photometric: int
    kind: int = UINT
    planar: int = CONTIGUOUS
    tile: int | None = None
    rows_per_strip: int | None = None
    compression: str = "none"
    predictor: int = 1
    extra: tuple[int, ...] = ()
    palette: NDArray[Any] | None = None
    fill_order: int = 1
    subpages: Sequence[Page] = ()
    tags: Mapping[int, tuple[int, Any]] = field(default_factory=dict)
    """Further tags: number → (type, values)."""


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """A TIFF ("<" or ">"; `big`: BigTIFF) that holds `pages` in this order."""
    writer = _Writer(order, big)
    return writer.written(pages)


class _Writer:
    def __init__(self, order: str, big: bool) -> None:
        self.order, self.big = order, big
        mark = b"II" if order == "<" else b"MM"
        self.data = bytearray(mark + struct.pack(f"{order}H", 43 if big else 42))
        self.data += struct.pack(f"{order}HHQ", 8, 0, 0) if big else bytes(4)

    def written(self, pages: Sequence[Page]) -> bytes:
        link = 8 if self.big else 4
        for page in pages:
            link = self._page(page, link)
        return bytes(self.data)

    def _page(self, page: Page, link: int) -> int:
        """Append the page, let `link` (a place in the file) lead to it; the place of its own link."""
        subpages = []
        for subpage in page.subpages:
            self.data += bytes(len(self.data) % 2)
            place = len(self.data)
            self.data += bytes(8)
            self._page(subpage, place)
            subpages.append(
                struct.unpack_from(f"{self.order}{'Q' if self.big else 'I'}", self.data, place)[0]
            )
        blocks = [self._append(block) for block in blocks_of(page, self.order)]
        tags = _tags_of(page, [place for place, _ in blocks], [size for _, size in blocks])
        if subpages:
            tags[330] = (_LONG8 if self.big else _LONG, subpages)
        tags.update(page.tags)
        return self._directory(tags, link)

    def _directory(self, tags: dict[int, tuple[int, Any]], link: int) -> int:
        offset = "Q" if self.big else "I"
        width = 8 if self.big else 4
        entries = b""
        for number in sorted(tags):
            kind, values = tags[number]
            code = _CODES[kind]
            content = (
                bytes(values)
                if code in "Bs"
                else struct.pack(f"{self.order}{len(values)}{code}", *map(int, values))
            )
            count = len(values)
            if len(content) > width:
                content = struct.pack(self.order + offset, self._append(content)[0])
            entries += struct.pack(f"{self.order}HH{offset}", number, kind, count) + content.ljust(
                width, b"\0"
            )
        place, _ = self._append(struct.pack(self.order + ("Q" if self.big else "H"), len(tags)) + entries)
        struct.pack_into(self.order + offset, self.data, link, place)
        self.data += bytes(width)
        return len(self.data) - width

    def _append(self, content: bytes) -> tuple[int, int]:
        self.data += bytes(len(self.data) % 2)
        place = len(self.data)
        self.data += content
        return place, len(content)


def _tags_of(page: Page, offsets: list[int], sizes: list[int]) -> dict[int, tuple[int, Any]]:
    height, width, count = page.samples.shape
    tags: dict[int, tuple[int, Any]] = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [page.bits] * count),
        259: (_SHORT, [_COMPRESSIONS[page.compression]]),
        262: (_SHORT, [page.photometric]),
        277: (_SHORT, [count]),
        284: (_SHORT, [page.planar]),
    }
    if page.kind != UINT:
        tags[339] = (_SHORT, [page.kind] * count)
    if page.predictor != 1:
        tags[317] = (_SHORT, [page.predictor])
    if page.fill_order != 1:
        tags[266] = (_SHORT, [page.fill_order])
    if page.extra:
        tags[338] = (_SHORT, list(page.extra))
    if page.palette is not None:
        tags[320] = (_SHORT, page.palette.T.ravel().tolist())
    if page.tile:
        tags |= {322: (_SHORT, [page.tile]), 323: (_SHORT, [page.tile])}
        tags |= {324: (_LONG, offsets), 325: (_LONG, sizes)}
    else:
        tags |= {273: (_LONG, offsets), 279: (_LONG, sizes), 278: (_LONG, [page.rows_per_strip or height])}
    return tags


def blocks_of(page: Page, order: str) -> list[bytes]:
    """The strips or tiles of `page`, encoded, plane after plane."""
    height, width, count = page.samples.shape
    planes = (
        [page.samples] if page.planar == CONTIGUOUS else [page.samples[:, :, c : c + 1] for c in range(count)]
    )
    found = []
    for plane in planes:
        if page.tile:
            side = page.tile
            padded = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
            parts = [
                padded[y : y + side, x : x + side]
                for y in range(0, padded.shape[0], side)
                for x in range(0, padded.shape[1], side)
            ]
        else:
            step = page.rows_per_strip or height
            parts = [plane[y : y + step] for y in range(0, height, step)]
        found += [_encoded(part, page, order) for part in parts]
    return found


def _encoded(part: NDArray[Any], page: Page, order: str) -> bytes:
    rows, width, count = part.shape
    if page.predictor == 2:
        part = part.copy()
        part[:, 1:] -= part[:, :-1]
    if page.predictor == 3:
        # The bytes of a row, most significant first, then differences from byte to byte.
        octets = part.astype(part.dtype.newbyteorder(">")).view(np.uint8).reshape(rows, width * count, -1)
        row = octets.transpose(0, 2, 1).reshape(rows, -1)
        step = count
        row = row.copy()
        row[:, step:] = row[:, step:] - octets.transpose(0, 2, 1).reshape(rows, -1)[:, :-step]
        raw = row.tobytes()
    elif page.bits < 8 or page.bits in (10, 12, 14):
        raw = b"".join(_packed(line.ravel(), page.bits) for line in part)
    elif page.bits == 24:
        wide = part.astype(np.dtype(np.uint32).newbyteorder(order)).view(np.uint8).reshape(-1, 4)
        raw = (wide[:, :3] if order == "<" else wide[:, 1:]).tobytes()
    else:
        raw = part.astype(part.dtype.newbyteorder(order)).tobytes()
    packed = _compressed(raw, page, -(-width * count * page.bits // 8))
    # What lies in the file is turned, not what it unpacks to.
    return bytes(int(f"{octet:08b}"[::-1], 2) for octet in packed) if page.fill_order == 2 else packed


def _compressed(raw: bytes, page: Page, row_bytes: int) -> bytes:
    if page.compression in ("deflate", "old deflate"):
        return zlib.compress(raw)
    if page.compression == "lzw":
        return _lzw(raw)
    if page.compression == "packbits":
        return b"".join(_packbits(raw[y : y + row_bytes]) for y in range(0, len(raw), row_bytes))
    return raw


def _packed(values: NDArray[Any], bits: int) -> bytes:
    places = np.arange(bits - 1, -1, -1)
    return np.packbits((values[:, None].astype(np.int64) >> places & 1).astype(np.uint8)).tobytes()


def _packbits(raw: bytes) -> bytes:
    return b"".join(
        bytes([len(part) - 1]) + part for part in (raw[i : i + 128] for i in range(0, len(raw), 128))
    )


def _lzw(raw: bytes) -> bytes:
    """TIFF 6.0, section 13: codes of 9 to 12 bits, most significant bit first."""
    bits: list[str] = []
    table: dict[bytes, int] = {}
    width = 9

    def emit(code: int) -> None:
        bits.append(f"{code:0{width}b}")

    def clear() -> None:
        nonlocal table, width
        emit(256)
        table = {bytes([value]): value for value in range(256)}
        width = 9

    clear()
    known = b""
    for value in raw:
        longer = known + bytes([value])
        if longer in table:
            known = longer
            continue
        emit(table[known])
        table[longer] = len(table) + 2
        last = len(table) + 1
        if last == 4094:
            clear()
        elif last == (1 << width) - 1:
            width += 1
        known = bytes([value])
    if known:
        emit(table[known])
    emit(257)
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")
