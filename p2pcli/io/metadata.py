"""What a picture's file holds beside its pixels: EXIF, GPS, dpi, text, XMP, IPTC. Told from headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Set

from PIL import ExifTags
from PIL import Image as PillowImage

KINDS = ("EXIF", "GPS", "dpi", "text", "XMP", "IPTC")
"""The kinds that are told apart, in the order in which they are named."""

_TIFF_TEXTS = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Copyright,
    }
)
_CAMERA = frozenset({ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.IFD.Exif})
_X_RESOLUTION, _XMP, _IPTC, _PHOTOSHOP = 282, 700, 33723, 34377
_IPTC_RESOURCE = 0x0404
"""Its number among the resources of Photoshop, which carry it in a JPEG."""


def exif_of(picture: PillowImage.Image) -> PillowImage.Exif:
    """The first directory of an open picture's EXIF; of a TIFF the file's own. Damage may raise anything."""
    if picture.format == "PNG" and "exif" in picture.info:
        exif = PillowImage.Exif()
        exif.load(picture.info["exif"])
        return exif
    # The base class's own: that of PNG decodes the pixels to look for EXIF behind them.
    return PillowImage.Image.getexif(picture)


def metadata_in(picture: PillowImage.Image) -> frozenset[str]:
    """Which of `KINDS` an open picture's file holds; what stands behind a PNG's pixels once it is loaded.

    An orientation alone is no EXIF: it is applied.
    """
    try:
        return frozenset(_kinds(picture))
    except Exception:  # Pillow raises whatever a broken block leads to; the pixels are not concerned
        return frozenset()


def _kinds(picture: PillowImage.Image) -> Iterator[str]:
    info = picture.info
    if picture.format == "TIFF":
        yield from metadata_of_tiff(set(getattr(picture, "tag_v2", ())), has_dpi="dpi" in info)
        return
    exif = set(exif_of(picture)) - {ExifTags.Base.Orientation}
    photoshop = info.get("photoshop")
    # Of other formats Pillow keeps its own words there, such as the name of the compression.
    texts = {str(name) for name, value in info.items() if isinstance(value, str) and picture.format == "PNG"}
    plain = {name for name in texts if not name.startswith(("XML:com.adobe.xmp", "Raw profile type"))}
    yield from _named(
        {
            "EXIF": bool(exif) or "Raw profile type exif" in texts,
            "GPS": ExifTags.IFD.GPSInfo in exif,
            "dpi": ExifTags.Base.XResolution in exif or _says_dpi(picture),
            "text": bool(plain or info.get("comment")),
            "XMP": bool(info.get("xmp") or texts & {"XML:com.adobe.xmp", "Raw profile type xmp"}),
            "IPTC": "Raw profile type iptc" in texts
            or (isinstance(photoshop, dict) and _IPTC_RESOURCE in photoshop),
        }
    )


def _says_dpi(picture: PillowImage.Image) -> bool:
    info = picture.info
    # Where a JPEG says nothing, Pillow assumes 72; unit 0 is that of an aspect ratio.
    if picture.format in ("JPEG", "MPO") and not info.get("jfif_unit"):
        return False
    return any(value > 0 for value in info.get("dpi", ()))


def metadata_of_tiff(tags: Set[int], *, has_dpi: bool) -> frozenset[str]:
    """Which of `KINDS` a TIFF holds whose directory has these tags; `has_dpi`: with a unit of length."""
    return frozenset(
        _named(
            {
                "EXIF": bool(tags & _CAMERA),
                "GPS": ExifTags.IFD.GPSInfo in tags,
                "dpi": _X_RESOLUTION in tags and has_dpi,
                "text": bool(tags & _TIFF_TEXTS),
                "XMP": _XMP in tags,
                "IPTC": bool(tags & {_IPTC, _PHOTOSHOP}),
            }
        )
    )


def _named(found: dict[str, bool]) -> list[str]:
    return [name for name in KINDS if found[name]]
