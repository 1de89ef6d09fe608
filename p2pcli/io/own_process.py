"""A process of its own for what may end the process that does it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import connection, current_process, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from p2pcli.io.atomic import remove_unfinished


def can_start() -> bool:
    """False while a script that is not guarded by `if __name__ == "__main__"` begins anew in another process.

    It would begin anew in each that it starts.
    """
    return not getattr(current_process(), "_inheriting", False)


@contextlib.contextmanager
def own_process(body: Callable[..., None], *arguments: object) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that runs `body(messages, *arguments)`, and what it sends; it ends with the context."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=body, args=(theirs, *arguments), daemon=True)
    process.start()
    # Else the end of the other process would never be seen.
    theirs.close()
    try:
        yield process, ours
        process.join(1)
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
        ours.close()


def stand_back() -> None:
    """Leave signals to the job, end with it, and be the first that the system ends for want of memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_now())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        _end_now()


def _end_now() -> None:
    remove_unfinished()
    os._exit(1)
