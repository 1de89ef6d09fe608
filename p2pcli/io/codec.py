"""From encoded bytes to an upright sRGB array, and back: the one place where images are decoded.

Every rule of reading is here: header and pixel limit before pixels, strict decoding, EXIF orientation, ICC.
Files are opened in `p2pcli.io.opening`, and what their headers say is in `p2pcli.io.image_meta`; the pictures
of a TIFF are told apart in `p2pcli.io.tiff`, modes in `p2pcli.io.modes`, profiles in `p2pcli.io.colour`,
encoders in `p2pcli.io.encoders`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io import camera_raw, colour, id_maps, modes, png, tiff, tiff_samples
from p2pcli.io.base import MAX_PIXELS
from p2pcli.io.encoders import ENCODABLE, encode
from p2pcli.io.image_meta import ImageMeta, frames_of, meta_of, meta_of_page, orientation_of, profile_of
from p2pcli.io.jpeg_header import HEAD_BYTES as JPEG_HEAD_BYTES
from p2pcli.io.jpeg_header import metadata_of_plain, plain_jpeg
from p2pcli.io.metadata import metadata_in
from p2pcli.io.opening import open_picture, reason_of
from p2pcli.io.sniff import HEAD_BYTES, sniff

__all__ = [
    "ENCODABLE",
    "HEAD_BYTES",
    "MAX_PIXELS",
    "Decoded",
    "ImageMeta",
    "encode",
    "read_header",
    "read_image",
    "sniff",
]

# Both would print to stderr, in the middle of a progress bar; what they say comes as an ItemError.
logging.getLogger("PIL").addHandler(logging.NullHandler())
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class Decoded:
    """An image (H, W, C), uint8 or uint16, RGB order, upright, sRGB, and what its file's header said."""

    image: Image
    meta: ImageMeta


def read_header(path_or_bytes: Path | str | bytes) -> ImageMeta:
    """What the header says, without decoding a pixel. Raises `ItemError` where it is no readable image."""
    name = _name_of(path_or_bytes)
    with _opened(path_or_bytes, name) as file, _as_item_error(name):
        if (plain := _plain_meta(file)) is not None:
            return plain
        _silence_pillow()
        chosen = _chosen_of_tiff(file)
        if chosen is not None and not tiff_samples.pillow_reads(chosen):
            return meta_of_page(chosen)
        with _described(file, chosen) as (_, meta):
            return meta


def read_image(
    path_or_bytes: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, icc: bool = True, ids: bool = False
) -> Decoded:
    """Decode the first frame of an image: upright and, with `icc`, in sRGB.

    With `ids` the pixels are the values that the file stores, as label maps want them: palette indices, bits
    and small samples unscaled, in one channel; nothing is converted to sRGB. A JPEG has none.

    Of a TIFF the largest full picture is read, never a preview; camera raw is refused. Gray stays one
    channel, transparency gives a fourth, 16 bit stays uint16. CMYK without a profile is converted by the
    plain formula. Raises `ItemError` for bytes that are no image, are damaged or cut short, are laid out in a
    way of which no right pixels come, or hold more than `max_pixels` pixels; the limit is checked before
    anything is decoded.
    """
    name = _name_of(path_or_bytes)
    with _opened(path_or_bytes, name) as file, _as_item_error(name) as found:
        if (plain := _plain_meta(file)) is not None:
            _check_size((plain.width, plain.height), max_pixels)
            _require_whole(plain.format, ids=ids)
            if (pixels := _decode_jpeg(file, plain.mode)) is not None:
                return Decoded(pixels, plain)
            file.seek(0)
        _silence_pillow()
        chosen = _chosen_of_tiff(file)
        if chosen is not None and not tiff_samples.pillow_reads(chosen):
            _check_size((chosen.page.width, chosen.page.height), max_pixels)
            found.append(meta := meta_of_page(chosen))
            return Decoded(_decode_samples(file, chosen, icc=icc and not ids), meta)
        try:
            return _read_with_pillow(file, chosen, max_pixels, found, icc=icc, ids=ids)
        except ItemError:
            raise
        except Exception:
            # Pillow gives up on large text, though no pixel depends on it.
            lighter = png.without_large_chunks(file)
            if lighter is None:
                raise
        return _read_with_pillow(lighter, None, max_pixels, found, icc=icc, ids=ids)


