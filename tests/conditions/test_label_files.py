"""Label maps as people store them: the ids, or an error that names the key to set."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from p2pcli.conditions import ConditionError, advice_on_values
from p2pcli.conditions.labels import label_ids
from p2pcli.conditions.layers import main_layers
from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io import open_source
from p2pcli.io.codec import read_image
from p2pcli.recipe import Data

IDS = np.asarray([[0, 1, 2], [3, 2, 1]], np.uint8)
COLOURS = [(0, 0, 0), (230, 25, 75), (60, 180, 75), (255, 225, 25)]


def _palette(path: Path, *, colours: list[tuple[int, int, int]] = COLOURS, **options: object) -> None:
    image = PillowImage.fromarray(IDS, "P")
    image.putpalette([value for colour in colours for value in colour])
    image.save(path, **options)


def _gray_png(path: Path, bits: int, ids: NDArray[np.uint8]) -> None:
    """A gray PNG with small samples, which no library here writes."""
    rows = b""
    for row in ids.tolist():
        packed = 0
        for value in row:
            packed = packed << bits | value
        spare = -len(row) * bits % 8
        rows += b"\0" + (packed << spare).to_bytes((len(row) * bits + spare) // 8, "big")

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def _stack(*planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack(planes, axis=2)


NONE, FULL = np.zeros_like(IDS), np.full_like(IDS, 255)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "palette": (".png", _palette),
    "palette with a transparent entry": (".png", lambda path: _palette(path, transparency=0)),
    "palette with soft entries": (
        ".png",
        lambda path: _palette(path, transparency=b"\0\x80\xff"),
    ),
    "palette of two bits": (".png", lambda path: _palette(path, bits=2)),
    "palette GIF": (".gif", _palette),
    "palette BMP": (".bmp", _palette),
    "palette TIFF": (".tif", _palette),
    "palette of grays for looks": (
        ".png",
        lambda path: _palette(path, colours=[(value, value, value) for value in (0, 85, 170, 255)]),
    ),
    "gray": (".png", lambda path: PillowImage.fromarray(IDS).save(path)),
    "gray TIFF": (".tif", lambda path: PillowImage.fromarray(IDS).save(path)),
    "gray of two bits": (".png", lambda path: _gray_png(path, 2, IDS)),
    "gray of four bits": (".png", lambda path: _gray_png(path, 4, IDS)),
    "gray with a profile": (".png", lambda path: PillowImage.fromarray(IDS).save(path, icc_profile=PROFILE)),
    "gray with alpha": (".png", lambda path: PillowImage.fromarray(_stack(IDS, NONE), "LA").save(path)),
    "16 bit": (".png", lambda path: PillowImage.fromarray(IDS.astype(np.uint16)).save(path)),
    "32 bit TIFF": (".tif", lambda path: PillowImage.fromarray(IDS.astype(np.int32)).save(path)),
    "RGB": (".png", lambda path: PillowImage.fromarray(_stack(IDS, IDS, IDS)).save(path)),
    "red": (".png", lambda path: PillowImage.fromarray(_stack(IDS, NONE, NONE)).save(path)),
    "RGBA": (".png", lambda path: PillowImage.fromarray(_stack(IDS, IDS, IDS, FULL)).save(path)),
    "RGBA red": (".png", lambda path: PillowImage.fromarray(_stack(IDS, NONE, NONE, FULL)).save(path)),
    "hidden RGBA": (
        ".png",
        lambda path: PillowImage.fromarray(_stack(IDS, IDS, IDS, NONE)).save(path),
    ),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", FILES)
def test_the_ids_are_what_the_file_stores(tmp_path: Path, name: str) -> None:
    suffix, save = FILES[name]
    path = tmp_path / f"x{suffix}"
    save(path)
    ids = label_ids(read_image(path, ids=True).image, Data(labels=4), name="x")
    assert ids[:, :, 0].tolist() == IDS.tolist()


def test_one_bit_is_two_ids(tmp_path: Path) -> None:
    PillowImage.fromarray(IDS > 1).save(tmp_path / "x.png")
    ids = label_ids(read_image(tmp_path / "x.png", ids=True).image, Data(labels=2), name="x")
    assert ids[:, :, 0].tolist() == (IDS > 1).astype(int).tolist()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_an_optimised_gray_map_keeps_its_values(tmp_path: Path) -> None:
    """Next to black grays in any order are no look, but what an optimiser made of a gray map."""
    _palette(tmp_path / "x.png", colours=[(value, value, value) for value in (2, 0, 1, 255)])
    image = read_image(tmp_path / "x.png", ids=True).image
    assert image[:, :, 0].tolist() == [[2, 0, 1], [255, 1, 0]]


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_a_palette_picture_is_its_colours_elsewhere(tmp_path: Path) -> None:
    _palette(tmp_path / "x.png", transparency=0)
    image = read_image(tmp_path / "x.png").image
    assert image[0, 1].tolist() == [*COLOURS[1], 255]
    ids = label_ids(image, Data(labels=4, palette=tuple(COLOURS)), name="x")
    assert ids[:, :, 0].tolist() == IDS.tolist()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_sources_read_the_map_alone_as_ids(tmp_path: Path) -> None:
    for folder in ("label", "img"):
        (tmp_path / folder).mkdir()
        _palette(tmp_path / folder / "1.png")
    sample = open_source(tmp_path, id_maps=("input",)).read("1")
    assert sample.target is not None
    assert (sample.input.shape[2], sample.target.shape[2]) == (1, 3)


@pytest.mark.parametrize(
    ("values", "labels", "advice"),
    [
        ((0, 255), 2, r"labels=2 and data.palette=\[\[0, 0, 0\], \[255, 255, 255\]\]"),
        ((0, 1, 2, 255), 3, r"data.dontcare=255"),
        ((0, 1, 5), 3, r"data.labels=6 or more"),
        ((0, 50, 100, 150), 4, r"ids times 50: set data.palette=\[\[0, 0, 0\], \[50, 50, 50\], \[100, "),
        ((0, 10, 20, 30), 4, r"ids times 10: set data.palette=\[\[0, 0, 0\], \[10, 10, 10\], "),
        ((0, 85, 170, 255), 4, r"ids times 85"),
        ((0, 257, 514), 3, r"ids times 257: divide them by 257"),
        ((0, 50, 100), 35, r"times 5, 10, 25 or 50, which cannot be known"),
        ((0, 50, 100, 150), 2, r"there would be 4 labels and not 2. Set data.labels=4"),
        ((0, 100), 4, r"Where 100 is an id, set data.labels=101"),
    ],
)
def test_the_advice_follows_from_the_values_of_all_maps(
    values: tuple[int, ...], labels: int, advice: str
) -> None:
    import re

    assert re.search(advice, advice_on_values(values, labels, is_all=True))


def test_the_palette_that_is_advised_gives_the_ids() -> None:
    palette = ((0, 0, 0), (10, 10, 10), (20, 20, 20), (30, 30, 30))
    ids = label_ids(IDS[:, :, None] * 10, Data(labels=4, palette=palette), name="x")
    assert ids[:, :, 0].tolist() == IDS.tolist()


def test_one_map_does_not_tell_the_step() -> None:
    with pytest.raises(ConditionError, match=r"multiples of 50; whether .* cannot be known from one map"):
        label_ids(IDS[:, :, None] * 50, Data(labels=4), name="x")


@pytest.mark.parametrize("white", [1, 7, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_larger_of_two_values_in_a_mask_is_the_hole(white: int, dtype: type, channels: int) -> None:
    mask: Image = np.repeat(((IDS > 1) * white).astype(dtype)[:, :, None], channels, axis=2)
    photo = np.full((2, 3, 3), 90, np.uint8)
    packed = main_layers(photo, Data(mask=True), width=3, height=2, name="x", mask=mask)
    assert (packed[:, :, 3] > 0).tolist() == (IDS > 1).tolist()


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    ["ids_gray", "ids_16bit", "ids_in_red", "ids_rgba", "palette_colour", "palette_transparent0"],
)
def test_reported_label_maps_are_ids(real_data: Path, name: str) -> None:
    source = open_source(real_data / "reported/palette-labels" / name, id_maps=("input",))
    data = Data(labels=4)
    for key in source.splits()["all"]:
        truth = open_source(real_data / "reported/palette-labels/ids_gray").read(key).input
        assert np.array_equal(label_ids(source.read(key).input, data, name=key), truth)


@pytest.mark.real
def test_reported_masks_are_two_ids_or_name_the_key(real_data: Path) -> None:
    root = real_data / "reported/palette-labels"
    bits = open_source(root / "mask_1bit", id_maps=("input",)).read("0").input
    white = open_source(root / "mask_0_255", id_maps=("input",)).read("0").input
    with pytest.raises(ConditionError, match=r"data.palette=\[\[0, 0, 0\], \[255, 255, 255\]\]"):
        label_ids(white, Data(labels=2), name="0")
    palette = ((0, 0, 0), (255, 255, 255))
    assert np.array_equal(label_ids(white, Data(labels=2, palette=palette), name="0"), bits)
    assert set(np.unique(bits)) == {0, 1}


def test_a_gray_png_of_this_test_is_read_by_others_too(tmp_path: Path) -> None:
    _gray_png(tmp_path / "x.png", 4, IDS)
    assert np.asarray(PillowImage.open(tmp_path / "x.png")).tolist() == (IDS * 17).tolist()
    assert read_image(tmp_path / "x.png").image[0, 1, 0] == 17


def test_a_jpeg_holds_no_ids(tmp_path: Path) -> None:
    PillowImage.fromarray(IDS.repeat(16, axis=0).repeat(16, axis=1), "L").save(tmp_path / "a.jpg")
    with pytest.raises(ItemError, match="a JPEG, which does not keep the numbers of a label map"):
        read_image(tmp_path / "a.jpg", ids=True)
    assert read_image(tmp_path / "a.jpg").image.shape == (32, 48, 1)
