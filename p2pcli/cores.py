"""How many processor cores this process can have: affinity, the quota of its cgroups, and what others use."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from p2pcli.groups import groups_of_process

_SYSTEM = Path("/")
_SAMPLE_SECONDS = 0.3

CHOSEN_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that fix the number of threads; what they say stands."""


def threads_for(most: int, *, sample_seconds: float = _SAMPLE_SECONDS) -> int:
    """How many of `most` threads have a core for themselves just now, at least 1.

    More would wait for each other at every layer of a network: one that shares its core holds up all others.
    """
    allowed = threads_allowed(most)
    if allowed == 1:
        return 1
    return max(1, min(allowed, round(_cores() - busy_cores(sample_seconds))))


def threads_allowed(most: int, system: Path = _SYSTEM) -> int:
    """How many of `most` threads affinity and quotas of cgroups leave, at least 1; always the same here."""
    return max(1, min([most, _cores(), *(int(quota) for quota in _quotas(system))]))


def busy_cores(seconds: float = _SAMPLE_SECONDS, system: Path = _SYSTEM) -> float:
    """How many of the cores that this process may use others keep busy, over `seconds`; 0 if not known."""
    before, own_before = _busy_ticks(system), time.process_time()
    start = time.monotonic()
    time.sleep(seconds)
    after, own = _busy_ticks(system), time.process_time() - own_before
    passed = max(time.monotonic() - start, 1e-9)
    if before is None or after is None:
        return 0.0
    return max(0.0, ((after - before) / os.sysconf("SC_CLK_TCK") - own) / passed)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _busy_ticks(system: Path) -> int | None:
    """Clock ticks in which the cores of this process did anything, added up."""
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    total, found = 0, False
    with contextlib.suppress(OSError, ValueError):
        for line in (system / "proc/stat").read_text(encoding="ascii").splitlines():
            name, *ticks = line.split()
            if name in ours:
                user, nice, kernel, _, _, hard, soft, stolen = (*map(int, ticks), *[0] * 8)[:8]
                total, found = total + user + nice + kernel + hard + soft + stolen, True
    return total if found else None


def _quotas(system: Path) -> Iterator[float]:
    """Cores that each cgroup allows, from the process's own to the outermost."""
    for kind, group in groups_of_process("cpu", system):
        with contextlib.suppress(OSError, ValueError):
            if kind == "cgroup2":
                quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
            else:
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                quota, period = ((group / name).read_text(encoding="ascii").strip() for name in names)
            if int(quota) > 0:
                yield int(quota) / int(period)
