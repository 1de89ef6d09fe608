"""Opening a file with Pillow: which of its formats are tried, and in words what a file is that none takes."""

from __future__ import annotations

import functools
import struct
from typing import IO

from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.io import tiff
from p2pcli.io.sniff import HEAD_BYTES, sniff

# EPS starts Ghostscript and WMF calls Windows; the others are recognised by Pillow but have no decoder.
_REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})


def open_picture(file: IO[bytes]) -> PillowImage.Image:
    """A lazily opened picture. Goes around `PIL.Image.open`, whose pixel limit is a global of the process."""
    head = file.read(HEAD_BYTES)
    if not head:
        raise ItemError("an empty file (0 bytes). Export or copy it again.")
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
            broken = broken or (f"{identifier}: {reason_of(error)}" if accept else "")
        except PillowImage.DecompressionBombError as error:
            raise ItemError(
                f"a {identifier} that announces too many pixels ({reason_of(error)}). Scale it down."
            ) from error
        except Exception as error:  # the per-image border
            raise ItemError(
                f"a {identifier} whose header is damaged ({reason_of(error)}). Export or copy it again."
            ) from error
    raise ItemError(_what_else(head, broken))


def _identifiers_for(head: bytes) -> tuple[str, ...]:
    # Loading the plugins of all formats takes a worker a tenth of a second.
    PillowImage.preinit()
    if head.startswith(b"\xff\xd8\xff"):
        return ("JPEG",)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ("PNG",)
    if head.startswith(tiff.STARTS):
        return ("TIFF",)
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


def reason_of(error: BaseException) -> str:
    """What an error says, in a few words of one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0][:160].rstrip(".")
