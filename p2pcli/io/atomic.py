"""Files that are whole or absent: a temporary sibling, flushed to the disk, then renamed.

A killed process leaves at most a hidden temporary file, which the next run sweeps away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from p2pcli.errors import EnvironmentFaultError

_TEMPORARY = re.compile(r"^\.(?P<name>.+)\.(?P<pid>\d+)\.(?P<host>[0-9a-f]{4})[0-9a-f]{8}\.tmp(\.\w+)?$")
_OTHER_HOST_SECONDS = 24 * 3600
_live: set[Path] = set()
"""Temporary files that this process is writing just now."""

_REMEDIES = {
    errno.ENOSPC: "Free some space or choose another output folder, then run the same command again.",
    errno.EDQUOT: "Your quota is used up: free some space or choose another output folder, then run again.",
    errno.EACCES: "Choose an output folder that you may write to, or change its permissions.",
    errno.EPERM: "Choose an output folder that you may write to, or change its permissions.",
    errno.EFBIG: "The disk or a limit (ulimit -f) takes no file so large: choose another output folder.",
    errno.EBUSY: "It is in use, or the top of a mounted volume: choose a folder in it.",
    errno.EIO: "The disk may be failing: choose another output folder, then run the same command again.",
    errno.EROFS: "The file system is read-only: choose another output folder.",
}


def write_bytes(path: Path, data: bytes | memoryview, *, flush: bool = True) -> None:
    """Store `data` at `path`, whole or not at all; folders above it are made. `flush` as for `atomic_path`.

    Raises `EnvironmentFaultError` where the disk is full or writing is not allowed.
    """
    with atomic_path(path, flush=flush) as temporary, temporary.open("xb") as file:
        file.write(data)


@contextlib.contextmanager
def atomic_path(path: Path, *, keep_suffix: bool = False, flush: bool = True) -> Iterator[Path]:
    """A path to write to, in place of `path`: it becomes `path` when the block ends without an error.

    The file does not exist yet when the block begins. With `keep_suffix` the temporary name ends as `path`
    does, for writers that choose a format by the name. Without `flush` a power cut may leave less than the
    whole, until `flush_files` is called: for files that are checked before they are trusted. After an error
    nothing is left and an older `path` stays as it was. Raises `EnvironmentFaultError` where the disk is full
    or writing is not allowed.
    """
    temporary = _temporary_sibling(path, path.suffix if keep_suffix else "")
    _live.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if flush:
            _flush(temporary)
        temporary.replace(path)
        if flush:
            _flush_folder(path.parent)
    except OSError as error:
        fault = environment_fault(error, path)
        if fault is None or not _is_about(error, temporary, path):
            raise
        raise fault from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _live.discard(temporary)


def flush_files(paths: Iterable[Path]) -> None:
    """See to it that the files, and their names, survive a power cut.

    Raises `EnvironmentFaultError` where the disk is full.
    """
    folders: set[Path] = set()
    for path in paths:
        try:
            _flush(path)
        except OSError as error:
            fault = environment_fault(error, path)
            if fault is None:
                raise
            raise fault from error
        folders.add(path.parent)
    for folder in sorted(folders):
        _flush_folder(folder)


def environment_fault(error: OSError, path: Path) -> EnvironmentFaultError | None:
    """What to raise for an `error` met while writing `path`, or None where it is no fault of the machine."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    reason = os.strerror(error.errno or 0)
    return EnvironmentFaultError(f"{path}: cannot be written ({reason}{_free_space(error, path)}). {remedy}")


def sweep_stale(folder: Path) -> list[Path]:
    """Remove what killed processes left in `folder` and below; gives the removed paths, sorted.

    Only temporary files whose process is gone are touched. Those of another machine on a shared disk go
    after a day, since their process cannot be asked.
    """
    found = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sorted(path for path in found if _is_swept(path))


def sweep_stale_of(path: Path) -> list[Path]:
    """As `sweep_stale`, but only what was to become `path`: the folder around a single file is not ours."""
    name = _shortened(path)
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return []
    matches = ((other, _TEMPORARY.match(other.name)) for other in beside)
    return sorted(other for other, found in matches if found and found["name"] == name and _is_swept(other))


def remove_unfinished() -> None:
    """Remove what this process is writing just now; for one that is about to end without unwinding."""
    for path in tuple(_live):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """True where this machine has a process of that number, or cannot say."""
    if os.name == "nt":  # os.kill(pid, 0) would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _temporary_sibling(path: Path, suffix: str) -> Path:
    name = _shortened(path)
    return path.with_name(f".{name}.{os.getpid()}.{_host_mark()}{secrets.token_hex(4)}.tmp{suffix}")


def _shortened(path: Path) -> str:
    # A file name holds 255 bytes at most, of which pid, random part and suffix need some 40.
    return os.fsdecode(os.fsencode(path.name)[:200])


def _host_mark() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def _is_swept(path: Path) -> bool:
    """True where `path` was left by a killed process and is removed now."""
    found = _TEMPORARY.match(path.name)
    if found is None or path in _live or not _is_abandoned(path, int(found["pid"]), found["host"]):
        return False
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _is_abandoned(path: Path, pid: int, host: str) -> bool:
    if host != _host_mark():
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > _OTHER_HOST_SECONDS
        return False
    # Containers give the same small pids again: our own pid, but not in `_live`, is an earlier life's.
    return pid == os.getpid() or not is_running(pid)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # Not every system can open a folder or sync one; the rename itself is done by now.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_about(error: OSError, temporary: Path, path: Path) -> bool:
    """False where the error names another file: a source that cannot be read is not our fault to explain."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in (temporary, path, path.parent) or named in path.parents


def _free_space(error: OSError, path: Path) -> str:
    if error.errno != errno.ENOSPC:
        return ""
    for folder in path.parents:
        with contextlib.suppress(OSError):
            return f", {shutil.disk_usage(folder).free / 1e6:.0f} MB free"
    return ""
