"""Refusing NaN before the first step. Only pictures of 32-bit floats can hold it; all others are integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath

from p2pcli.errors import ItemError, NotFiniteError, UsageError, item_border
from p2pcli.io.base import Source
from p2pcli.io.codec import read_header

FLOAT_SUFFIXES = frozenset({".pfm", ".tif", ".tiff"})


def require_finite(
    path: Path,
    source: Source,
    keys: Iterable[str],
    *,
    reading: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Raise `UsageError` with file and values where a sample of `source`, below `path`, is not finite.

    Only samples named like a file of floats are read; of other files with such a suffix, only the header.
    What cannot be read for another reason is left for the run to record. Each is read within `reading(key)`.
    """
    files = (file for file in path.rglob("*") if file.suffix.lower() in FLOAT_SUFFIXES)
    names = {file.stem for file in files if _holds_floats(file)} if path.is_dir() else set()
    for key in keys if names else ():
        if PurePosixPath(key).name not in names:
            continue
        try:
            with item_border(key), reading(key):
                source.read(key)
        except NotFiniteError as error:
            raise UsageError(f"{path}: {key}: {error}") from None
        except ItemError:
            continue


def _holds_floats(file: Path) -> bool:
    try:
        with item_border(file.name):
            return read_header(file).mode == "F"
    except ItemError:
        return False
