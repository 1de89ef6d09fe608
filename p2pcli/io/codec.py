"""From encoded bytes to an upright sRGB array, and back: the one place where images are decoded.

Every rule of reading is here: header and pixel limit before pixels, strict decoding, EXIF orientation, ICC.
Modes are told apart in `p2pcli.io.modes`, profiles in `p2pcli.io.colour`, encoders in `p2pcli.io.encoders`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import stat
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import ExifTags
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io import colour, modes
from p2pcli.io.base import MAX_PIXELS
from p2pcli.io.encoders import ENCODABLE, encode
from p2pcli.io.jpeg_header import HEAD_BYTES as JPEG_HEAD_BYTES
from p2pcli.io.jpeg_header import metadata_of_plain, plain_jpeg
from p2pcli.io.metadata import exif_of, metadata_in
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

# EPS starts Ghostscript and WMF calls Windows; the others are recognised by Pillow but have no decoder.
_REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
_PLAIN_FORMATS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class ImageMeta:
    """What a file's header says. `width` × `height` is as stored, before the orientation is applied."""

    format: str
    """Pillow's name: "JPEG", "PNG", "WEBP", "TIFF", …"""
    width: int
    height: int
    mode: str
    """Pillow's mode: "RGB", "L", "P", "CMYK", "I;16", …"""
    bit_depth: int
    """Bits per channel as stored: 1, 8, 16 or 32."""
    exif_orientation: int
    """1 to 8; 1 where the file says nothing or nonsense."""
    icc_name: str | None
    """Description of the embedded ICC profile; "unreadable" where it is broken."""
    frames: int
    """Frames or pages in the file; the first one is read."""
    had_alpha: bool
    is_plain: bool
    """True where the bytes can be passed on untouched: an upright, still, sRGB, 8-bit RGB or gray JPEG, PNG
    or WebP without alpha."""
    metadata: frozenset[str] = frozenset()
    """What the file holds beside the pixels, of `metadata.KINDS`: no format that is written carries it on."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) of the decoded image."""
        return (self.height, self.width) if self.exif_orientation >= 5 else (self.width, self.height)


@dataclass(frozen=True)
class Decoded:
    """An image (H, W, C), uint8 or uint16, RGB order, upright, sRGB, and what its file's header said."""

    image: Image
    meta: ImageMeta


def read_header(path_or_bytes: Path | str | bytes) -> ImageMeta:
    """What the header says, without decoding a pixel. Raises `ItemError` where it is no readable image."""
    name = _name_of(path_or_bytes)
    with _opened(path_or_bytes, name) as file:
        if (plain := _plain_meta(file)) is not None:
            return plain
        _silence_pillow()
        with _open_picture(file, name) as picture:
            return _meta_of(picture, name)


def read_image(
    path_or_bytes: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, icc: bool = True
) -> Decoded:
    """Decode the first frame of an image: upright and, with `icc`, in sRGB.

    Gray stays one channel, transparency gives a fourth, 16 bit stays uint16. CMYK without a profile is
    converted by the plain formula. Raises `ItemError` for bytes that are no image, are damaged or cut
    short, or hold more than `max_pixels` pixels; the limit is checked before anything is decoded.
    """
    name = _name_of(path_or_bytes)
    with _opened(path_or_bytes, name) as file:
        if (plain := _plain_meta(file)) is not None:
            _check_size((plain.width, plain.height), max_pixels, name)
            if (pixels := _decode_jpeg(file, plain.mode)) is not None:
                return Decoded(pixels, plain)
            file.seek(0)
        _silence_pillow()
        with _open_picture(file, name) as picture:
            _check_size(picture.size, max_pixels, name)
            meta = _meta_of(picture, name)
            try:
                image = _decode(picture, file, meta, _profile_of(picture) if icc else None, max_pixels)
                # EXIF may stand behind the pixels of a PNG, and so may texts.
                if picture.format == "PNG":
                    turned = _orientation_of(picture)
                    is_plain = meta.is_plain and turned == 1
                    beside = metadata_in(picture)
                    meta = replace(meta, exif_orientation=turned, is_plain=is_plain, metadata=beside)
            except ItemError as error:
                raise type(error)(f"{name}: {error}") from None
            except Exception as error:  # the per-image border: a decoder may raise anything on hostile bytes
                raise ItemError(
                    f"{name}: a damaged or truncated {meta.format} of {meta.width}×{meta.height} "
                    f"({_reason(error)}). Export or copy the file again."
                ) from error
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


def _decode(
    picture: PillowImage.Image, file: IO[bytes], meta: ImageMeta, profile: bytes | None, max_pixels: int
) -> Image:
    if meta.format == "JPEG" and meta.mode in ("RGB", "L"):
        image = _decode_jpeg(file, meta.mode)
        if image is not None:
            return _upright(_in_srgb(image, profile), meta.exif_orientation)
    picture.load()
    _check_size(picture.size, max_pixels, "the decoded frame")
    # Some formats keep EXIF behind the pixels (PNG), others are turned by Pillow while loading (TIFF).
    orientation = _orientation_of(picture)
    if modes.needs_opencv(picture, meta.bit_depth):
        file.seek(0)
        wide = modes.decode_sixteen_bit(file.read(), picture)
        if wide is not None:
            return _upright(_in_srgb(wide, profile), orientation if meta.format != "TIFF" else 1)
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


