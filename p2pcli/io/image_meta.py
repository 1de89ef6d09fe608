"""What the header of a picture says of it, told by Pillow's picture or by a TIFF's own directory."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ExifTags
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.io import colour, modes, tiff, tiff_samples
from p2pcli.io.metadata import exif_of, metadata_in, metadata_of_tiff

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


def meta_of(picture: PillowImage.Image, *, frames: int) -> ImageMeta:
    """What an opened picture of `frames` frames says.

    Raises `ItemError` for one without pixels or without its palette.
    """
    width, height = picture.size
    if width < 1 or height < 1:
        raise ItemError(f"a picture of {width}×{height} pixels holds nothing. Export it again.")
    orientation = orientation_of(picture)
    # Pillow tells a TIFF's size as it will be once turned upright, other formats' as stored.
    if picture.format == "TIFF" and orientation >= 5:
        width, height = height, width
    if picture.mode == "P" and picture.palette is None:
        raise ItemError("a palette picture without its palette before the pixels. Export it again.")
    profile = profile_of(picture)
    described = None if profile is None else colour.describe(profile)
    form = "JPEG" if picture.format == "MPO" else picture.format or "unknown"
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


def meta_of_page(chosen: tiff.Chosen) -> ImageMeta:
    """What the directory of a TIFF's picture says that is read by its samples.

    Raises `ItemError` for a layout of which no right pixels come.
    """
    page = chosen.page
    tiff_samples.require_readable(page)
    profile = page.profile
    return ImageMeta(
        format="TIFF",
        width=page.width,
        height=page.height,
        mode=tiff_samples.mode_of(page),
        bit_depth=page.bits[0],
        exif_orientation=page.orientation,
        icc_name=None if profile is None else colour.describe(profile).name,
        frames=chosen.pages,
        had_alpha=tiff_samples.alpha_place(page) is not None,
        is_plain=False,
        metadata=metadata_of_tiff(page.tags, has_dpi=page.has_dpi),
    )


def profile_of(picture: PillowImage.Image) -> bytes | None:
    """The embedded ICC profile as it is, or None."""
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def orientation_of(picture: PillowImage.Image) -> int:
    """EXIF orientation, 1 to 8.

    1 where EXIF is absent, broken or out of range: a picture is not lost for its metadata.
    """
    try:
        value = exif_of(picture).get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises whatever a broken EXIF block leads to; the pixels are not concerned
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def frames_of(picture: PillowImage.Image) -> int | None:
    """Frames or pages of an opened picture; None where counting failed, which leaves it at any of them."""
    # A phone's MPO is a JPEG followed by more pictures (depth, gain map) that are not frames of a film; what
    # a PSD counts are the layers of one picture.
    if picture.format in ("JPEG", "MPO", "PSD"):
        return 1
    try:
        return max(1, int(getattr(picture, "n_frames", 1)))
    except Exception:  # counting walks a hostile file; the first frame may still be whole
        return None
