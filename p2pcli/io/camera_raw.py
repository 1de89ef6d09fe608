"""Which files are camera raw: a sensor's values that a developer has to make a picture of."""

from __future__ import annotations

from typing import NoReturn

from p2pcli.errors import ItemError

_STARTS = (
    (b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (b"IIRO", "Olympus ORF"),
    (b"IIRS", "Olympus ORF"),
    (b"MMOR", "Olympus ORF"),
    (b"IIU\0", "Panasonic RW2"),
    (b"\0MRM", "Minolta MRW"),
    (b"FOVb", "Sigma X3F"),
)
_MARKS = (
    (4, b"ftypcrx ", "Canon CR3"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (8, b"CR\x02", "Canon CR2"),
    (8, b"IIII", "Phase One IIQ"),
    (8, b"MMMM", "Phase One IIQ"),
)
_TIFF_STARTS = (b"II*\0", b"MM\0*")

_MAKERS_COMPRESSIONS = {
    9: "VC-5",
    32767: "Sony ARW",
    32769: "packed sensor values",
    32770: "Samsung SRW",
    34713: "Nikon NEF",
    34892: "lossy DNG",
    52546: "JPEG XL DNG",
    65000: "Kodak KDC",
    65535: "Pentax PEF",
}
"""TIFF compressions that only raw files have → whose they are."""
_SENSOR_PHOTOMETRICS = {32803: "mosaic of a sensor", 34892: "linear raw"}


def raw_kind(head: bytes) -> str | None:
    """Camera and kind ("Canon CR3") of a raw file that begins with `head`, or None.

    Raw files that are a TIFF in all but their pictures (DNG, NEF, ARW, PEF) are told by `sensor_kind`.
    """
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    for place, mark, kind in _MARKS:
        if head[place : place + len(mark)] == mark and (place != 8 or head.startswith(_TIFF_STARTS)):
            return kind
    return None


def sensor_kind(photometric: int | None, compression: int) -> str | None:
    """What makes a picture of a TIFF a sensor's values rather than colours, or None."""
    by_photometric = _SENSOR_PHOTOMETRICS.get(-1 if photometric is None else photometric)
    return by_photometric or _MAKERS_COMPRESSIONS.get(compression)


def refuse_raw(kind: str) -> NoReturn:
    """Raise the `ItemError` for a raw file of this kind."""
    raise ItemError(
        f"camera raw ({kind}): a sensor's values, and at most a small preview of the picture. "
        "Develop it to TIFF or JPEG first."
    )