def _open_picture(file: IO[bytes], name: str) -> PillowImage.Image:
    """A lazily opened picture. Goes around `PIL.Image.open`, whose pixel limit is a global of the process."""
    head = file.read(HEAD_BYTES)
    if not head:
        raise ItemError(f"{name}: an empty file (0 bytes). Export or copy it again.")
    broken = ""
    for identifier in _identifiers_for(head):
        factory, accept = PillowImage.OPEN[identifier]
        try:
            # Some ask for bytes that a file of three does not have.
            if accept is None or accept(head[:16].ljust(16, b"\0")) is True:
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            # Formats without a signature fail on everything that is not theirs: no news.
            broken = broken or (f"{identifier}: {_reason(error)}" if accept else "")
        except PillowImage.DecompressionBombError as error:
            raise ItemError(
                f"{name}: a {identifier} that announces too many pixels ({_reason(error)}). Scale it down."
            ) from error
        except Exception as error:  # the per-image border
            raise ItemError(
                f"{name}: a {identifier} whose header is damaged ({_reason(error)}). Export or copy it again."
            ) from error
    raise ItemError(f"{name}: {_what_else(head, broken)}")


def _identifiers_for(head: bytes) -> tuple[str, ...]:
    # Loading the plugins of all formats takes a worker a tenth of a second.
    PillowImage.preinit()
    if head.startswith(b"\xff\xd8\xff"):
        return ("JPEG",)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ("PNG",)
    return _identifiers()


@functools.lru_cache(maxsize=1)
def _identifiers() -> tuple[str, ...]:
    """Pillow's formats that may be opened, those without a signature last: they try to read anything."""
    PillowImage.init()
    return tuple(
        sorted(set(PillowImage.ID) - _REFUSED, key=lambda name: (PillowImage.OPEN[name][1] is None, name))
    )


def _what_else(head: bytes, broken: str) -> str:
    """The sentence for bytes that no decoder takes."""
    if "unknown pixel mode" in broken:
        return (
            f"a kind of pixels that is not read ({broken}), such as colours in 32-bit float. Save it with 8 "
            f"or 16 bits."
        )
    if broken:
        return f"a file whose header is damaged ({broken}). Export or copy it again."
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6", b"%PDF", b"\xd7\xcd\xc6\x9a")):
        return "a PostScript, PDF or WMF drawing; only pixel images are read. Export it as PNG first."
    if sniff(head) == "video":
        return "a video where an image was expected. Give it as a source of its own."
    if sniff(head) == "image":
        return (
            "an image in a format without a decoder here, or with a damaged header. Export it as PNG first."
        )
    return f"not an image (it begins with {head[:8]!r}). Expected JPEG, PNG, WebP, TIFF or the like."


def _meta_of(picture: PillowImage.Image, name: str) -> ImageMeta:
    width, height = picture.size
    if width < 1 or height < 1:
        raise ItemError(f"{name}: a picture of {width}×{height} pixels holds nothing. Export it again.")
    orientation = _orientation_of(picture)
    # Pillow tells a TIFF's size as it will be once turned upright, other formats' as stored.
    if picture.format == "TIFF" and orientation >= 5:
        width, height = height, width
    profile = _profile_of(picture)
    described = None if profile is None else colour.describe(profile)
    # A phone's MPO is a JPEG followed by more pictures (depth, gain map) that are not frames of a film.
    form = "JPEG" if picture.format == "MPO" else picture.format or "unknown"
    frames = 1 if form == "JPEG" else _frames_of(picture)
    bit_depth = modes.bit_depth(picture)
    had_alpha = modes.has_alpha(picture)
    is_plain = (
        form in _PLAIN_FORMATS
        and picture.mode in ("RGB", "L")
        and (bit_depth, orientation, frames, had_alpha) == (8, 1, 1, False)
        and (described is None or described.is_srgb or described.mode != picture.mode)
    )
    return ImageMeta(
        format=form,
        width=width,
        height=height,
        mode=picture.mode,
        bit_depth=bit_depth,
        exif_orientation=orientation,
        icc_name=described.name if described else None,
        frames=frames,
        had_alpha=had_alpha,
        is_plain=is_plain,
        metadata=metadata_in(picture),
    )


def _profile_of(picture: PillowImage.Image) -> bytes | None:
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _orientation_of(picture: PillowImage.Image) -> int:
    """1 where EXIF is absent, broken or out of range: a picture is not lost for its metadata."""
    try:
        value = exif_of(picture).get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises whatever a broken EXIF block leads to; the pixels are not concerned
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames_of(picture: PillowImage.Image) -> int:
    try:
        return max(1, int(getattr(picture, "n_frames", 1)))
    except Exception:  # counting walks a hostile file; the first frame may still be whole
        return 1


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ItemError(
            f"{name}: {width}×{height} is {width * height / 1e6:.0f} megapixels, more than the limit of "
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
            f"{name}: cannot be read ({_reason(error)}). Check the path and its permissions."
        ) from error
    with file:
        yield file


def _name_of(path_or_bytes: Path | str | bytes) -> str:
    return "the image" if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).name


def _reason(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0][:160].rstrip(".")


def _silence_pillow() -> None:
    """Leave Pillow's warnings aside: what they say is either checked here or harmless damage of metadata.

    `warnings.catch_warnings` is not safe among threads; adding a filter once is.
    """
    module = r"PIL\."
    if not any(
        entry[3] is not None and getattr(entry[3], "pattern", "") == module for entry in warnings.filters
    ):
        warnings.filterwarnings("ignore", module=module)
