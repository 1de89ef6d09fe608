"""Every kind of PNG gives the right pixels, whatever chunks stand around them; large chunks eat no memory."""

from __future__ import annotations

import functools
import tracemalloc
import zlib
from itertools import product
from typing import Any

import numpy as np
import pngs
import pytest
from numpy.typing import NDArray
from PIL import ImageCms
from pngs import GRAY, GRAY_ALPHA, PALETTE, RGB, RGBA, chunk, png

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.codec import read_header, read_image

_RNG = np.random.default_rng(11)
_KINDS = [*product([GRAY], (1, 2, 4, 8, 16)), *product([PALETTE], (1, 2, 4, 8))]
_KINDS += [*product([RGB, GRAY_ALPHA, RGBA], (8, 16))]
_PIXELS = _RNG.integers(0, 256, (6, 9, 3))
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _seen(samples: NDArray[Any], colours: int, bits: int, palette: NDArray[Any], key: bytes) -> Image:
    """What a viewer makes of the stored samples."""
    most = 255 if bits <= 8 else 65535
    if colours == PALETTE:
        rgb = palette[samples[:, :, 0]]
        alphas = np.full(256, 255)
        alphas[: len(key)] = list(key)
        return np.concatenate([rgb, alphas[samples]], axis=2) if key else rgb
    values = samples * (most // ((1 << bits) - 1))
    if colours == GRAY_ALPHA:
        return values[:, :, [0, 0, 0, 1]]
    if not key:
        return values
    is_key = (samples == np.frombuffer(key, ">u2")).all(axis=2, keepdims=True)
    colour = np.repeat(values, 3, axis=2) if colours == GRAY else values
    return np.concatenate([colour, np.where(is_key, 0, most)], axis=2)


@pytest.mark.parametrize("around", ["nothing", "text", "gamma", "significant bits", "animation"])
@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "with a transparent colour"])
@pytest.mark.parametrize("is_interlaced", [False, True], ids=["in rows", "interlaced"])
@pytest.mark.parametrize(("colours", "bits"), _KINDS)
def test_every_kind_of_png_gives_its_pixels(
    colours: int, bits: int, is_interlaced: bool, transparent: bool, around: str
) -> None:
    samples = _RNG.integers(0, 1 << bits, (11, 13, pngs.SAMPLES[colours]))
    palette = _RNG.integers(0, 256, (1 << min(bits, 8), 3))
    key = b""
    if transparent and colours in (GRAY, RGB, PALETTE):
        key = bytes(range(2)) if colours == PALETTE else samples[3, 4].astype(">u2").tobytes()
    before = {
        "text": [chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000)))],
        "gamma": [chunk(b"gAMA", (100_000).to_bytes(4, "big"))],
        "significant bits": [chunk(b"sBIT", bytes([1] * (3 if colours == PALETTE else samples.shape[2])))],
        "animation": [chunk(b"acTL", b"\0\0\0\x01\0\0\0\0")],
    }.get(around, [])
    before += [chunk(b"PLTE", palette.astype(np.uint8).tobytes())] if colours == PALETTE else []
    before += [chunk(b"tRNS", key)] if key else []
    data = png(samples, colours, bits, is_interlaced=is_interlaced, before=before)
    image = read_image(data).image
    assert image.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert np.array_equal(image, _seen(samples, colours, bits, palette, key))


@pytest.mark.parametrize(("colours", "bits"), [*product([GRAY, RGB, GRAY_ALPHA, RGBA], (8, 16))])
def test_an_animated_png_gives_its_first_frame(colours: int, bits: int) -> None:
    first = _RNG.integers(0, 1 << bits, (6, 9, pngs.SAMPLES[colours]))
    decoded = read_image(pngs.animated(first, first * 0, colours, bits))
    assert decoded.meta.frames == 2
    assert np.array_equal(decoded.image, _seen(first, colours, bits, first, b""))


def _text(kind: str, size: int) -> bytes:
    content = b"workflow " * (size // 9)
    return {
        "tEXt": chunk(b"tEXt", b"prompt\0" + content),
        "zTXt": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(content)),
        "iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(content)),
        "iTXt, plain": chunk(b"iTXt", b"prompt\0\0\0\0\0" + content),
    }[kind]


@pytest.mark.parametrize("count", [1, 50], ids=["one", "many"])
@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "iTXt, plain"])
def test_a_png_with_large_texts_is_read(kind: str, bits: int, place: str, count: int) -> None:
    samples = _PIXELS * (257 if bits == 16 else 1)
    data = png(samples, RGB, bits, **{place: [_text(kind, 1_500_000)] * count})  # type: ignore[arg-type]
    decoded = read_image(data)
    assert np.array_equal(decoded.image, samples)
    assert (decoded.meta.width, decoded.meta.height) == (9, 6)
    assert decoded.meta.metadata == {"text"}
    assert read_header(data).bit_depth == bits


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [2_000_000, 10_000_000])
def test_a_large_icc_profile_is_read_and_obeyed(size: int, bits: int) -> None:
    # A profile is as long as it says; what is behind its last tag means nothing.
    swapped = bytearray(_SRGB.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ"))
    swapped[0:4] = size.to_bytes(4, "big")
    profile = bytes(swapped).ljust(size, b"\0")
    small = _SRGB.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    samples = _PIXELS * (257 if bits == 16 else 1)
    large, plain = (
        read_image(png(samples, RGB, bits, before=[chunk(b"iCCP", b"p\0\0" + zlib.compress(content))]))
        for content in (profile, small)
    )
    assert large.meta.icc_name == plain.meta.icc_name
    assert not large.meta.is_plain
    assert np.array_equal(large.image, plain.image)
    assert not np.array_equal(large.image, samples)


@functools.cache
def _bomb() -> bytes:
    """Some 256 KB that unpack to 256 MB."""
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_bomb_in_a_chunk_eats_no_memory(kind: bytes, place: str) -> None:
    names = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}
    data = png(_PIXELS, RGB, 8, **{place: [chunk(kind, names[kind] + _bomb())]})  # type: ignore[arg-type]
    tracemalloc.start()
    image = read_image(data).image
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(image, _PIXELS)
    assert peak < 100 << 20


def test_the_orientation_in_a_text_is_obeyed_beside_a_large_text() -> None:
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    raw = b"\nexif\n%8d\n%s\n" % (len(exif) + 6, (b"Exif\0\0" + exif).hex().encode())
    turned = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))
    data = png(_PIXELS, RGB, 8, before=[turned, _text("zTXt", 1_500_000)])
    assert np.array_equal(read_image(data).image, np.rot90(_PIXELS, -1))


@pytest.mark.parametrize("where", ["text", "pixels"])
def test_a_png_cut_short_beside_a_large_text_is_an_item_error(where: str) -> None:
    data = png(_PIXELS, RGB, 8, before=[_text("zTXt", 1_500_000)], behind=[_text("tEXt", 2_000)])
    cut = data[:-1000] if where == "text" else data[: data.index(b"IDAT") + 60]
    with pytest.raises(ItemError):
        read_image(cut)


@pytest.mark.parametrize("before", [[], [chunk(b"tRNS", b"\0")]], ids=["none", "transparency alone"])
def test_a_palette_picture_without_a_palette_is_an_item_error(before: list[bytes]) -> None:
    late = chunk(b"PLTE", bytes(range(48)))
    data = png(_PIXELS[:, :, :1] % 16, PALETTE, 8, before=before, behind=[late])
    for read in (read_image, read_header):
        with pytest.raises(ItemError, match="a palette picture without its palette before the pixels"):
            read(data)
