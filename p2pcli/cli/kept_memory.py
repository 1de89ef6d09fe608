"""What a long job frees is kept for its next use, rather than given to the system and fetched again."""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt(3)."""

_KEPT_BYTES = 1 << 30
_OLD_LIMIT = 32 << 20
"""The highest threshold that older versions of glibc accept."""

_CHOSEN_ELSEWHERE = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GB that it has freed (Linux with glibc; elsewhere nothing happens).

    By default glibc returns each array of over 32 MB at once. A network on a CPU asks for the same arrays in
    every batch, and the system then clears every page of them again: up to a tenth of the processor's time.
    For a process of our own, not for one that imports p2p. What the environment says of it stands.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _CHOSEN_ELSEWHERE):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        if not mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES):
            mallopt(_M_MMAP_THRESHOLD, _OLD_LIMIT)
