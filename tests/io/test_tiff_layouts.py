"""Every layout of a TIFF gives the right pixels or is refused: bits × samples × planes × tiles × packing."""

from __future__ import annotations

import io
import itertools
import zlib
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
import tiffs
from numpy.typing import NDArray
from PIL import Image as PillowImage
from tiffs import ASSOCIATED, CONTIGUOUS, FLOAT, INT, PLANAR, UINT, UNASSOCIATED, Page, tiff

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.codec import read_header, read_image

_HEIGHT, _WIDTH = 11, 21


class _Colours(NamedTuple):
    samples: int
    photometric: int
    extra: tuple[int, ...] = ()


_COLOURS = {
    "gray": _Colours(1, tiffs.BLACK_IS_ZERO),
    "white is zero": _Colours(1, tiffs.WHITE_IS_ZERO),
    "palette": _Colours(1, tiffs.PALETTE),
    "rgb": _Colours(3, tiffs.RGB),
    "rgb + alpha": _Colours(4, tiffs.RGB, (UNASSOCIATED,)),
    "rgb × alpha": _Colours(4, tiffs.RGB, (ASSOCIATED,)),
    "rgb + a fourth that nobody explains": _Colours(4, tiffs.RGB),
    "rgb + other": _Colours(4, tiffs.RGB, (0,)),
    "rgb + other + alpha": _Colours(5, tiffs.RGB, (0, UNASSOCIATED)),
    "gray + alpha": _Colours(2, tiffs.BLACK_IS_ZERO, (UNASSOCIATED,)),
    "gray × alpha": _Colours(2, tiffs.BLACK_IS_ZERO, (ASSOCIATED,)),
    "gray + other": _Colours(2, tiffs.BLACK_IS_ZERO, (0,)),
    "white is zero + alpha": _Colours(2, tiffs.WHITE_IS_ZERO, (UNASSOCIATED,)),
    "cmyk": _Colours(4, tiffs.SEPARATED),
    "cmyk + alpha": _Colours(5, tiffs.SEPARATED, (UNASSOCIATED,)),
}
_DEPTHS = [(1, UINT), (2, UINT), (4, UINT), (8, UINT), (10, UINT), (12, UINT), (16, UINT), (32, UINT)]
_DEPTHS += [(8, INT), (16, INT), (32, INT), (16, FLOAT), (32, FLOAT), (64, FLOAT), (24, UINT)]

# (tile, rows a strip, compression, predictor, order, BigTIFF): each value of each with most of the others.
_BLOCKS: list[tuple[int | None, int | None, str, int, str, bool]] = [
    (None, None, "none", 1, "<", False),
    (None, 4, "none", 1, ">", False),
    (16, None, "none", 1, "<", True),
    (16, None, "none", 1, ">", False),
    (None, 4, "packbits", 1, "<", False),
    (16, None, "packbits", 1, ">", True),
    (None, 4, "lzw", 1, "<", False),
    (16, None, "lzw", 2, ">", False),
    (None, 4, "lzw", 2, "<", False),
    (None, None, "deflate", 2, ">", True),
    (16, None, "deflate", 1, "<", False),
    (16, None, "old deflate", 2, "<", False),
    (None, 4, "deflate", 3, ">", False),
    (16, None, "deflate", 3, "<", False),
]


def _has_to_be_read(colours: str, bits: int, kind: int) -> bool:
    """The layouts that are read; every other one has to be refused."""
    if kind != UINT or bits == 32:
        return colours in ("gray", "gray + other") and bits >= 16
    if colours == "palette":
        return bits <= 8
    if _COLOURS[colours].photometric == tiffs.SEPARATED:
        return bits in (8, 16)
    return bits != 24


def _dtype(bits: int, kind: int) -> np.dtype[Any]:
    if kind == FLOAT:
        return np.dtype(f"f{bits // 8}")
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    return np.dtype(f"{'i' if kind == INT else 'u'}{size}")


