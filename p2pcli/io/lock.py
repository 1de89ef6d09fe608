"""One run at a time on one output: a lock that the kernel drops when its process ends, however it ends.

The lock file lies hidden beside the output, so that it stays where it is when the output is moved aside or
replaced, and is gone again when the run ends.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import lock_descriptor

from p2pcli.errors import OutputInUseError
from p2pcli.events import Note, Observer
from p2pcli.io.atomic import is_running
from p2pcli.io.places import require_folder

_SUFFIX = ".p2p.lock"
_LONGEST_NAME = 255 - len(_SUFFIX) - 1
_MOST_BYTES = 4096
"""Of what a lock file says is read: it may be anybody's file."""
_MOST_LETTERS = 160
_PATIENCE_SECONDS = 1.0
"""For a holder that is just beginning or ending."""
_LONGEST_RACE_SECONDS = 10.0
"""A file that vanishes under our hands for longer has other reasons than runs that end."""

_NOTHING_CAN_BE_WRITTEN = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
    }
)
"""Where no lock file can be made for one of these, the run's first file cannot be either, and says why."""

_held: dict[Path, int] = {}
"""Lock files of this process → their descriptors."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock, as the lock file says."""

    pid: int = 0
    host: str = ""
    command: str = ""
    since: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "another run"
        return f"{self.command} (process {self.pid} on {self.host}, since {self.since})"


class _HeldError(Exception):
    def __init__(self, holder: _Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


@contextlib.contextmanager
def locked(*outputs: Path, observe: Observer) -> Iterator[None]:
    """Keep other runs off the `outputs`, files or folders, until the block ends or the process does.

    Raises `OutputInUseError`, which says who it is, where another run writes to one of them. Where the file
    system has no locks, `observe` gets a warning and the block runs all the same.
    """
    with contextlib.ExitStack() as all_of_them:
        for place, output in {_lock_file(output): output for output in outputs}.items():
            all_of_them.enter_context(_one_locked(place, output, observe))
        yield


def remove_lock_files() -> None:
    """Remove the lock files of this process; for one that is about to end without unwinding."""
    for place, descriptor in tuple(_held.items()):
        _remove(place, descriptor)


@contextlib.contextmanager
def _one_locked(place: Path, output: Path, observe: Observer) -> Iterator[None]:
    made: list[Path] = []
    descriptor = None
    if not output.exists():
        # Told before anything is tried: /proc and its like let no file be made, and say nothing why.
        require_folder(output.parent)
    try:
        descriptor = _acquire(place, made)
    except _HeldError as error:
        raise OutputInUseError(
            f"{output}: being written by {error.holder}. Wait until that has ended, or choose another "
            "output with -o."
        ) from None
    except OSError as error:
        if error.errno not in _NOTHING_CAN_BE_WRITTEN:
            reason = os.strerror(error.errno or 0)
            text = f"{place}: cannot be locked ({reason}), so nothing keeps a second run off {output}."
            observe(Note(text, level="warning"))
    owner = os.getpid()
    try:
        yield
    finally:
        # A process that was forked meanwhile leaves this block too, but holds nothing of its own.
        if os.getpid() == owner:
            if descriptor is not None:
                _remove(place, descriptor)
                os.close(descriptor)
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _lock_file(output: Path) -> Path:
    """Beside the output; in it where nothing can be made beside it, or where others see it without that."""
    is_folder = os.path.isdir(output)  # noqa: PTH112 - is_dir raises in folders that may not be searched
    # A link to a folder is that folder; one to a file is replaced by the new file.
    lies = Path(os.path.realpath(output if is_folder else output.parent))
    real = lies if is_folder else lies / output.name
    if is_folder and (real.is_mount() or not os.access(real.parent, os.W_OK)):
        return real / _SUFFIX
    name = os.fsencode(real.name)
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME - 8] + hashlib.sha256(name).hexdigest()[:8].encode()
    return real.with_name(f".{os.fsdecode(name)}{_SUFFIX}")


def _acquire(place: Path, made: list[Path]) -> int:
    """The descriptor that holds the lock. Folders that had to be made go to `made`, the lowest first.

    Raises `_HeldError` where it is held, `OSError` where there is no way to lock.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            descriptor = _opened(place, made)
            try:
                return _with_lock(descriptor, place)
            except BaseException:
                os.close(descriptor)
                raise
        except FileNotFoundError:
            # Another run removed file or folder as it ended; where no other does, the next try succeeds.
            if any(folder.is_symlink() and not folder.exists() for folder in place.parents):
                raise
            if time.monotonic() > until + _LONGEST_RACE_SECONDS:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(place)) from None
        except _HeldError as error:
            is_here = error.holder.host == platform.node()
            is_alive = error.holder.pid and not (is_here and not is_running(error.holder.pid))
            if is_alive or time.monotonic() > until:
                raise
            time.sleep(_PATIENCE_SECONDS / 20)


def _opened(place: Path, made: list[Path]) -> int:
    missing = [folder for folder in place.parents if not folder.exists()]
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            made.insert(0, folder)
    # A link or a pipe of that name is nothing to write to, or to wait for.
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT | safe, 0o666)
    except PermissionError:
        # Somebody else's: it can be locked all the same.
        return os.open(place, os.O_RDONLY | safe)


def _with_lock(descriptor: int, place: Path) -> int:
    """`descriptor`, which now holds the lock at `place`, and says so."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(place))
    if not lock_descriptor(descriptor, blocking=False):
        raise _HeldError(_holder_in(descriptor))
    if not _is_at(place, descriptor):
        # Its holder removed it between our opening and our locking.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(asdict(_this_process())).encode())
    _held[place] = descriptor
    return descriptor


def _is_at(place: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(place.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(place: Path, descriptor: int) -> None:
    """Remove the lock file while it is still locked: who opened it meanwhile sees that it is gone."""
    _held.pop(place, None)
    with contextlib.suppress(OSError):
        if _is_at(place, descriptor):
            place.unlink()


def _holder_in(descriptor: int) -> _Holder:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        said = json.loads(os.read(descriptor, _MOST_BYTES))
        return _Holder(int(said["pid"]), _plain(said["host"]), _plain(said["command"]), _plain(said["since"]))
    return _Holder()


def _this_process() -> _Holder:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return _Holder(os.getpid(), _plain(platform.node()), _plain(_command()), since)


def _command() -> str:
    """The words that started this process, the program by its name alone."""
    program, words = Path(sys.argv[0] if sys.argv else ""), sys.argv[1:]
    if program.name == "__main__.py":
        program = Path("p2p" if program.parent.name == "p2pcli" else program.parent.name)
    return shlex.join([program.name or "python", *words])


def _plain(value: object) -> str:
    """As a short line without control characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value)[: _MOST_LETTERS + 1])
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