def _require_whole(form: str | None, *, ids: bool) -> None:
    """Raise `ItemError` for label maps in a format that changes values: no id is nearly right."""
    if ids and form in ("JPEG", "MPO"):
        raise ItemError(
            "a JPEG, which does not keep the numbers of a label map. Save label maps as PNG; where their "
            "colours are labels, name them: data.palette."
        )


def _read_with_pillow(
    file: IO[bytes],
    chosen: tiff.Chosen | None,
    max_pixels: int,
    found: list[ImageMeta],
    *,
    icc: bool,
    ids: bool,
) -> Decoded:
    """The picture that Pillow opens; what its header says goes to `found` before a pixel is decoded."""
    with _described(file, chosen) as (picture, meta):
        found.append(meta)
        _check_size(picture.size, max_pixels)
        _require_whole(picture.format, ids=ids)
        bits = id_maps.sample_bits(picture) if ids else 0
        profile = profile_of(picture) if icc and not ids else None
        image = _decode(picture, file, meta, profile, max_pixels)
        stored = id_maps.stored_ids(picture, bits) if ids else None
        if stored is not None:
            image = _upright(stored, orientation_of(picture))
        # EXIF may stand behind the pixels of a PNG, and so may texts.
        if picture.format == "PNG":
            turned = orientation_of(picture)
            is_plain = meta.is_plain and turned == 1
            beside = metadata_in(picture)
            meta = replace(meta, exif_orientation=turned, is_plain=is_plain, metadata=beside)
    return Decoded(image, meta)


def _plain_meta(file: IO[bytes]) -> ImageMeta | None:
    """What Pillow would say of a JPEG without metadata, in a fraction of its time; None for all others."""
    head = file.read(JPEG_HEAD_BYTES)
    file.seek(0)
    plain = plain_jpeg(head)
    if plain is None:
        return None
    return ImageMeta(
        format="JPEG",
        width=plain.width,
        height=plain.height,
        mode="L" if plain.channels == 1 else "RGB",
        bit_depth=8,
        exif_orientation=1,
        icc_name=None,
        frames=1,
        had_alpha=False,
        is_plain=True,
        metadata=metadata_of_plain(head),
    )


def _chosen_of_tiff(file: IO[bytes]) -> tiff.Chosen | None:
    """The picture of a TIFF to read, None for other formats. Raises `ItemError` for camera raw."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(tiff.STARTS):
        chosen = tiff.choose(file)
        file.seek(0)
        if chosen is None:
            raise ItemError("a TIFF whose directory of pictures is damaged. Export or copy it again.")
        return chosen
    if kind := camera_raw.raw_kind(head):
        camera_raw.refuse_raw(kind)
    return None


def _open(file: IO[bytes], chosen: tiff.Chosen | None) -> PillowImage.Image:
    """The picture as Pillow opens it: of a TIFF the chosen one, of a PNG without what is too large."""
    file.seek(0)
    if chosen is not None and not chosen.is_first:
        file = io.BytesIO(tiff.as_first(file.read(), chosen))
    try:
        picture = open_picture(file)
    except ItemError:
        lighter = png.without_large_chunks(file)
        if lighter is None:
            raise
        return _open(lighter, None)
    if isinstance(file, png.LightPng) and file.profile is not None:
        picture.info["icc_profile"] = file.profile
    return picture


@contextlib.contextmanager
def _described(file: IO[bytes], chosen: tiff.Chosen | None) -> Iterator[tuple[PillowImage.Image, ImageMeta]]:
    """The picture, not yet decoded, and what its header says; a TIFF's own directories count its pictures."""
    picture = _open(file, chosen)
    frames = chosen.pages if chosen is not None else frames_of(picture)
    if frames is None:
        picture, frames = _open(file, chosen), 1
    with picture:
        yield picture, meta_of(picture, frames=frames)