def _made(count: int, bits: int, kind: int) -> NDArray[Any]:
    rng = np.random.default_rng(bits * 100 + count)
    shape = (_HEIGHT, _WIDTH, count)
    if kind == FLOAT:
        return rng.random(shape).astype(_dtype(bits, kind))
    # Integers of more than 16 bits are read where they would fit into 16.
    most = min(bits, 16) - (kind == INT)
    return rng.integers(0, 1 << most, shape, dtype=np.uint32).astype(_dtype(bits, kind))


def _seen(samples: NDArray[Any], colours: str, bits: int, kind: int, palette: NDArray[Any] | None) -> Image:
    """What a viewer makes of the stored samples, worked out without any reader."""
    count, photometric, extra = _COLOURS[colours]
    most = 255 if bits <= 8 else 65535
    if kind == FLOAT:
        values = np.floor(samples.astype(np.promote_types(samples.dtype, np.float32)) * 65535 + 0.5)
    elif kind == INT or bits == 32:
        values = samples
    else:
        values = np.floor(samples / ((1 << bits) - 1) * most + 0.5)
    values = values.astype(np.int64)
    if palette is not None:
        return palette[samples[:, :, 0]] // 257
    number = {tiffs.RGB: 3, tiffs.SEPARATED: 4}.get(photometric, 1)
    colour, rest = values[:, :, :number], values[:, :, number:]
    if photometric == tiffs.WHITE_IS_ZERO:
        colour = most - colour
    if photometric == tiffs.SEPARATED:
        eight = colour if bits == 8 else (colour * 255 + 32767) // 65535
        return np.asarray(PillowImage.fromarray(eight.astype(np.uint8), "CMYK").convert("RGB")).astype(int)
    kinds = extra or (UNASSOCIATED,) * (count - number)
    places = [place for place, what in enumerate(kinds) if what in (ASSOCIATED, UNASSOCIATED)]
    if not places:
        return colour
    alpha = rest[:, :, places[0], None]
    if kinds[places[0]] == ASSOCIATED:
        divisor = np.maximum(alpha, 1)
        colour = np.minimum((colour * most + divisor // 2) // divisor, most)
    return np.concatenate([np.repeat(colour, 3, axis=2) if number == 1 else colour, alpha], axis=2)


@pytest.mark.parametrize("planar", [CONTIGUOUS, PLANAR], ids=["side by side", "planes"])
@pytest.mark.parametrize(("bits", "kind"), _DEPTHS, ids=lambda value: str(value))
@pytest.mark.parametrize("colours", _COLOURS)
def test_a_layout_is_read_right_or_refused(colours: str, bits: int, kind: int, planar: int) -> None:
    count, photometric, extra = _COLOURS[colours]
    samples = _made(count, bits, kind)
    palette = None
    if colours == "palette" and bits <= 8:
        palette = np.random.default_rng(9).integers(0, 256, (1 << bits, 3)) * 257
    blocks = _BLOCKS if _has_to_be_read(colours, bits, kind) else _BLOCKS[2:5]
    for tile, rows, compression, predictor, order, is_big in blocks:
        if (predictor == 2 and (bits % 8 or bits == 24 or kind == FLOAT)) or (
            predictor == 3 and (kind != FLOAT or bits == 16)
        ):
            predictor = 1
        page = Page(
            samples, bits, photometric, kind, planar, tile, rows, compression, predictor, extra, palette
        )
        data = tiff(page, order=order, big=is_big)
        case = f"{tile=} {rows=} {compression} {predictor=} {order} {is_big=}"
        # Pillow alone knows palettes, but neither in planes nor in BigTIFF of this order.
        is_odd = colours == "palette" and (planar == PLANAR or (is_big and order == ">"))
        if _has_to_be_read(colours, bits, kind) and not is_odd:
            image = read_image(data).image
            assert image.dtype == (np.uint8 if bits <= 8 else np.uint16) or count in (4, 5), case
            assert np.array_equal(image, _seen(samples, colours, bits, kind, palette)), case
            assert read_header(data).had_alpha == (image.shape[2] == 4), case
        else:
            with pytest.raises(ItemError, match=r"is not read here\. Save it as a plain TIFF or PNG"):
                read_image(data)


@pytest.mark.parametrize("compression", ["none", "packbits", "deflate", "old deflate"])
@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_files_of_these_tests_hold_what_tifffile_finds_in_them(
    compression: str, tile: int | None, order: str
) -> None:
    for bits, planar in itertools.product((8, 16), (CONTIGUOUS, PLANAR)):
        samples = _made(3, bits, UINT)
        page = Page(samples, bits, tiffs.RGB, planar=planar, tile=tile, compression=compression)
        with tifffile.TiffFile(io.BytesIO(tiff(page, order=order))) as file:
            found = file.pages[0].asarray()
        assert np.array_equal(found if planar == CONTIGUOUS else np.moveaxis(found, 0, -1), samples)


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("compression", ["none", "packbits", "lzw", "deflate"])
@pytest.mark.parametrize(("bits", "count"), [(1, 1), (8, 1), (8, 3), (16, 1), (16, 3)])
def test_bits_may_be_stored_the_other_way_round(
    bits: int, count: int, compression: str, fill_order: int
) -> None:
    samples = _made(count, bits, UINT)
    photometric = tiffs.RGB if count == 3 else tiffs.BLACK_IS_ZERO
    page = Page(samples, bits, photometric, compression=compression, fill_order=fill_order)
    assert np.array_equal(read_image(tiff(page)).image, samples.astype(int) * (255 if bits == 1 else 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("bits", "planar"), [(8, CONTIGUOUS), (16, CONTIGUOUS), (16, PLANAR), (8, PLANAR)])
def test_every_layout_is_turned_once(bits: int, planar: int, orientation: int) -> None:
    samples = _made(3, bits, UINT)
    page = Page(samples, bits, tiffs.RGB, planar=planar, tags={274: (3, [orientation])})
    decoded = read_image(tiff(page))
    upright = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.transpose(1, 0, 2),
        6: np.rot90(samples, -1),
        7: np.rot90(samples, 2).transpose(1, 0, 2),
        8: np.rot90(samples, 1),
    }[orientation]
    assert np.array_equal(decoded.image, upright)
    assert decoded.meta.upright_size == (decoded.image.shape[1], decoded.image.shape[0])


@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("step", [1, 2])
def test_ycbcr_without_jpeg_comes_as_rgb_or_is_refused(step: int, compression: int) -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(40, 200, (8, 12)).astype(np.uint8)
    cb, cr = rng.integers(90, 160, (2, 8 // step, 12 // step)).astype(np.uint8)
    # A unit is a square of luma and the two chromas that it shares.
    units = [
        bytes([*y[j : j + step, i : i + step].ravel(), cb[j // step, i // step], cr[j // step, i // step]])
        for j in range(0, 8, step)
        for i in range(0, 12, step)
    ]
    stored = b"".join(units) if compression == 1 else zlib.compress(b"".join(units))
    tags = {257: (4, [8]), 259: (3, [compression]), 279: (4, [len(stored)]), 530: (3, [step, step])}
    # Twice as high as it says: there is room for what does not shrink.
    data = bytearray(tiff(Page(np.zeros((16, 12, 3), np.uint8), 8, tiffs.YCBCR, tags=tags)))
    data[8 : 8 + len(stored)] = stored
    if (step, compression) == (2, 1):
        with pytest.raises(ItemError, match="YCbCr colours, no compression"):
            read_image(bytes(data))
        return
    blue, red = (np.kron(plane.astype(float), np.ones((step, step))) - 128 for plane in (cb, cr))
    rgb = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], -1)
    assert np.abs(read_image(bytes(data)).image - rgb.clip(0, 255)).max() <= 2


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw"])
@pytest.mark.parametrize("photometric", [tiffs.WHITE_IS_ZERO, tiffs.BLACK_IS_ZERO])
def test_fax_is_black_on_white_in_both_ways_of_counting(compression: str, photometric: int) -> None:
    black = np.add.outer(np.arange(24), np.arange(40)) % 7 < 3
    buffer = io.BytesIO()
    PillowImage.fromarray(~black).save(buffer, "TIFF", compression=compression, tiffinfo={262: photometric})
    assert np.array_equal(read_image(buffer.getvalue()).image[:, :, 0], np.where(black, 0, 255))


@pytest.mark.parametrize("number", [34887, 34712, 34933, 50001, 12345])
def test_a_compression_without_a_decoder_is_refused_by_name(number: int) -> None:
    for bits in (8, 16):
        page = Page(_made(3, bits, UINT), bits, tiffs.RGB, tags={259: (3, [number])})
        with pytest.raises(
            ItemError, match=r"a TIFF of 3 .*-bit samples a pixel \(RGB colours, .* compression\)"
        ):
            read_image(tiff(page))


def test_more_samples_than_a_picture_has_are_refused_before_room_is_made_for_them() -> None:
    page = Page(_made(16, 16, UINT), 16, tiffs.RGB, extra=(0,) * 13, compression="deflate")
    with pytest.raises(ItemError, match="a TIFF of 16 16-bit samples a pixel"):
        read_image(tiff(page))


def test_samples_of_different_depths_are_refused() -> None:
    page = Page(_made(3, 8, UINT), 8, tiffs.RGB, tags={258: (3, [5, 6, 5])})
    with pytest.raises(ItemError, match="5/6-bit samples"):
        read_image(tiff(page))


@pytest.mark.parametrize(
    ("bits", "kind", "values"),
    [(16, INT, [-1, 5]), (32, INT, [-1, 5]), (32, UINT, [5, 70_000]), (64, FLOAT, [0.5, 1.5])],
)
def test_values_that_no_16_bits_hold_are_refused_with_their_range(
    bits: int, kind: int, values: list[float]
) -> None:
    samples = np.array(values).astype(_dtype(bits, kind)).reshape(1, 2, 1)
    page = Page(samples, bits, tiffs.BLACK_IS_ZERO, kind)
    with pytest.raises(ItemError, match=rf"values from {values[0]:g} to {values[1]:g}; expected 0 to"):
        read_image(tiff(page))


@pytest.mark.parametrize("planar", [CONTIGUOUS, PLANAR])
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
def test_a_16_bit_tiff_cut_short_is_an_item_error(compression: str, planar: int) -> None:
    page = Page(_made(3, 16, UINT), 16, tiffs.RGB, planar=planar, compression=compression)
    whole = tiff(page)
    # The directory stands behind the pixels: it moves to where the file now ends.
    directory = int.from_bytes(whole[4:8], "little")
    kept = whole[:8] + whole[8 : directory // 2]
    kept += bytes(len(kept) % 2)
    with pytest.raises(ItemError):
        read_image(whole[:4] + len(kept).to_bytes(4, "little") + kept[8:] + whole[directory:])


@pytest.mark.parametrize("missing", [1, 2])
def test_planes_that_are_missing_are_an_item_error(missing: int) -> None:
    samples = _made(3, 16, UINT)
    offsets = [8] * (3 - missing)
    page = Page(
        samples, 16, tiffs.RGB, planar=PLANAR, tags={273: (4, offsets), 279: (4, [462] * len(offsets))}
    )
    with pytest.raises(ItemError, match="strips or tiles are missing"):
        read_image(tiff(page))


def test_the_pixel_limit_holds_for_samples_too() -> None:
    page = Page(_made(3, 16, UINT), 16, tiffs.RGB, tags={256: (4, [50_000]), 257: (4, [50_000])})
    with pytest.raises(ItemError, match="2500 megapixels, more than the limit of 200"):
        read_image(tiff(page))


@pytest.mark.parametrize(
    ("bits", "colours"), [(16, "rgb"), (16, "gray"), (8, "gray + alpha"), (16, "rgb × alpha")]
)
def test_five_readings_of_one_file_are_equal(bits: int, colours: str) -> None:
    count, photometric, extra = _COLOURS[colours]
    page = Page(_made(count, bits, UINT), bits, photometric, planar=PLANAR, compression="lzw", extra=extra)
    data = tiff(page)
    assert len({read_image(data).image.tobytes() for _ in range(5)}) == 1
