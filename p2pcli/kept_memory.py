"""What a long job frees is kept for its next use, rather than given to the system and fetched again."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEPT_BYTES = 1 << 30
"""The most that is kept."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt(3)."""

_OLD_LIMIT = 32 << 20
"""The highest threshold that older versions of glibc accept."""

_OWN_MAPPING_BYTES = 4 << 20
"""Arrays from this size on are given back at once while `arrays_freed_at_once`."""

_CHOSEN_ELSEWHERE = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")

_is_kept = False


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GB that it has freed (Linux with glibc; elsewhere nothing happens).

    By default glibc returns each array of over 32 MB at once. A network on a CPU asks for the same arrays in
    every batch, and the system then clears every page of them again: up to a tenth of the processor's time.
    For a process of our own, not for one that imports p2p. What the environment says of it stands.
    """
    global _is_kept
    libc = _glibc()
    if libc is None or any(name in os.environ for name in _CHOSEN_ELSEWHERE):
        return
    _is_kept = True
    _keep(libc)


def is_kept() -> bool:
    """True where `keep_freed_memory` was called, and had an effect."""
    return _is_kept


@contextmanager
def arrays_freed_at_once() -> Iterator[None]:
    """Inside, a process that keeps what it frees gives large arrays back at once.

    What is kept between arrays of other sizes cannot be used for them: a network that takes gigabytes would
    take up to three times as many. There clearing pages is the smaller cost.
    """
    libc = _glibc()
    if libc is None or not _is_kept:
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
    libc.malloc_trim(0)
    try:
        yield
    finally:
        _keep(libc)


def _glibc() -> Any | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _keep(libc: Any) -> None:
    libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    if not libc.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES):
        libc.mallopt(_M_MMAP_THRESHOLD, _OLD_LIMIT)
