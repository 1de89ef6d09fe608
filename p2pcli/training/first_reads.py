"""What is decoded for the first time just now, on record for the case that the process dies of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from p2pcli.errors import ItemError
from p2pcli.io.in_work import InWork


class FirstReads:
    """Records first decodings and refuses what is known to be deadly. Safe from many threads."""

    def __init__(self, in_work: InWork | None = None, deadly: Mapping[str, str] | None = None) -> None:
        """`in_work` None records nothing. `deadly`: name → why a picture is not to be read."""
        self._in_work = in_work
        self._deadly = dict(deadly or {})
        self._read: set[str] = set()

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """The picture `name` is decoded inside. Raises `ItemError` where it is known to be deadly."""
        if name in self._deadly:
            raise ItemError(f"{name}: {self._deadly[name]}")
        if self._in_work is None or name in self._read:
            yield
            return
        self._in_work.begin(name, mark="")
        try:
            yield
        finally:
            # A picture that was decoded once is not asked about again: later readings cost nothing.
            self._read.add(name)
            self._in_work.end(name)