def _decode_samples(file: IO[bytes], chosen: tiff.Chosen, *, icc: bool) -> Image:
    profile = chosen.page.profile if icc else None
    stored = tiff_samples.read(file, chosen)
    image = _in_srgb(stored, profile) if isinstance(stored, np.ndarray) else modes.to_array(stored, profile)
    return _upright(image, chosen.page.orientation)


def _decode(
    picture: PillowImage.Image, file: IO[bytes], meta: ImageMeta, profile: bytes | None, max_pixels: int
) -> Image:
    if meta.format == "JPEG" and meta.mode in ("RGB", "L"):
        image = _decode_jpeg(file, meta.mode)
        if image is not None:
            return _upright(_in_srgb(image, profile), meta.exif_orientation)
    largest = modes.largest_value(picture, meta.bit_depth)
    modes.place_transparency(picture)
    picture.load()
    _check_size(picture.size, max_pixels)
    # Some formats keep EXIF behind the pixels (PNG), others are turned by Pillow while loading (TIFF).
    orientation = orientation_of(picture)
    if modes.needs_opencv(picture, meta.bit_depth):
        file.seek(0)
        wide = modes.decode_sixteen_bit(file.read(), picture, largest=largest)
        return _upright(_in_srgb(wide, profile), orientation)
    return _upright(modes.to_array(picture, profile), orientation)


def _decode_jpeg(file: IO[bytes], mode: str) -> Image | None:
    """The pixels of a JPEG, or None where OpenCV refuses it; the same pixels as Pillow's, faster."""
    file.seek(0)
    colours = cv2.IMREAD_GRAYSCALE if mode == "L" else cv2.IMREAD_COLOR_RGB
    data = np.frombuffer(file.read(), dtype=np.uint8)
    with contextlib.suppress(cv2.error):
        decoded = cv2.imdecode(data, colours | cv2.IMREAD_IGNORE_ORIENTATION)
        if decoded is not None:
            return decoded.reshape(*decoded.shape[:2], 1 if mode == "L" else 3)
    return None


def _in_srgb(image: Image, profile: bytes | None) -> Image:
    return image if profile is None else colour.array_to_srgb(image, profile)


def _upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ItemError(
            f"{width}×{height} is {width * height / 1e6:.0f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:g}. Scale it down, or raise the limit with --max-pixels."
        )


@contextlib.contextmanager
def _opened(path_or_bytes: Path | str | bytes, name: str) -> Iterator[IO[bytes]]:
    if isinstance(path_or_bytes, bytes):
        yield io.BytesIO(path_or_bytes)
        return
    path = Path(path_or_bytes)
    try:
        # A pipe or device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ItemError(f"{name}: not a regular file. Expected an image file.")
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise ItemError(
            f"{name}: cannot be read ({reason_of(error)}). Check the path and its permissions."
        ) from error
    with file:
        yield file


def _name_of(path_or_bytes: Path | str | bytes) -> str:
    return "the image" if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).name


@contextlib.contextmanager
def _as_item_error(name: str) -> Iterator[list[ImageMeta]]:
    """The per-image border: whatever a decoder raises becomes the `ItemError` of the item `name`.

    What the header said, as far as it was read, is put into the list that this yields.
    """
    found: list[ImageMeta] = []
    try:
        yield found
    except ItemError as error:
        raise type(error)(f"{name}: {error}") from None
    except Exception as error:  # a decoder may raise anything on hostile bytes
        what = f"{found[-1].format} of {found[-1].width}×{found[-1].height}" if found else "picture"
        raise ItemError(
            f"{name}: a damaged or truncated {what} ({reason_of(error)}). Export or copy the file again."
        ) from error


def _silence_pillow() -> None:
    """Leave Pillow's warnings aside: what they say is either checked here or harmless damage of metadata.

    `warnings.catch_warnings` is not safe among threads; adding a filter once is.
    """
    module = r"PIL\."
    if not any(
        entry[3] is not None and getattr(entry[3], "pattern", "") == module for entry in warnings.filters
    ):
        warnings.filterwarnings("ignore", module=module)
