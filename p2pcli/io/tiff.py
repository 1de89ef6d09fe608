"""The directories of a TIFF: which of its pictures is the one to read, and how that one is stored.

No pixel is read here. TIFF 6.0; Adobe's Technical Note 1 (SubIFDs); BigTIFF.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from p2pcli.errors import ItemError
from p2pcli.io import camera_raw

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, SEPARATED, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
UINT, INT, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2
"""ExtraSamples: the colours are multiplied by alpha, or not."""

_MAKE = 271
_REDUCED, _MASK, _DEPTH = 1, 4, 8
"""Bits of NewSubfileType."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}

_MOST_PAGES = 65_536
_MOST_ENTRIES = 500_000
_MOST_VALUES = 1 << 24
_MOST_SUBPAGES = 64
_MOST_RAW_PAGES = 8
_MOST_PROFILE_BYTES = 32 << 20
"""A header that asks for more than these is hostile or broken; entries and values are those of all pages."""


@dataclass(frozen=True)
class Page:
    """How one picture is stored. `width` × `height` is before the orientation is applied."""

    place: int
    """Where its directory begins in the file."""
    width: int
    height: int
    bits: tuple[int, ...]
    """Bits of each sample."""
    samples: int
    photometric: int | None
    compression: int
    kind: int
    """SampleFormat: `UINT`, `INT`, `FLOAT`, or another."""
    is_planar: bool
    predictor: int
    extra: tuple[int, ...] | None
    """What each sample beyond the colours is; None where the file does not say."""
    tile: tuple[int, int] | None
    """Width and height of a tile; None for strips."""
    rows_per_strip: int
    fill_order: int
    subsampling: tuple[int, ...]
    """Of the chroma of YCbCr, across and down."""
    orientation: int
    subfile: int
    """NewSubfileType's bits."""
    tags: frozenset[int] = field(repr=False)
    """All tags that its directory has."""
    has_dpi: bool
    """True where its resolution has a unit of length."""
    offsets: tuple[int, ...] = field(repr=False)
    byte_counts: tuple[int, ...] = field(repr=False)
    profile: bytes | None = field(repr=False)

    @property
    def is_reduced(self) -> bool:
        """True for a preview of another picture."""
        return bool(self.subfile & _REDUCED)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(frozen=True)
class Chosen:
    """The picture of a TIFF that is read."""

    page: Page
    pages: int
    """Full pictures in the file: previews, masks and what lies below other pictures are not counted."""
    is_first: bool
    """True where a reader that knows of no other finds it."""
    order: str
    """"<" or ">"."""
    is_big: bool
    """True for BigTIFF."""


def choose(file: IO[bytes]) -> Chosen | None:
    """The largest full picture of the TIFF in `file`; of equal ones the first. None for a damaged directory.

    A document's pages are pictures of their own: where the first is no preview, only the pictures below it
    can take its place. Raises `ItemError` for camera raw.
    """
    try:
        return _choose(_Reader(file))
    except (struct.error, OSError, ValueError, OverflowError):
        return None


def _choose(reader: _Reader) -> Chosen | None:
    if kind := camera_raw.raw_kind(reader.head):
        camera_raw.refuse_raw(kind)
    places = list(reader.chain())
    first = reader.page(places[0]) if places else None
    if first is None:
        return None
    is_alone = not (first.is_reduced or _is_mask(first))
    found = [first, *reader.below(places[0])]
    behind = places[1 : _MOST_RAW_PAGES if is_alone else _MOST_SUBPAGES]
    further = [page for place in behind for page in (reader.page(place), *reader.below(place))]
    for page in (*found, *further):
        if page is None or page.is_reduced:
            continue
        if sensor := camera_raw.sensor_kind(page.photometric, page.compression):
            camera_raw.refuse_raw(sensor)
    if not is_alone:
        found += further
    pictures = [page for page in found if page is not None and not _is_mask(page)]
    full = [page for page in pictures if not page.is_reduced]
    if not full and _MAKE in first.tags:
        camera_raw.refuse_raw("only a preview is a picture")
    if not pictures:
        return None
    # max() keeps the first of equal ones.
    page = max(full or pictures, key=lambda page: page.pixels)
    count = (
        1 if len(places) == 1 else sum(not (kind & 1 or kind & 12) for kind in map(reader.subfile, places))
    )
    return Chosen(page, max(1, count), page is first, reader.order, reader.is_big)


