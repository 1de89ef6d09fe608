"""Pictures after public reports: each is read as it should be, or refused with what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import GifImagePlugin, PngImagePlugin
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.io.codec import read_header, read_image

_READ = {
    "broken/miniswhite-16bit.tif": ((48, 80, 1), 1),
    "broken/planar_16bit_RGB.tiff": ((40, 100, 3), 1),
    "large-png-text/itxt_1500k.png": ((64, 64, 3), 1),
    "large-png-text/plain.png": ((64, 64, 3), 1),
    "large-png-text/ztxt_1500k.png": ((64, 64, 3), 1),
    "large-png-text/ztxt_after_idat.png": ((64, 64, 3), 1),
    "many-in-one/a.gif": ((32, 48, 3), 5),
    "many-in-one/b.webp": ((32, 48, 4), 5),
    "many-in-one/c.png": ((32, 48, 3), 5),
    "many-in-one/d.tif": ((32, 48, 3), 5),
    "metadata/scan.jpg": ((48, 64, 3), 1),
    "metadata/scan.png": ((48, 64, 3), 1),
    "metadata/scan.tif": ((48, 64, 3), 1),
    "metadata/scan.webp": ((48, 64, 3), 1),
}
_REFUSED = {
    "broken/palette-without-plte.png": "a palette picture without its palette",
    "camera-raw/full.dng": "camera raw",
    "camera-raw/linear.dng": "camera raw",
    "camera-raw/nikon_like.nef": "camera raw",
    "tape-and-camera/photo.cr3": r"camera raw \(Canon CR3\)",
    "tape-and-camera/photo.heic": "an image in a format without a decoder here",
    "tape-and-camera/photo.jxl": "an image in a format without a decoder here",
}


@pytest.mark.real
@pytest.mark.parametrize("name", _READ)
def test_a_reported_picture_is_read_the_same_five_times(real_data: Path, name: str) -> None:
    path = real_data / "reported" / name
    decoded = [read_image(path) for _ in range(5)]
    assert (decoded[0].image.shape, decoded[0].meta.frames) == _READ[name]
    # Texts behind the pixels are met with the pixels.
    header = replace(read_header(path), metadata=decoded[0].meta.metadata)
    assert header == decoded[0].meta
    assert len({one.image.tobytes() for one in decoded}) == 1


@pytest.mark.real
@pytest.mark.parametrize("name", _REFUSED)
def test_a_reported_picture_is_refused_by_name(real_data: Path, name: str) -> None:
    path = real_data / "reported" / name
    for read in (read_image, read_header):
        with pytest.raises(ItemError, match=_REFUSED[name]):
            read(path)


@pytest.mark.real
def test_planes_of_16_bits_have_the_pixels_of_the_same_picture_side_by_side(real_data: Path) -> None:
    planes = read_image(real_data / "reported/broken/planar_16bit_RGB.tiff").image
    # Pillow's own test suite holds one picture in many layouts.
    assert np.array_equal(planes, read_image(real_data / "hostile/depth__pillow__tiff_16bit_RGB.tiff").image)


@pytest.mark.real
def test_gray_where_0_is_white_is_turned_over(real_data: Path) -> None:
    path = real_data / "reported/broken/miniswhite-16bit.tif"
    assert np.array_equal(read_image(path).image[:, :, 0], 65535 - tifffile.imread(path))


@pytest.mark.real
def test_text_changes_no_pixel(real_data: Path) -> None:
    folder = real_data / "reported/large-png-text"
    plain = np.asarray(PillowImage.open(folder / "plain.png"))
    assert all(np.array_equal(read_image(path).image, plain) for path in folder.glob("*.png"))


@pytest.mark.real
def test_every_hostile_picture_that_is_read_is_read_the_same_five_times(real_data: Path) -> None:
    unequal = []
    for path in sorted((real_data / "hostile").glob("*__*")):
        try:
            images = {read_image(path).image.tobytes() for _ in range(5)}
        except ItemError:
            continue
        if len(images) > 1:
            unequal.append(path.name)
    assert unequal == []


@pytest.mark.parametrize(
    "error",
    [
        AssertionError(),
        SystemError("tile cannot extend outside image"),
        MemoryError(),
        RecursionError(),
        ZeroDivisionError("division by zero"),
        KeyError(34712),
        cv2.error("(-215:Assertion failed)"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("stage", ["has_transparency_data", "load"])
def test_whatever_a_decoder_raises_is_the_items_error(
    error: Exception, stage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    PillowImage.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)

    def broken(*_: object) -> None:
        raise error

    patched = broken if stage == "load" else property(broken)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, stage, patched)
    with pytest.raises(ItemError, match=r"photo\.png: a damaged or truncated .*\. Export or copy"):
        read_image(path)


def test_counting_frames_that_fails_midway_leaves_the_first_frame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frames = [PillowImage.new("L", (4, 4), value) for value in (10, 200)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])

    def broken(picture: PillowImage.Image) -> int:
        picture.seek(1)
        raise OSError("damaged")

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "n_frames", property(broken))
    decoded = read_image(tmp_path / "two.gif")
    assert decoded.meta.frames == 1
    assert decoded.image[0, 0, 0] == 10
