"""Ctrl-C and SIGTERM: the first asks the job to stop at its next safe point, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from p2pcli.cli.native_output import stderr_descriptor
from p2pcli.errors import ExitCode
from p2pcli.events import Stop

_PATIENCE_SECONDS = 0.5


@dataclass
class Caught:
    """Which signal asked to stop, if one did."""

    number: int | None = None

    @property
    def exit_code(self) -> ExitCode:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return ExitCode.SIGTERM if self.number == signal.SIGTERM else ExitCode.SIGINT


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[Caught]:
    """While inside, the first SIGINT or SIGTERM sets `stop`; a second one ends the process at once."""
    caught = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if caught.number is not None:
            _end_now(128 + number)
        caught.number = number
        stop.set()
        _write("\np2p: stopping at the next safe point. Once more stops at once.\n")

    before = {number: signal.signal(number, handle) for number in _numbers()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # SIGBREAK: Ctrl-Break on Windows
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _end_now(code: int) -> None:
    # Workers would outlive a process that ends without unwinding.
    if "multiprocessing" in sys.modules:
        import multiprocessing

        children = multiprocessing.active_children()
        for child in children:
            # They remove what they have half written; one amid a decoder's call does not hear.
            child.terminate()
        until = time.monotonic() + _PATIENCE_SECONDS
        for child in children:
            child.join(max(0.0, until - time.monotonic()))
            child.kill()
    # A film may be gigabytes, and the next run may be elsewhere.
    atomic = sys.modules.get("p2pcli.io.atomic")
    if atomic is not None:
        atomic.remove_unfinished()
    lock = sys.modules.get("p2pcli.io.lock")
    if lock is not None:
        lock.remove_lock_files()
    os._exit(code)


def _write(text: str) -> None:
    # Not through sys.stderr: the handler may have interrupted a write to it.
    os.write(stderr_descriptor(), text.encode())