def as_first(content: bytes, chosen: Chosen) -> bytes:
    """The TIFF `content` with the chosen picture as the one that its header leads to."""
    place, form = (8, "Q") if chosen.is_big else (4, "I")
    link = struct.pack(chosen.order + form, chosen.page.place)
    return content[:place] + link + content[place + len(link) :]


def _is_mask(page: Page) -> bool:
    return bool(page.subfile & (_MASK | _DEPTH)) or page.photometric == MASK


class _Reader:
    """Reads directories, never more than the file holds."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._entries_left, self._values_left = _MOST_ENTRIES, _MOST_VALUES
        self._size = file.seek(0, 2)
        self.head = self._read(0, 16)
        self.order = "<" if self.head[:2] == b"II" else ">"
        self.is_big = self.head[2:4] in (b"+\0", b"\0+")

    def chain(self) -> Iterator[int]:
        """Where the directories of the main chain begin, each once."""
        place = self._offset(8 if self.is_big else 4)
        seen: set[int] = set()
        while place and place not in seen and len(seen) < _MOST_PAGES:
            try:
                following = self._following(place)
            except struct.error:
                # A last page without its link is a page; one that lies outside the file is none.
                if place + 2 <= self._size:
                    yield place
                return
            seen.add(place)
            yield place
            place = following

    def page(self, place: int) -> Page | None:
        """The picture whose directory is at `place`; None where no size is told."""
        entries = self._entries(place)

        def values(tag: int) -> tuple[int, ...]:
            return self._values(entries[tag]) if tag in entries else ()

        def value(tag: int, default: int) -> int:
            return (values(tag) or (default,))[0]

        width, height = value(256, 0), value(257, 0)
        if width < 1 or height < 1:
            return None
        samples = value(277, 1)
        bits = values(258) or (1,)
        tile = (value(322, 0), value(323, 0))
        is_tiled = 322 in entries
        kinds = set(values(339) or (UINT,))
        return Page(
            place=place,
            width=width,
            height=height,
            # Some writers give one number for all samples.
            bits=bits * samples if len(bits) == 1 and 1 <= samples <= 256 else bits,
            samples=samples,
            photometric=value(262, -1) if 262 in entries else None,
            compression=value(259, 1),
            kind=kinds.pop() if len(kinds) == 1 else 0,
            is_planar=value(284, 1) == 2,
            predictor=value(317, 1),
            extra=values(338) if 338 in entries else None,
            tile=tile if is_tiled else None,
            rows_per_strip=min(value(278, height) or height, height),
            fill_order=value(266, 1),
            subsampling=values(530) or (2, 2),
            orientation=value(274, 1) if 1 <= value(274, 1) <= 8 else 1,
            subfile=self._subfile(entries),
            tags=frozenset(entries),
            has_dpi=282 in entries and value(296, 2) in (2, 3),
            offsets=values(324 if is_tiled else 273),
            byte_counts=values(325 if is_tiled else 279),
            profile=self._profile(entries),
        )

    def below(self, place: int) -> Iterator[Page | None]:
        """The pictures below the one at `place` (SubIFDs), and those below them; at most `_MOST_SUBPAGES`."""
        pending = self._subpages(place)
        seen = {place}
        while pending and len(seen) <= _MOST_SUBPAGES:
            sub = pending.pop(0)
            if sub in seen:
                continue
            seen.add(sub)
            with contextlib.suppress(struct.error, ValueError):
                yield self.page(sub)
                # Some writers link the pictures below one to each other, as those of the main chain are.
                pending += [*self._subpages(sub), self._following(sub)]

    def _subpages(self, place: int) -> list[int]:
        entries = self._entries(place)
        with contextlib.suppress(ValueError):
            return list(self._values(entries[330])[:_MOST_SUBPAGES]) if 330 in entries else []
        return []

    def _following(self, place: int) -> int:
        """Where the next directory is; 0 for none."""
        count, start = self._count(place)
        return self._offset(start + count * (20 if self.is_big else 12))

    def subfile(self, place: int) -> int:
        """NewSubfileType of the directory at `place`; 0 where it cannot be read."""
        try:
            return self._subfile(self._entries(place))
        except (struct.error, ValueError):
            return 0

    def _subfile(self, entries: dict[int, tuple[int, int, int]]) -> int:
        if 254 in entries:
            return (self._values(entries[254]) or (0,))[0]
        # The older SubfileType: 1 full, 2 reduced, 3 a page of several.
        return _REDUCED if 255 in entries and self._values(entries[255]) == (2,) else 0

    def _profile(self, entries: dict[int, tuple[int, int, int]]) -> bytes | None:
        kind, count, place = entries.get(34675, (0, 0, 0))
        if kind not in (1, 7) or not 0 < count <= _MOST_PROFILE_BYTES:
            return None
        return self._read(place, count)

    def _entries(self, place: int) -> dict[int, tuple[int, int, int]]:
        """Tag → (type, count, where the values stand)."""
        count, start = self._count(place)
        self._entries_left -= count
        if self._entries_left < 0:
            raise ValueError("too many entries in the directories")
        width, inline = (20, 8) if self.is_big else (12, 4)
        layout = struct.Struct(self.order + ("HHQ" if self.is_big else "HHI"))
        block = self._read(start, count * width)
        if len(block) < count * width:
            raise ValueError("a directory cut short")
        entries: dict[int, tuple[int, int, int]] = {}
        for index in range(len(block) // width):
            tag, kind, number = layout.unpack_from(block, index * width)
            where = start + index * width + layout.size
            if number * _SIZES.get(kind, 8) > inline:
                where = self._offset(where)
            entries.setdefault(tag, (kind, number, where))
        return entries

    def _values(self, entry: tuple[int, int, int]) -> tuple[int, ...]:
        kind, count, place = entry
        code = _CODES.get(kind)
        if code is None:
            return ()
        self._values_left -= count
        if self._values_left < 0:
            raise ValueError("too many values in the directories")
        block = self._read(place, count * _SIZES[kind])
        if len(block) < count * _SIZES[kind]:
            raise ValueError("values outside the file")
        return struct.unpack(f"{self.order}{len(block) // _SIZES[kind]}{code}", block)

    def _count(self, place: int) -> tuple[int, int]:
        """Number of entries of the directory at `place`, and where they begin."""
        form = "Q" if self.is_big else "H"
        size = struct.calcsize(form)
        return int(struct.unpack(self.order + form, self._read(place, size))[0]), place + size

    def _offset(self, place: int) -> int:
        form = "Q" if self.is_big else "I"
        return int(struct.unpack(self.order + form, self._read(place, struct.calcsize(form)))[0])

    def _read(self, place: int, size: int) -> bytes:
        # A reader of Python's own makes room for all that is asked for, before it finds that less is there.
        size = min(size, self._size - place)
        if size <= 0:
            return b""
        self._file.seek(place)
        return self._file.read(size)


def refuse(page: Page) -> ItemError:
    """The error for a picture that no decoder here reads right."""
    return ItemError(
        f"{describe(page)} is not read here. Save it as a plain TIFF or PNG of gray, RGB or RGBA with 8 or "
        "16 bits."
    )


_PHOTOMETRICS = {
    WHITE_IS_ZERO: "gray where 0 is white",
    BLACK_IS_ZERO: "gray",
    RGB: "RGB",
    PALETTE: "palette colours",
    MASK: "a mask",
    SEPARATED: "CMYK",
    YCBCR: "YCbCr",
    LAB: "Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "LogL",
    32845: "LogLuv",
}
_COMPRESSIONS = {
    1: "no",
    2: "CCITT",
    3: "fax 3",
    4: "fax 4",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}


def describe(page: Page) -> str:
    """A TIFF's layout in words, to begin a sentence with."""
    bits = "/".join(str(number) for number in sorted(set(page.bits))[:4])
    kind = {UINT: "", INT: "signed ", FLOAT: "float "}.get(page.kind, "unknown ")
    colours = (
        "no"
        if page.photometric is None
        else _PHOTOMETRICS.get(page.photometric, f"unknown (photometric {page.photometric})")
    )
    packed = _COMPRESSIONS.get(page.compression, f"unknown ({page.compression})")
    layout = "in planes, " if page.is_planar and page.samples > 1 else ""
    return (
        f"a TIFF of {page.samples} {kind}{bits}-bit sample{'s' * (page.samples > 1)} a pixel "
        f"({colours} colours, {layout}{packed} compression)"
    )
