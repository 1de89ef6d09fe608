"""Reading: upright, sRGB, strict, with its depth; whatever is damaged is an ItemError."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.codec import encode, read_header, read_image

_RNG = np.random.default_rng(0)
_RGB = _RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
_SMOOTH = np.stack(np.meshgrid(np.arange(0, 240, 4), np.arange(0, 160, 4)), -1).sum(-1, dtype=np.int64) // 2
_PHOTO = np.stack([_SMOOTH, 255 - _SMOOTH, _SMOOTH // 2], -1).astype(np.uint8)

# How a file must be stored so that this orientation makes it upright again: the inverse turns.
_STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def _saved(picture: PillowImage.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _with_orientation(image: Image, form: str, orientation: int) -> bytes:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    picture = PillowImage.fromarray(np.ascontiguousarray(_STORED[orientation](image)))
    lossless = {"lossless": True} if form == "WEBP" else {}
    return _saved(picture, form, exif=exif, **lossless)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_any_orientation_is_read_upright(form: str, orientation: int) -> None:
    decoded = read_image(_with_orientation(_RGB, form, orientation))
    assert np.array_equal(decoded.image, _RGB)
    assert decoded.meta.exif_orientation == orientation
    assert decoded.meta.upright_size == (9, 6)
    assert (decoded.meta.width, decoded.meta.height) == ((9, 6) if orientation < 5 else (6, 9))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_of_any_orientation_is_read_upright(orientation: int) -> None:
    data = _with_orientation(_PHOTO, "JPEG", orientation)
    expected = _PHOTO.astype(int)
    assert np.abs(read_image(data).image.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_out_of_range_is_ignored(orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    decoded = read_image(_saved(PillowImage.fromarray(_RGB), "PNG", exif=exif))
    assert decoded.meta.exif_orientation == 1
    assert np.array_equal(decoded.image, _RGB)


def test_exif_behind_the_pixels_of_a_png_turns_it_too() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = encode(_RGB, ".png")
    decoded = read_image(data[:-12] + chunk + data[-12:])
    assert decoded.image.shape == (9, 6, 3)
    assert not decoded.meta.is_plain


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize(
    "options", [{"quality": 90}, {"quality": 30, "progressive": True}, {"subsampling": 0}]
)
def test_jpeg_pixels_equal_pillows(gray: bool, options: dict[str, object]) -> None:
    data = _saved(PillowImage.fromarray(_PHOTO).convert("L" if gray else "RGB"), "JPEG", **options)
    expected = np.asarray(PillowImage.open(io.BytesIO(data)))
    assert np.array_equal(read_image(data).image, expected.reshape(40, 60, -1))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 4), ("P", 3), ("RGB", 3), ("RGBA", 4)],
)
def test_modes_come_as_gray_colour_or_colour_with_alpha(mode: str, channels: int) -> None:
    picture = PillowImage.fromarray(_PHOTO).convert(mode)
    expected = np.asarray(picture.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    decoded = read_image(_saved(picture, "PNG"))
    assert decoded.image.dtype == np.uint8
    assert np.array_equal(decoded.image, expected.reshape(40, 60, channels))
    assert decoded.meta.had_alpha is (channels == 4)


def test_a_transparent_palette_entry_gives_alpha() -> None:
    picture = PillowImage.fromarray(_PHOTO).convert("P")
    decoded = read_image(_saved(picture, "PNG", transparency=picture.getpixel((0, 0))))
    assert decoded.image.shape[2] == 4
    assert decoded.image[0, 0, 3] == 0


def test_cmyk_without_a_profile_comes_as_rgb() -> None:
    picture = PillowImage.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = read_image(_saved(picture, "TIFF"))
    assert decoded.image[0, 0].tolist() == [255, 0, 0]
    assert decoded.meta.mode == "CMYK"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm"])
def test_16_bit_colour_keeps_every_bit(suffix: str) -> None:
    image = _RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    decoded = read_image(encode(image, suffix))
    assert decoded.image.dtype == np.uint16
    assert np.array_equal(decoded.image, image)
    assert decoded.meta.bit_depth == 16


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_gray_keeps_every_bit(suffix: str) -> None:
    image = _RNG.integers(0, 65536, (5, 7, 1), dtype=np.uint16)
    assert np.array_equal(read_image(encode(image, suffix)).image, image)


def test_a_dark_16_bit_picture_stays_16_bit() -> None:
    image = np.full((4, 4, 3), 200, dtype=np.uint16)
    assert read_image(encode(image, ".png")).image.dtype == np.uint16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_16_bit_colour_tiff_is_turned_once(orientation: int) -> None:
    image = _RNG.integers(0, 65536, (6, 9, 3), dtype=np.uint16)
    data = bytearray(encode(np.ascontiguousarray(_STORED[orientation](image)), ".tif"))
    # RowsPerStrip (278) may be left out where there is one strip: its place goes to Orientation (274).
    place = data.index(struct.pack("<HHI", 278, 4, 1))
    data[place : place + 12] = struct.pack("<HHIHH", 274, 3, 1, orientation, 0)
    decoded = read_image(bytes(data))
    assert decoded.meta.exif_orientation == orientation
    assert np.array_equal(decoded.image, image)


def test_floats_from_0_to_1_come_as_16_bit() -> None:
    data = _saved(PillowImage.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "TIFF")
    assert read_image(data).image.ravel().tolist() == [0, 32768, 65535]


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 300.0], [float("nan"), 1.0]])
def test_floats_of_another_range_are_refused_with_their_range(values: list[float]) -> None:
    data = _saved(PillowImage.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    with pytest.raises(ItemError, match=r"32-bit float values from .* expected 0 to 1"):
        read_image(data)


def test_an_animation_gives_its_first_frame_and_their_number() -> None:
    frames = [PillowImage.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    decoded = read_image(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.meta.frames == 3
    assert decoded.image[0, 0, :3].tolist() == [255, 0, 0]
    assert not decoded.meta.is_plain


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_plain_files_are_told_from_their_header(form: str) -> None:
    assert read_header(_saved(PillowImage.fromarray(_PHOTO), form)).is_plain


@pytest.mark.parametrize(
    "data",
    [
        _saved(PillowImage.fromarray(_PHOTO), "BMP"),
        _saved(PillowImage.fromarray(_PHOTO).convert("RGBA"), "PNG"),
        _saved(PillowImage.fromarray(_PHOTO).convert("P"), "PNG"),
        _saved(PillowImage.fromarray(_PHOTO).convert("CMYK"), "JPEG"),
        _with_orientation(_PHOTO, "JPEG", 6),
        encode(_PHOTO.astype(np.uint16), ".png"),
    ],
    ids=["bmp", "alpha", "palette", "cmyk", "turned", "16 bit"],
)
def test_what_has_to_be_changed_is_not_plain(data: bytes) -> None:
    assert not read_header(data).is_plain


def test_the_header_is_read_without_the_pixels() -> None:
    data = encode(np.zeros((300, 400, 3), np.uint8), ".png")
    meta = read_header(data[:60])
    assert (meta.format, meta.width, meta.height, meta.bit_depth) == ("PNG", 400, 300, 8)


def test_the_pixel_limit_is_checked_before_decoding() -> None:
    # The pixels are missing altogether: only a check of the header can find the size.
    head = encode(np.zeros((300, 400, 3), np.uint8), ".png")[:60]
    with pytest.raises(ItemError, match=r"400×300 is 0 megapixels, more than the limit of 0\.1"):
        read_image(head, max_pixels=100_000)


def test_a_bomb_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(ItemError, match="40000 megapixels, more than the limit of 200"):
        read_image(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT" + bytes(13))


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF", "QOI", "TGA"]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_item_errors(form: str, share: float) -> None:
    noise = _RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = _saved(PillowImage.fromarray(noise), form)
    with pytest.raises(ItemError) as caught:
        read_image(data[: int(len(data) * share)])
    assert caught.value.stage == "read"


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "AVIF", "QOI", "TGA"]
)
def test_damaged_bytes_give_an_image_or_an_item_error_and_nothing_else(form: str) -> None:
    data = bytearray(_saved(PillowImage.fromarray(_PHOTO), form))
    for _ in range(60):
        hurt = bytearray(data)
        for place in _RNG.integers(0, len(hurt), 8):
            hurt[place] = _RNG.integers(0, 256)
        try:
            image = read_image(bytes(hurt), max_pixels=1_000_000).image
        except ItemError:
            continue
        assert image.ndim == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "an empty file (0 bytes)"),
        (b"bad", "not an image (it begins with b'bad')"),
        (b"hello, this is text", "not an image (it begins with b'hello, t')"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(64), "a video where an image was expected"),
        (b"\xff\x0a" + bytes(64), "a format without a decoder"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ItemError) as caught:
        read_image(path)
    assert str(caught.value).startswith("photo.jpg: ")
    assert sentence in str(caught.value)


def test_a_misnamed_file_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(_RGB, ".png"))
    assert read_image(path).meta.format == "PNG"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ItemError, match="not a regular file"):
        read_image(tmp_path / "pipe.jpg")


def test_a_missing_file_is_an_item_error(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"gone\.jpg: cannot be read \(No such file"):
        read_image(tmp_path / "gone.jpg")


def test_reading_leaves_pillows_pixel_limit_alone() -> None:
    before = PillowImage.MAX_IMAGE_PIXELS
    read_image(encode(_RGB, ".png"), max_pixels=100)
    assert before == PillowImage.MAX_IMAGE_PIXELS
