"""Which picture of a TIFF is read: the largest full one, never a preview, a mask or a sensor's values."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import numpy as np
import pytest
import tiffs
from numpy.typing import NDArray
from tiffs import Page, tiff

from p2pcli.errors import ItemError
from p2pcli.io import tiff as directories
from p2pcli.io.codec import read_header, read_image

_RNG = np.random.default_rng(5)
_REDUCED = {254: (4, [1])}
_FULL = {254: (4, [0])}
_MASK = {254: (4, [4])}
_CAMERA = {271: (2, b"NIKON\0")}


def _pixels(height: int, width: int, samples: int = 3, dtype: type = np.uint8) -> NDArray[Any]:
    return _RNG.integers(0, np.iinfo(dtype).max, (height, width, samples)).astype(dtype)


_LARGE, _SMALL, _MIDDLE = _pixels(30, 40), _pixels(6, 8), _pixels(15, 20)
_WIDE = _pixels(30, 40, 3, np.uint16)


def _rgb(samples: NDArray[Any], **more: Any) -> Page:
    return Page(samples, samples.dtype.itemsize * 8, tiffs.RGB, **more)


def _mask(height: int, width: int) -> Page:
    return Page(_pixels(height, width, 1), 8, tiffs.MASK, tags=_MASK)


_CASES = {
    "a thumbnail first": ([_rgb(_SMALL, tags=_REDUCED), _rgb(_LARGE)], _LARGE, 1),
    "a thumbnail first, told in the old way": ([_rgb(_SMALL, tags={255: (3, [2])}), _rgb(_LARGE)], _LARGE, 1),
    "the large one below": ([_rgb(_SMALL, tags=_REDUCED, subpages=[_rgb(_LARGE, tags=_FULL)])], _LARGE, 1),
    "the large one below, 16 bit": ([_rgb(_SMALL, tags=_REDUCED, subpages=[_rgb(_WIDE)])], _WIDE, 1),
    "the large one below a small one without a mark": ([_rgb(_SMALL, subpages=[_rgb(_LARGE)])], _LARGE, 1),
    "several below": ([_rgb(_SMALL, tags=_REDUCED, subpages=[_rgb(_MIDDLE), _rgb(_LARGE)])], _LARGE, 1),
    "a pyramid in the chain": (
        [_rgb(_LARGE), _rgb(_MIDDLE, tags=_REDUCED), _rgb(_SMALL, tags=_REDUCED)],
        _LARGE,
        1,
    ),
    "a pyramid below": ([_rgb(_LARGE, subpages=[_rgb(_MIDDLE, tags=_REDUCED)])], _LARGE, 1),
    "a larger preview below": ([_rgb(_SMALL, subpages=[_rgb(_LARGE, tags=_REDUCED)])], _SMALL, 1),
    "a document": ([_rgb(_SMALL), _rgb(_LARGE), _rgb(_MIDDLE)], _SMALL, 3),
    "a document with a thumbnail": (
        [_rgb(_SMALL, tags=_REDUCED), _rgb(_LARGE), _rgb(_LARGE[::-1])],
        _LARGE,
        2,
    ),
    "a mask first": ([_mask(40, 50), _rgb(_MIDDLE)], _MIDDLE, 1),
    "a mask behind": ([_rgb(_MIDDLE), _mask(40, 50)], _MIDDLE, 1),
    "a mask below": ([_rgb(_MIDDLE, subpages=[_mask(40, 50)])], _MIDDLE, 1),
    "a preview alone": ([_rgb(_SMALL, tags=_REDUCED)], _SMALL, 1),
    "a page of a fax": (
        [_rgb(_MIDDLE, tags={254: (4, [2])}), _rgb(_LARGE, tags={254: (4, [2])})],
        _MIDDLE,
        2,
    ),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("case", _CASES)
def test_the_largest_full_picture_is_read(case: str, order: str, big: bool) -> None:
    pages, expected, count = _CASES[case]
    data = tiff(*pages, order=order, big=big)
    decoded = read_image(data)
    assert np.array_equal(decoded.image, expected)
    assert decoded.meta.frames == count
    assert read_header(data) == decoded.meta


@pytest.mark.parametrize(
    "pages",
    [
        [_rgb(_SMALL, tags=_REDUCED, subpages=[Page(_pixels(30, 40, 1), 8, tiffs.CFA)])],
        [_rgb(_SMALL, tags=_REDUCED, subpages=[Page(_WIDE, 16, tiffs.LINEAR_RAW)])],
        [_rgb(_LARGE, subpages=[Page(_pixels(6, 8, 1, np.uint16), 16, tiffs.CFA)])],
        [_rgb(_SMALL, tags=_REDUCED), Page(_pixels(30, 40, 1, np.uint16), 16, tiffs.CFA)],
        [_rgb(_LARGE), Page(_pixels(30, 40, 1, np.uint16), 16, tiffs.CFA)],
        [_rgb(_SMALL, subpages=[_rgb(_MIDDLE, subpages=[Page(_LARGE[:, :, :1], 8, tiffs.CFA)])])],
        [Page(_pixels(30, 40, 1), 8, tiffs.CFA)],
        [_rgb(_SMALL, tags={**_REDUCED, **_CAMERA})],
        [_rgb(_SMALL, tags=_REDUCED, subpages=[Page(_LARGE, 8, tiffs.RGB, tags={259: (3, [34713])})])],
        [Page(_pixels(6, 8, 1), 8, tiffs.BLACK_IS_ZERO, tags={259: (3, [65535])})],
    ],
    ids=[
        "mosaic",
        "linear",
        "under a full preview",
        "in the chain",
        "behind a full preview",
        "two below",
        "alone",
        "no picture",
        "NEF",
        "PEF",
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_sensors_values_are_refused_by_name(pages: list[Page], order: str) -> None:
    for read in (read_image, read_header):
        with pytest.raises(ItemError, match=r"camera raw \(.*\).* Develop it to TIFF or JPEG first\."):
            read(tiff(*pages, order=order))


def test_a_picture_below_is_turned_as_its_own_directory_says() -> None:
    turned = _rgb(_LARGE, tags={274: (3, [6])})
    data = tiff(_rgb(_SMALL, tags=_REDUCED, subpages=[turned]))
    assert np.array_equal(read_image(data).image, np.rot90(_LARGE, -1))


@pytest.mark.parametrize("samples", [_LARGE, _WIDE], ids=["8 bit", "16 bit"])
def test_metadata_are_told_for_any_depth(samples: NDArray[Any]) -> None:
    tags = {**_CAMERA, 270: (2, b"a scan\0"), 282: (4, [300]), 296: (3, [2])}
    assert read_header(tiff(_rgb(samples, tags=tags))).metadata >= {"EXIF", "text"}


def test_pictures_below_that_are_linked_to_each_other_are_found() -> None:
    below = _rgb(_SMALL, tags=_REDUCED, subpages=[_rgb(_MIDDLE)])
    data = bytearray(tiff(below, _rgb(_LARGE)))
    # Where the picture below is stands at the very beginning.
    places = [int.from_bytes(data[at : at + 4], "little") for at in (8, 4)]
    link, main_link = (at + 2 + 12 * int.from_bytes(data[at : at + 2], "little") for at in places)
    # The page behind the first becomes the one behind the picture below the first.
    data[link : link + 4], data[main_link : main_link + 4] = data[main_link : main_link + 4], bytes(4)
    assert np.array_equal(read_image(bytes(data)).image, _LARGE)


def test_chains_that_lead_back_end() -> None:
    data = bytearray(tiff(_rgb(_SMALL), _rgb(_LARGE)))
    # The last link of the chain is the end of the file.
    data[-4:] = data[4:8]
    assert read_image(bytes(data)).meta.frames == 2


def test_a_directory_below_itself_is_read_once() -> None:
    page = _rgb(_SMALL, tags={330: (4, [8, 8])})
    data = bytearray(tiff(page))
    place = data.rindex(struct.pack("<HHI", 330, 4, 2))
    values = int.from_bytes(data[place + 8 : place + 12], "little")
    data[values : values + 8] = data[4:8] * 2
    assert np.array_equal(read_image(bytes(data)).image, _SMALL)


@pytest.mark.parametrize("tag", [258, 273, 279, 330, 34675])
def test_numbers_that_the_file_cannot_hold_make_no_room_for_them(tag: int) -> None:
    data = bytearray(tiff(_rgb(_LARGE, tags={330: (4, [8, 8]), 34675: (1, bytes(40))})))
    place = next(at for at in range(len(data)) if data[at : at + 2] == struct.pack("<H", tag) and at > 3600)
    data[place + 4 : place + 8] = struct.pack("<I", 0xFFFF_FFF0)
    with contextlib.suppress(ItemError):
        assert read_image(bytes(data)).image.shape == (30, 40, 3)


def test_a_budget_of_entries_bounds_what_all_directories_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = tiff(*[_rgb(_SMALL)] * 40)
    assert read_header(pages).frames == 40
    monkeypatch.setattr(directories, "_MOST_ENTRIES", 100)
    asked = []
    whole = directories._Reader._entries
    monkeypatch.setattr(
        directories._Reader, "_entries", lambda self, at: (asked.append(at), whole(self, at))[1]
    )
    with pytest.raises(ItemError, match="directory of pictures is damaged"):
        read_header(pages)
    assert len(asked) < 20


@pytest.mark.parametrize("length", range(2, 200, 7))
def test_a_directory_cut_short_is_an_item_error(length: int) -> None:
    data = tiff(_rgb(_SMALL))
    directory = int.from_bytes(data[4:8], "little")
    cut = data[: min(directory + length, len(data) - 20)]
    with pytest.raises(ItemError):
        read_image(cut)


def test_the_directories_are_read_without_the_pixels() -> None:
    class Counting(io.BytesIO):
        asked = 0

        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            self.asked += len(content)
            return content

    file = Counting(tiff(_rgb(_pixels(300, 400)), _rgb(_pixels(300, 400))))
    chosen = directories.choose(file)
    assert chosen is not None
    assert (chosen.page.width, chosen.pages) == (400, 2)
    assert file.asked < 2000
