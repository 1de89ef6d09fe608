"""ICC profiles: made here, byte by byte, so that their meaning is known."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms

from p2pcli.io import colour
from p2pcli.io.codec import encode, read_header, read_image

# D50-adapted primaries (XYZ columns) of Display P3 and of ProPhoto RGB (ROMM, ISO 22028-2).
_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
_PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC v4 display profile with these tags (ICC.1:2010, 7.2 and 7.3)."""
    text = "made here".encode("utf-16-be")
    description = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": description, b"wtpt": b"XYZ " + bytes(4) + _fixed(0.9642, 1.0, 0.8249), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4s4s4s4s4s", 0, bytes(4), b"\x04\x30\0\0", b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249) + bytes(48)
    whole = header + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def _parametric(kind: int, *values: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*values)


def _matrix_profile(columns: tuple[tuple[float, ...], ...], curve: bytes) -> bytes:
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {name: b"XYZ " + bytes(4) + _fixed(*xyz) for name, xyz in zip(names, columns, strict=True)}
    return _profile(b"RGB ", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


P3 = _matrix_profile(_P3, _parametric(3, *_SRGB_CURVE))
PROPHOTO = _matrix_profile(_PROPHOTO, b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)))
GRAY_18 = _profile(b"GRAY", {b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256))})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_COLOURS = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_an_srgb_profile_changes_nothing_and_leaves_the_file_plain() -> None:
    data = encode(_COLOURS, ".png", icc=SRGB)
    assert read_header(data).is_plain
    assert np.array_equal(read_image(data).image, _COLOURS)


def test_the_name_of_the_profile_is_told() -> None:
    assert read_header(encode(_COLOURS, ".png", icc=P3)).icc_name == "made here"


def test_display_p3_red_is_more_than_srgb_red_and_gray_stays_gray() -> None:
    pixels = np.array([[[230, 60, 60], [128, 128, 128]]], dtype=np.uint8)
    decoded = read_image(encode(pixels, ".png", icc=P3))
    # The P3 → sRGB matrix (1.2249, −0.2247, 0; −0.0420, 1.0419, 0; −0.0197, −0.0786, 1.0979) by hand:
    # linear (0.7913, 0.0452, 0.0452) → (0.9592, 0.0139, 0.0305) → 251, 31, 49.
    assert np.abs(decoded.image[0, 0].astype(int) - [251, 31, 49]).max() <= 2
    assert np.abs(decoded.image[0, 1].astype(int) - 128).max() <= 1
    assert not decoded.meta.is_plain


def test_a_profile_can_be_left_aside() -> None:
    assert np.array_equal(read_image(encode(_COLOURS, ".png", icc=P3), icc=False).image, _COLOURS)


@pytest.mark.parametrize("profile", [P3, PROPHOTO], ids=["p3", "prophoto"])
def test_16_bit_colours_agree_with_littlecms(profile: bytes) -> None:
    wide = read_image(encode(_COLOURS.astype(np.uint16) * 257, ".tif", icc=profile)).image
    narrow = read_image(encode(_COLOURS, ".png", icc=profile)).image
    assert wide.dtype == np.uint16
    assert np.abs(wide / 257 - narrow).max() <= 1.01


def test_16_bit_gray_follows_its_curve() -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16)[None, :, None]
    wide = colour.array_to_srgb(ramp, GRAY_18)
    linear = (ramp / 65535) ** (round(1.8 * 256) / 256)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(wide / 65535 - expected).max() < 1e-4


def test_8_bit_gray_stays_one_channel_and_follows_its_curve() -> None:
    gray = np.full((4, 4, 1), 100, dtype=np.uint8)
    read = read_image(encode(gray, ".png", icc=GRAY_18)).image
    assert read.shape == (4, 4, 1)
    assert abs(int(read[0, 0, 0]) - 118) <= 1  # (100/255)^1.8 = 0.185 linear, sRGB 0.467 = 119


def test_gray_with_alpha_follows_a_gray_profile() -> None:
    picture = PillowImage.merge(
        "RGBA", [PillowImage.new("L", (4, 4), 100)] * 3 + [PillowImage.new("L", (4, 4), 7)]
    )
    converted = np.asarray(colour.pillow_to_srgb(picture, GRAY_18))
    assert abs(int(converted[0, 0, 0]) - 118) <= 1
    assert converted[0, 0, 3] == 7


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_not_a_colour(dtype: type) -> None:
    image = np.full((4, 4, 4), 50, dtype=dtype)
    assert (colour.array_to_srgb(image, P3)[:, :, 3] == 50).all()


@pytest.mark.parametrize("data", [b"", b"nonsense", P3[:100], SRGB[:200], bytes(200)])
def test_a_broken_profile_is_named_and_left_aside(data: bytes) -> None:
    assert colour.describe(data) == colour.Profile("unreadable", None, False)
    assert np.array_equal(colour.array_to_srgb(_COLOURS, data), _COLOURS)


def test_a_profile_of_another_colour_space_is_left_aside() -> None:
    assert np.array_equal(colour.array_to_srgb(_COLOURS, GRAY_18), _COLOURS)


@pytest.mark.parametrize(
    ("curve", "at_half"),
    [
        (b"curv" + bytes(4) + struct.pack(">I", 0), 0.5),
        (b"curv" + bytes(4) + struct.pack(">IH", 1, 512), 0.25),
        (b"curv" + bytes(4) + struct.pack(">IHHH", 3, 0, 6554, 65535), 0.1),
        (_parametric(0, 2.0), 0.25),
        (_parametric(1, 2.0, 2.0, -0.5), 0.25),
        (_parametric(2, 2.0, 2.0, -0.5, 0.1), 0.35),
        (_parametric(3, *_SRGB_CURVE), 0.2140),
        (_parametric(4, 2.0, 1.0, 0.0, 0.5, 0.6, 0.0, 0.1), 0.35),
    ],
)
def test_tone_curves_follow_the_standard(curve: bytes, at_half: float) -> None:
    assert colour._curve(curve)[32768] == pytest.approx(at_half, abs=2e-4)


@pytest.mark.parametrize("exponent", [-2.0, 30000.0])
def test_a_hostile_curve_gives_colours_and_no_warning(exponent: float) -> None:
    hostile = _matrix_profile(_P3, _parametric(4, exponent, 1.0, -1.0, 9.0, 0.2, 5.0, 5.0))
    assert colour.array_to_srgb(np.zeros((2, 2, 3), np.uint16), hostile).dtype == np.uint16


def _cmyk_profile() -> bytes:
    """No ink is white, full cyan alone is middle gray, every other corner black; PCS Lab, 8-bit tables."""
    ramp = bytes(range(256))
    corners = {0: (255, 128, 128), 8: (128, 128, 128)}  # the first channel varies slowest
    table = b"".join(bytes(corners.get(node, (0, 128, 128))) for node in range(16))
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + table + ramp * 3
    profile = bytearray(_profile(b"CMYK", {b"A2B0": lut}))
    profile[12:16], profile[20:24] = b"prtr", b"Lab "
    return bytes(profile)


@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_cmyk_follows_its_profile(form: str) -> None:
    picture = PillowImage.new("CMYK", (16, 8), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 0), (8, 0, 16, 8))
    buffer = io.BytesIO()
    picture.save(buffer, form, icc_profile=_cmyk_profile())
    image = read_image(buffer.getvalue()).image
    assert image.shape == (8, 16, 3)
    assert (image[4, 2] >= 254).all()
    # L* = 50.2 is 119 in sRGB; the plain formula would give (0, 255, 255).
    assert np.abs(image[4, 13].astype(int) - 119).max() <= 3
