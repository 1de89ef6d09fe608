"""What files hold beside the pixels of their first picture: told by header, counted by file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, PngImagePlugin, TiffImagePlugin
from PIL import Image as PillowImage

from p2pcli.io.codec import read_header, read_image
from p2pcli.io.left_out import LeftOut, metadata_text, pictures_text

PICTURE = PillowImage.new("RGB", (24, 16), (200, 30, 60))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def exif(**tags: Any) -> PillowImage.Exif:
    found = PillowImage.Exif()
    for name, value in tags.items():
        found[ExifTags.Base[name]] = value
    return found


def located() -> PillowImage.Exif:
    found = exif(Make="Camera Co")
    found.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return found


def saved(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, form, **options)
    return buffer.getvalue()


def png_with_texts(**texts: str) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for name, value in texts.items():
        chunks.add_text(name, value)
    return saved("PNG", pnginfo=chunks)


def png_with_text_behind_its_pixels() -> bytes:
    content = saved("PNG")
    body = b"tEXtparameters\0a lake, steps: 20"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:-12] + chunk + content[-12:]


def tiff(**tags: Any) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        directory[int(name.removeprefix("tag"))] = value
    return saved("TIFF", tiffinfo=directory)


def jpeg_with_iptc() -> bytes:
    record = b"8BIM" + struct.pack(">HHI", 0x0404, 0, 8) + b"\x1c\x02\x69\0\x03Day"
    block = b"Photoshop 3.0\0" + record
    content = saved("JPEG")
    return content[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + content[2:]


def without_jfif(content: bytes) -> bytes:
    """The JPEG as a camera writes it: EXIF and no JFIF segment."""
    assert content[2:4] == b"\xff\xe0"
    return content[:2] + content[4 + struct.unpack(">H", content[4:6])[0] :]


NOTHING: set[str] = set()
CASES: dict[str, tuple[bytes, set[str]]] = {
    "plain jpg": (saved("JPEG"), NOTHING),
    "plain png": (saved("PNG"), NOTHING),
    "plain webp": (saved("WEBP"), NOTHING),
    "plain tiff": (saved("TIFF"), NOTHING),
    "lzw tiff": (saved("TIFF", compression="tiff_lzw"), NOTHING),
    "plain bmp": (saved("BMP", dpi=(0, 0)), NOTHING),
    "plain gif": (saved("GIF"), NOTHING),
    "plain tga": (saved("TGA", compression="tga_rle"), NOTHING),
    "jpg turned": (saved("JPEG", exif=exif(Orientation=6)), NOTHING),
    "jpg dpi": (saved("JPEG", dpi=(300, 300)), {"dpi"}),
    "jpg comment": (saved("JPEG", comment=b"box 7"), {"text"}),
    "jpg exif": (saved("JPEG", exif=exif(Make="Camera Co")), {"EXIF"}),
    "jpg exif dpi gps": (saved("JPEG", exif=located(), dpi=(300, 300)), {"EXIF", "GPS", "dpi"}),
    "jpg exif alone": (without_jfif(saved("JPEG", exif=exif(Make="Camera Co"))), {"EXIF"}),
    "jpg exif resolution": (saved("JPEG", exif=exif(XResolution=300.0)), {"EXIF", "dpi"}),
    "jpg xmp": (saved("JPEG", xmp=XMP), {"XMP"}),
    "jpg iptc": (jpeg_with_iptc(), {"IPTC"}),
    "png dpi": (saved("PNG", dpi=(300, 300)), {"dpi"}),
    "png exif": (saved("PNG", exif=located()), {"EXIF", "GPS"}),
    "png text": (png_with_texts(parameters="a lake"), {"text"}),
    "png xmp": (png_with_texts(**{"XML:com.adobe.xmp": XMP.decode()}), {"XMP"}),
    "webp exif xmp": (saved("WEBP", exif=located(), xmp=XMP), {"EXIF", "GPS", "XMP"}),
    "gif comment": (saved("GIF", comment=b"hello"), {"text"}),
    "tiff dpi": (saved("TIFF", dpi=(300, 300)), {"dpi"}),
    "tiff text": (tiff(tag270="A lake", tag33432="(c)"), {"text"}),
    "tiff camera": (tiff(tag271="Camera Co"), {"EXIF"}),
    "tiff xmp": (tiff(tag700=XMP), {"XMP"}),
}


@pytest.mark.parametrize("case", CASES)
def test_headers_tell_what_a_file_holds(case: str) -> None:
    content, expected = CASES[case]
    assert read_header(content).metadata == expected
    assert read_image(content).meta.metadata == expected


def test_texts_behind_the_pixels_of_a_png_are_found_once_it_is_read() -> None:
    assert read_image(png_with_text_behind_its_pixels()).meta.metadata == {"text"}


def test_a_broken_exif_block_is_no_news() -> None:
    content = saved("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_image(content).meta.metadata <= {"EXIF"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scan.jpg", {"EXIF", "GPS", "dpi", "text", "XMP"}),
        ("scan.png", {"EXIF", "GPS", "dpi", "text"}),
        ("scan.tif", {"EXIF", "dpi", "text"}),
        ("scan.webp", {"EXIF", "GPS", "XMP"}),
    ],
)
def test_scans_of_strangers_are_told_by_kind(real_data: Path, name: str, expected: set[str]) -> None:
    assert read_image(real_data / "reported" / "metadata" / name).meta.metadata == expected


def test_a_file_counts_once() -> None:
    found, again = LeftOut(), LeftOut()
    meta = read_header(CASES["jpg exif dpi gps"][0])
    for name in ("a.jpg", "a.jpg", "b.jpg"):
        found.add(name, meta)
    again.take([found, found])
    assert again.counts() == {"EXIF": 2, "GPS": 2, "dpi": 2}


def test_further_pictures_are_counted_and_named() -> None:
    found = LeftOut()
    buffer = io.BytesIO()
    PICTURE.save(buffer, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)] * 2)
    for name in ("d.tif", "a.tif", "c.tif", "b.tif"):
        found.add(name, read_header(buffer.getvalue()))
    assert found.counts() == {"pictures": 8}
    assert pictures_text(found.pictures, done="read") == (
        "several pictures in one file, of which the first alone was read: a.tif (3), b.tif (3), c.tif (3) "
        "and 1 more"
    )


def test_the_sentence_counts_files_by_kind() -> None:
    assert metadata_text({"text": 1, "EXIF": 3, "pictures": 7}) == "EXIF (3 files), text (1 file)"
    assert metadata_text({}) == pictures_text({}, done="read") == ""
