"""How much main memory this process can have: the least of what the machine, its cgroups and ulimit leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p2pcli.groups import groups_of_process, lines_of

_SYSTEM = Path("/")

_CACHE_ROWS = {"cgroup2": ("inactive_file",), "cgroup": ("total_inactive_file", "inactive_file")}
"""In memory.stat: pages of files. They count as used, but the kernel gives them back when asked for more."""

_FILES = {
    "cgroup2": ("memory.max", "memory.current"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}

_NO_LIMIT = 1 << 60
"""cgroup v1 says "unlimited" as a number near 2^63."""


@dataclass(frozen=True)
class Room:
    """Bytes of a memory."""

    free: int
    total: int


def main_memory(system: Path = _SYSTEM) -> Room | None:
    """The memory that this process can have without swapping; None where the system does not tell.

    The least of the machine's, of each cgroup (v1 and v2) from the process's own to the outermost, and of
    what ulimit -v and -d leave. `system` is where /proc and /sys lie.
    """
    rooms = [*_machine(system), *_cgroups(system), *_ulimits(system)]
    if not rooms:
        return None
    return Room(max(0, min(room.free for room in rooms)), min(room.total for room in rooms))


def free_memory() -> int | None:
    """Bytes of main memory that can be had, or None where the system does not tell."""
    room = main_memory()
    return None if room is None else room.free


def _machine(system: Path) -> Iterator[Room]:
    values = _kilobytes(system / "proc/meminfo")
    if {"MemAvailable", "MemTotal"} <= values.keys():
        yield Room(values["MemAvailable"], values["MemTotal"])


def _cgroups(system: Path) -> Iterator[Room]:
    for kind, group in groups_of_process("memory", system):
        limit_name, used_name = _FILES[kind]
        limit, used = _number(group / limit_name), _number(group / used_name)
        if limit is not None and used is not None and limit < _NO_LIMIT:
            rows = _rows(group / "memory.stat")
            cache = next((rows[name] for name in _CACHE_ROWS[kind] if name in rows), 0)
            yield Room(limit - max(0, used - cache), limit)


def _ulimits(system: Path) -> Iterator[Room]:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    used = _kilobytes(system / "proc/self/status")
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and name in used:
            yield Room(soft - used[name], soft)


def _kilobytes(path: Path) -> dict[str, int]:
    """Rows such as "MemTotal:  1024 kB", in bytes."""
    rows = (line.split() for line in lines_of(path))
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) == 3 and row[1].isdecimal()}


def _rows(path: Path) -> dict[str, int]:
    rows = (line.split() for line in lines_of(path))
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    (text,) = lines_of(path)[:1] or [""]
    return int(text) if text.strip().isdecimal() else None
