"""Decoded pictures at load size, kept in memory up to a limit; what does not fit is decoded every time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from p2pcli.training.augment import Loaded

CACHE_BYTES = 1 << 30


class LoadedCache:
    """Name → what was loaded. Safe from many threads."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: dict[str, Loaded] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str, load: Callable[[], Loaded]) -> Loaded:
        """What is kept under `name`, or what `load` gives, which is then kept if it fits."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        loaded = load()
        with self._lock:
            if self._bytes + loaded.size_bytes <= self._limit and name not in self._kept:
                self._kept[name] = loaded
                self._bytes += loaded.size_bytes
        return loaded
