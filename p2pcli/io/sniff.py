"""What a file is, told by its first bytes; suffixes are asked only where the bytes say nothing."""

from __future__ import annotations

from typing import Literal

from p2pcli.io.camera_raw import raw_kind

HEAD_BYTES = 512
"""How much of a file `sniff` wants to see."""

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc", ".fli", ".gif",
    ".heic", ".heif", ".icns", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg",
    ".jpx", ".jxl", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi",
    ".sgi", ".tga", ".tif", ".tiff", ".webp", ".xbm", ".xpm",
})
VIDEO_SUFFIXES = frozenset({
    ".264", ".265", ".266", ".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".av1", ".avc", ".avi", ".dif", ".divx",
    ".drc", ".dv", ".dvr-ms", ".evo", ".f4v", ".flv", ".h261", ".h263", ".h264", ".h265", ".h266", ".hevc",
    ".ivf", ".lrv", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mk3d", ".mkv",
    ".mov", ".mp2v", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv",
    ".qt", ".rm", ".rmvb", ".tod", ".ts", ".vc1", ".vob", ".vvc", ".webm", ".wmv", ".wtv", ".y4m",
})
JPEG_FILM_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
"""JPEG pictures one after the other begin like a single one: here the name alone tells a film."""
# fmt: on

_IMAGE_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"II+\x00",  # BigTIFF
    b"MM\x00+",
    b"\x00\x00\x00\x0cjP  \r\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"\x00\x00\x00\x0cJXL ",
    b"\xff\x0a",  # JPEG XL without a container
    b"8BPS",  # Photoshop
    b"DDS ",
    b"qoif",
    b"icns",
    b"\x01\xda",  # SGI
    b"\x59\xa6\x6a\x95",  # Sun raster
    b"\x76\x2f\x31\x01",  # OpenEXR
    b"#?RADIANCE",
    b"SIMPLE  =",  # FITS
    b"/* XPM */",
)
_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
    b"nut/multimedia container",
    b".RMF",  # RealMedia
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
    b"\x12\x00\x0a",  # AV1 units: a temporal delimiter, then a sequence header
    b"BBCD",  # Dirac
)
_UNIT_STARTS = (
    b"\xb0",  # MPEG-4 visual
    b"\x00\x00\x00\x01\x20",
    b"\x0f",  # VC-1
    b"\x67",
    b"\x27",
    b"\x47",
    b"\x06",
    b"\x09\x10",
    b"\x09\x30",
    b"\x09\x50",
    b"\x09\xf0",  # H.264
    b"\x40\x01",
    b"\x42\x01",
    b"\x46\x01",
    b"\x4e\x01",  # HEVC: parameters, delimiter, side information
    b"\x00\x71",
    b"\x00\x79",
    b"\x00\xa1",  # VVC
)
"""What follows the start code of a bare stream's first unit."""
_IMAGE_BRANDS = (
    b"avif",
    b"avis",
    b"mif1",
    b"msf1",
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"crx ",
)
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ", b"aax ")
_MOVIE_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_OGG_VIDEO_MARKS = (b"theora", b"fishead", b"OVP80", b"BBCD")


def sniff(head: bytes) -> Literal["image", "video"] | None:
    """The kind of file that begins with `head` (`HEAD_BYTES` of it), or None where the bytes do not tell.

    Animated images (GIF, WebP, APNG) are images, and so is camera raw, which reading refuses by name. TGA
    and a few others have no signature: None.
    """
    if head.startswith(_IMAGE_STARTS) or _is_weakly_marked_image(head) or raw_kind(head):
        return "image"
    if head.startswith(_VIDEO_STARTS):
        return "video"
    if head[:4] == b"RIFF":
        return _by_mark(head[8:12], image=(b"WEBP",), video=(b"AVI ", b"AMV ", b"ON2 "))
    if head[4:8] == b"ftyp":
        if head[8:12] in _AUDIO_BRANDS:
            return None
        return "image" if head[8:12] in _IMAGE_BRANDS else "video"
    if head[4:8] in _MOVIE_ATOMS:
        return "video"
    if head[:4] == b"OggS":
        return "video" if any(mark in head for mark in _OGG_VIDEO_MARKS) else None
    return "video" if _is_transport_stream(head) or _is_bare_stream(head) else None


def kind_of_content(head: bytes, suffix: str) -> Literal["image", "video"] | None:
    """`sniff`, with a look at the file's suffix where the bytes alone fit both kinds."""
    kind = sniff(head)
    return "video" if kind == "image" and is_jpeg_film(head, suffix) else kind


def is_jpeg_film(head: bytes, suffix: str) -> bool:
    """True for JPEG pictures that are a film's frames (.mjpeg)."""
    return head.startswith(b"\xff\xd8\xff") and suffix.lower() in JPEG_FILM_SUFFIXES


def kind_of_suffix(suffix: str) -> Literal["image", "video"] | None:
    """The kind of file that a suffix such as ".JPG" promises."""
    lower = suffix.lower()
    return "image" if lower in IMAGE_SUFFIXES else "video" if lower in VIDEO_SUFFIXES else None


def _is_weakly_marked_image(head: bytes) -> bool:
    """Formats whose signature is so short that more of the header has to fit."""
    if head[:2] == b"BM":
        return len(head) >= 26 and head[6:10] == bytes(4)
    if head[:4] in (b"\x00\x00\x01\x00", b"\x00\x00\x02\x00"):  # ICO, CUR
        return len(head) >= 22 and 0 < int.from_bytes(head[4:6], "little") < 256 and head[9] == 0
    if head[:1] == b"P" and head[1:2] in b"123456fF" and len(head) > 2:  # PBM … PFM
        return head[2:3] in b" \t\r\n#"
    return (
        len(head) >= 128 and head[0] == 10 and head[1] <= 5 and head[2] == 1 and head[3] in (1, 2, 4, 8)
    )  # PCX


def _is_transport_stream(head: bytes) -> bool:
    for offset, step in ((0, 188), (4, 192), (0, 204)):
        marks = head[offset::step][:3]
        if len(marks) == 3 and marks == b"\x47\x47\x47":
            return True
    return False


def _is_bare_stream(head: bytes) -> bool:
    """A codec's units without a container, or DV as it comes from a tape."""
    if head[:3] == b"\x1f\x07\x00" and head[3:4] in (b"\x3f", b"\xbf"):
        return True
    for start in (b"\x00\x00\x01", b"\x00\x00\x00\x01"):
        if head.startswith(start):
            return head[len(start) :].startswith(_UNIT_STARTS)
    return False


def _by_mark(
    mark: bytes, *, image: tuple[bytes, ...], video: tuple[bytes, ...]
) -> Literal["image", "video"] | None:
    return "image" if mark in image else "video" if mark in video else None
