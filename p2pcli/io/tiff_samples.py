"""The samples of one picture of a TIFF, read as bytes and told apart by its header.

Decoders know few of a TIFF's layouts and guess at others, some with memory that nobody filled. They agree on
one: gray of 8 bits. So a picture is handed to Pillow as that, a row of bytes as a row of gray pixels, which
leaves the unpacking to it, and what the bytes mean is decided here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import TiffImagePlugin

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io import modes, tiff
from p2pcli.io.tiff import Chosen, Page

_LOSSLESS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""None, LZW, deflate, PackBits, deflate, LZMA, Zstandard: their blocks are the rows' bytes, packed."""
_PICTURE_CODECS = frozenset({2, 3, 4, 6, 7, 32771})
"""CCITT, fax, both kinds of JPEG: their blocks are pictures of their own."""
_PREDICTING = frozenset({5, 8, 32946, 34925, 50000})
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3
_MOST_SAMPLES = 16
_MOST_BITS_A_PIXEL = 128
"""What a small file claims to hold is made room for: the limit of pixels alone does not bound it."""
_COLOURS = {
    tiff.WHITE_IS_ZERO: 1,
    tiff.BLACK_IS_ZERO: 1,
    tiff.RGB: 3,
    tiff.SEPARATED: 4,
    tiff.LAB: 3,
}
"""Photometric interpretation → samples that are colours; those behind them are alpha or unspecified."""


def pillow_reads(chosen: Chosen) -> bool:
    """True for the layouts that Pillow reads right by itself (all of them of 1 to 8 bits)."""
    page = chosen.page
    if chosen.is_big and chosen.order == ">":
        return False
    bits, colours = set(page.bits), page.photometric
    if page.kind != tiff.UINT or len(page.bits) != page.samples:
        return False
    if page.compression not in _LOSSLESS:
        is_whole = page.samples == 1 or not page.is_planar
        return page.compression in _PICTURE_CODECS and max(bits, default=1) <= 8 and is_whole
    if (
        page.samples == 1
        and not page.is_planar
        and colours in (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO, tiff.PALETTE)
    ):
        return bits <= {1, 2, 4, 8}
    if bits != {8}:
        return False
    if colours == tiff.RGB:
        return page.samples == 3 or (page.samples == 4 and page.extra == (tiff.UNASSOCIATED,))
    if colours == tiff.YCBCR:
        # It asks libtiff, which knows of subsampled chroma, only where there is something to unpack.
        is_known = page.compression != 1 or page.subsampling == (1, 1)
        return page.samples == 3 and not page.is_planar and is_known
    return (colours == tiff.SEPARATED and page.samples == 4) or (
        colours == tiff.LAB and page.samples == 3 and not page.is_planar
    )


