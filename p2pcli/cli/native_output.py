"""Keeps what C libraries print about damaged files out of our own lines on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2


@contextmanager
def without_native_output() -> Iterator[None]:
    """Inside, whatever is written to file descriptor 2 goes nowhere; `sys.stderr` has a way of its own.

    libjpeg and libtiff write there themselves, past every log level. The descriptor belongs to the whole
    process, so it is moved once, before threads begin: around each decode, one thread's silence would
    swallow another's lines. Processes started inside inherit the silence. Where `sys.stderr` is not that
    descriptor (a notebook, a test), nothing is done.
    """
    if not _is_plain_stderr():
        yield
        return
    before = sys.stderr
    before.flush()
    own = os.dup(_STDERR)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, _STDERR)
    os.close(silence)
    sys.stderr = open(own, "w", buffering=1, encoding=before.encoding, errors=before.errors)  # noqa: PTH123, SIM115
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(own, _STDERR)
        sys.stderr.close()
        sys.stderr = before


def open_closed_streams() -> None:
    """Lead standard streams that the caller has closed (`2>&-`) nowhere.

    Their descriptors would go to the next files that are opened, and what C libraries print into those.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def stderr_descriptor() -> int:
    """Where `sys.stderr` writes to now, for a signal handler that may not use the stream itself."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return _STDERR


def _is_plain_stderr() -> bool:
    try:
        return sys.stderr.fileno() == _STDERR
    except (AttributeError, OSError, ValueError):
        return False
