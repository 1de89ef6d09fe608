"""What is written is what is read back; what a format cannot hold is refused."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import UsageError
from p2pcli.image import Image
from p2pcli.io.codec import ENCODABLE, encode, read_header, read_image
from p2pcli.io.encoders import can_hold

_LOSSY = {"JPEG", "AVIF", "GIF"}
_GRAY_AS_RGB = {"WEBP", "AVIF", "QOI"}


def _image(channels: int, dtype: type) -> Image:
    image = np.random.default_rng(channels).integers(0, np.iinfo(dtype).max + 1, (16, 24, channels))
    if channels == 4:
        image[:4, :, 3] = 0
    return image.astype(dtype)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ENCODABLE)
def test_every_format_gives_back_what_it_can_hold_and_refuses_the_rest(
    suffix: str, dtype: type, channels: int
) -> None:
    image = _image(channels, dtype)
    form = ENCODABLE[suffix]
    if not can_hold(image, suffix):
        with pytest.raises(UsageError, match="cannot hold"):
            encode(image, suffix)
        return
    read = read_image(encode(image, suffix)).image
    if form.name not in _LOSSY:
        assert np.array_equal(read, np.repeat(image, 3, axis=2) if read.shape[2] > channels else image)
        assert read.shape[2] == channels or form.name in _GRAY_AS_RGB
    else:
        assert read.shape[:2] == image.shape[:2]


def test_jpeg_keeps_the_full_resolution_of_colour() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2, 0] = 255
    read = read_image(encode(image, ".jpg")).image
    assert np.abs(read.astype(int) - image).max() < 12


def test_the_same_image_gives_the_same_bytes() -> None:
    image = _image(3, np.uint8)
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        assert encode(image, suffix) == encode(image.copy(), suffix)


def _of_kind(kind: str, channels: int) -> Image:
    """Soft shapes under sensor noise, flat areas, or thin lines; (96, 128, channels) uint8."""
    noise = np.random.default_rng(5).integers(0, 256, (96, 128, channels), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3.0).reshape(noise.shape)
    if kind == "photo":
        shapes = cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).reshape(noise.shape)
        return shapes + noise // np.uint8(32)
    level = np.where(smooth > 127, 255, 0).astype(np.uint8)
    return level if kind == "flat" else np.where(np.roll(level, 1, axis=1) != level, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["photo", "flat", "lines"])
def test_the_fastest_png_keeps_every_pixel_and_is_hardly_larger_than_opencvs(kind, channels) -> None:
    image = _of_kind(kind, channels)
    fast = encode(image, ".png", png_compression=None)
    assert np.array_equal(read_image(fast).image, image)
    assert len(fast) < 1.05 * len(cv2.imencode(".png", image)[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_fastest_png_takes_any_size(shape, dtype) -> None:
    image = np.full((*shape, 3), 9, dtype)
    assert np.array_equal(read_image(encode(image, ".png", png_compression=None)).image, image)


def test_quality_changes_the_size_of_a_jpeg() -> None:
    image = _image(3, np.uint8)
    assert len(encode(image, ".jpg", quality=50)) < len(encode(image, ".jpg", quality=95))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_profile_is_embedded(suffix: str) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(_image(3, np.uint8), suffix, icc=profile)
    assert PillowImage.open(io.BytesIO(data)).info["icc_profile"] == profile
    assert "sRGB" in (read_header(data).icc_name or "")


def test_alpha_in_a_jpeg_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"'\.jpg' cannot hold transparency\. Write PNG or TIFF instead"):
        encode(_image(4, np.uint8), ".jpg")


def test_an_unknown_suffix_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"cannot be written as '\.jpgg'\. Did you mean '\.jpg'\?"):
        encode(_image(3, np.uint8), ".jpgg")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_other_readers_understand_the_16_bit_tiff(channels: int) -> None:
    data = encode(_image(channels, np.uint16), ".tif")
    with PillowImage.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.mode == {1: "I;16", 3: "RGB", 4: "RGBA"}[channels]