def read(file: IO[bytes], chosen: Chosen) -> Image | PillowImage.Image:
    """The picture as stored: an array (H, W, 1|3|4), uint8 or uint16, or a CMYK or Lab picture of Pillow's.

    Raises `ItemError` for a layout that is not read, and for floats and integers out of range.
    """
    page = chosen.page
    require_readable(page)
    samples = _samples(file, chosen)
    colours = _COLOURS[page.photometric or 0]
    values = _to_unsigned(samples, page)
    picture, rest = values[:, :, :colours], values[:, :, colours:]
    if page.photometric == tiff.WHITE_IS_ZERO:
        picture = np.iinfo(picture.dtype).max - picture
    if page.photometric in (tiff.SEPARATED, tiff.LAB):
        if picture.dtype == np.uint16:
            picture = ((picture.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        mode = "CMYK" if page.photometric == tiff.SEPARATED else "LAB"
        return PillowImage.frombytes(mode, (page.width, page.height), picture.tobytes())
    place = alpha_place(page)
    if place is None:
        return np.ascontiguousarray(picture)
    alpha = rest[:, :, place - colours : place - colours + 1]
    colour = np.repeat(picture, 3, axis=2) if colours == 1 else picture
    image = np.concatenate([colour, alpha], axis=2)
    is_multiplied = page.extra is not None and page.extra[place - colours] == tiff.ASSOCIATED
    return modes.unmultiplied(image) if is_multiplied else image


def alpha_place(page: Page) -> int | None:
    """Which of the samples is alpha, or None. A fourth one of RGB that the file does not explain is."""
    colours = _COLOURS.get(page.photometric or 0, page.samples)
    if page.photometric in (tiff.SEPARATED, tiff.LAB):
        return None
    if page.extra is None:
        return colours if page.samples == colours + 1 and colours == 3 else None
    for index, kind in enumerate(page.extra[: page.samples - colours]):
        if kind in (tiff.ASSOCIATED, tiff.UNASSOCIATED):
            return colours + index
    return None


def mode_of(page: Page) -> str:
    """The Pillow mode that the picture would have: "I;16", "RGB", "RGBA", "CMYK", "F", …"""
    if page.photometric in (tiff.SEPARATED, tiff.LAB):
        return "CMYK" if page.photometric == tiff.SEPARATED else "LAB"
    if page.kind != tiff.UINT or page.bits[0] == 32:
        return "F" if page.kind == tiff.FLOAT else "I"
    if alpha_place(page) is not None:
        return "RGBA"
    return "RGB" if page.photometric == tiff.RGB else "L" if page.bits[0] == 8 else "I;16"


def require_readable(page: Page) -> None:
    """Raise `ItemError` for a layout of which no right pixels come."""
    bits = page.bits[0] if page.bits else 1
    colours = _COLOURS.get(-1 if page.photometric is None else page.photometric, _MOST_SAMPLES + 1)
    is_known = (
        page.compression in _LOSSLESS
        and len(set(page.bits)) == 1
        and len(page.bits) == page.samples
        and colours <= page.samples <= _MOST_SAMPLES
        and sum(page.bits) <= _MOST_BITS_A_PIXEL
        and page.predictor in ((1, 2, 3) if page.compression in _PREDICTING else (page.predictor,))
        and bool(page.offsets)
    )
    is_gray = colours == 1
    if page.kind == tiff.UINT:
        is_known &= (
            bits in (8, 16)
            or (bits == 32 and is_gray)
            or (bits in (1, 2, 4, 10, 12, 14) and colours in (1, 3))
        )
        is_known &= bits == 8 or page.photometric != tiff.LAB
    elif page.kind == tiff.INT:
        is_known &= bits in (16, 32) and is_gray
    else:
        is_known &= page.kind == tiff.FLOAT and bits in (16, 32, 64) and is_gray
    if page.kind != tiff.UINT or bits == 32:
        # What 0 as white or alpha would mean in these nobody has said.
        is_known &= page.photometric == tiff.BLACK_IS_ZERO and alpha_place(page) is None
    if page.predictor == _DIFFERENCES and page.compression in _PREDICTING:
        is_known &= bits in (8, 16, 32, 64)
    if page.predictor == _FLOAT_DIFFERENCES and page.compression in _PREDICTING:
        is_known &= page.kind == tiff.FLOAT
    if page.photometric == tiff.WHITE_IS_ZERO:
        is_known &= tiff.ASSOCIATED not in (page.extra or ())
    # A tile's row has to be whole bytes.
    is_known &= page.tile is None or (min(page.tile) > 0 and page.tile[0] * bits % 8 == 0)
    if not is_known:
        raise tiff.refuse(page)


def _samples(file: IO[bytes], chosen: Chosen) -> NDArray[Any]:
    """(H, W, S) as stored, in the type that they are of (unsigned for fewer than 8 bits)."""
    page = chosen.page
    planes = _planes(file, chosen)
    a_plane = 1 if page.is_planar else page.samples
    found = [_unpacked(plane, page, a_plane, chosen.order) for plane in planes]
    return found[0] if len(found) == 1 else np.concatenate(found, axis=2)


def _planes(file: IO[bytes], chosen: Chosen) -> list[NDArray[np.uint8]]:
    """The bytes of each row (H, bytes), plane after plane; tiles are not cut at the right edge."""
    page = chosen.page
    count = page.samples if page.is_planar else 1
    file.seek(0)
    content = file.read()
    blocks = _blocks_a_plane(page)
    if len(page.offsets) < blocks * count or (page.byte_counts and len(page.byte_counts) < blocks * count):
        raise ItemError(f"{tiff.describe(page)} in which strips or tiles are missing. Export it again.")
    if any(end > len(content) for end in _block_ends(page, blocks)):
        raise ItemError(f"{tiff.describe(page)} that is cut short. Export or copy the file again.")
    view = io.BytesIO(_as_gray(content, chosen, count, blocks))
    del content
    picture = TiffImagePlugin.TiffImageFile(view)
    planes = []
    for index in range(count):
        picture.seek(index)
        picture.load()
        planes.append(np.array(picture))
    return planes


def _row_bytes(page: Page, width: int) -> int:
    return -(-width * (1 if page.is_planar else page.samples) * page.bits[0] // 8)


def _padded_width(page: Page) -> int:
    """Width of what is unpacked: tiles are whole."""
    return page.width if page.tile is None else -(-page.width // page.tile[0]) * page.tile[0]


def _blocks_a_plane(page: Page) -> int:
    if page.tile is None:
        return -(-page.height // page.rows_per_strip)
    return (_padded_width(page) // page.tile[0]) * -(-page.height // page.tile[1])


def _block_ends(page: Page, blocks: int) -> Iterator[int]:
    """Where each strip or tile ends in the file: no decoder may take for pixels what is put behind it."""
    rows = page.rows_per_strip if page.tile is None else page.tile[1]
    row_bytes = _row_bytes(page, page.width if page.tile is None else page.tile[0])
    for index, offset in enumerate(page.offsets):
        height = rows
        if page.tile is None:
            height = min(rows, page.height - index % blocks * rows)
        size = page.byte_counts[index] if page.byte_counts else 0
        yield offset + (height * row_bytes if page.compression == 1 else size)


def _as_gray(content: bytes, chosen: Chosen, planes: int, blocks: int) -> bytes:
    """The TIFF again, with directories that call the picture gray of 8 bits, one for each plane.

    Bytes have no order, so that it is little-endian whatever it was.
    """
    page = chosen.page
    number, kind, inline = ("<Q", 16, 8) if chosen.is_big else ("<I", 4, 4)
    link = 0
    start = b"II+\0\x08\0\0\0" if chosen.is_big else b"II*\0"
    # Values and directories go behind the file, of which this makes one copy.
    first, added = 0, bytearray(len(content) % 2)
    base = len(content)
    for plane in range(planes):
        tags = _gray_tags(page, slice(plane * blocks, (plane + 1) * blocks))
        entries = b""
        for tag in sorted(tags):
            values = b"".join(struct.pack(number, value) for value in tags[tag])
            if len(values) > inline:
                place = base + len(added)
                added += values
                values = struct.pack(number, place)
            entries += struct.pack("<HH", tag, kind) + struct.pack(number, len(tags[tag])) + values
        if plane == 0:
            first = base + len(added)
        else:
            struct.pack_into(number, added, link, base + len(added))
        added += struct.pack("<Q" if chosen.is_big else "<H", len(tags)) + entries
        link = len(added)
        added += bytes(inline)
    header = start + struct.pack(number, first)
    return b"".join([header, memoryview(content)[len(header) :], added])


def _gray_tags(page: Page, part: slice) -> dict[int, tuple[int, ...]]:
    """The tags of one plane, whose strips or tiles are `part` of all, as gray of 8 bits."""
    offsets, sizes = (273, 279) if page.tile is None else (324, 325)
    width = _row_bytes(page, page.width)
    shape: dict[int, tuple[int, ...]] = {278: (page.rows_per_strip,)}
    if page.tile is not None:
        tile = _row_bytes(page, page.tile[0])
        width = _padded_width(page) // page.tile[0] * tile
        shape = {322: (tile,), 323: (page.tile[1],)}
    counts = {sizes: page.byte_counts[part]} if page.byte_counts else {}
    return {
        256: (width,),
        257: (page.height,),
        258: (8,),
        259: (page.compression,),
        262: (tiff.BLACK_IS_ZERO,),
        266: (page.fill_order,),
        277: (1,),
        offsets: page.offsets[part],
        **counts,
        **shape,
    }


def _unpacked(rows: NDArray[np.uint8], page: Page, count: int, order: str) -> NDArray[Any]:
    """(H, W, `count`) values of one plane, from the bytes of its rows."""
    bits, height = page.bits[0], len(rows)
    predictor = page.predictor if page.compression in _PREDICTING else 1
    if bits % 8:
        whole = _padded_width(page)
        values = _from_bits(rows, whole * count, bits)
        return values.reshape(height, whole, count)[:, : page.width]
    block = (page.tile[0] if page.tile else page.width) * count
    if predictor == _FLOAT_DIFFERENCES:
        octets = rows.reshape(height, -1, bits // 8, block)
        # From byte to byte of a row, `count` apart, whatever block of the row they lie in.
        flat = octets.reshape(height, -1, bits // 8 * block // count, count)
        octets = np.cumsum(flat, axis=2, dtype=np.uint8).reshape(octets.shape)
        floats = np.ascontiguousarray(octets.transpose(0, 1, 3, 2)).view(f">f{bits // 8}")
        return floats.reshape(height, -1, count)[:, : page.width].astype(f"=f{bits // 8}")
    letter = {tiff.UINT: "u", tiff.INT: "i", tiff.FLOAT: "f"}[page.kind]
    if predictor == _DIFFERENCES:
        numbers = rows.view(f"{order}u{bits // 8}").astype(f"=u{bits // 8}")
        tiles = numbers.reshape(height, -1, block // count, count)
        whole_rows = np.cumsum(tiles, axis=2, dtype=tiles.dtype).view(
            f"=i{bits // 8}" if letter == "i" else tiles.dtype
        )
        if letter == "f":
            whole_rows = whole_rows.view(f"=f{bits // 8}")
        return whole_rows.reshape(height, -1, count)[:, : page.width]
    typed = rows.view(f"{order}{letter}{bits // 8}").reshape(height, -1, count)[:, : page.width]
    return typed.astype(typed.dtype.newbyteorder("="))


def _from_bits(rows: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.uint16]:
    """`count` numbers of `bits` bits in each row, the most significant bit first."""
    places = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    values = np.empty((len(rows), count), dtype=np.uint16)
    for index, row in enumerate(rows):
        values[index] = np.unpackbits(row)[: count * bits].reshape(count, bits) @ places
    return values


def _to_unsigned(samples: NDArray[Any], page: Page) -> Image:
    """As uint8 or uint16 over their whole range; 32-bit numbers and floats as `modes.checked` has them."""
    bits = page.bits[0]
    if page.kind != tiff.UINT or bits == 32:
        return modes.checked(samples[:, :, :1])
    if bits in (8, 16):
        return samples
    most = (1 << bits) - 1
    if bits < 8:
        return (samples * (255 // most)).astype(np.uint8)
    return ((samples.astype(np.uint32) * 65535 + most // 2) // most).astype(np.uint16)
