"""Free memory: the least of machine, cgroups of both versions with their parents, and ulimit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from p2pcli.free_memory import Room, free_memory, main_memory

MB = 1 << 20
V2 = "29 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw"
V1 = "35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def machine(folder: Path, *, cgroup: str, mounts: str, files: dict[str, int | str]) -> Path:
    """A system with 8000 of 16000 MB available; `files` below /sys/fs/cgroup, numbers in MB."""
    texts: dict[str, str] = {
        "proc/meminfo": f"MemTotal: {16000 * 1024} kB\nMemAvailable: {8000 * 1024} kB\n",
        "proc/self/cgroup": cgroup,
        "proc/self/mountinfo": mounts,
    }
    for name, value in files.items():
        texts[f"sys/fs/cgroup/{name}"] = value if isinstance(value, str) else f"{value * MB}\n"
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


CASES: dict[str, tuple[str, str, dict[str, int | str], tuple[int, int]]] = {
    "none": ("", "", {}, (8000, 16000)),
    "v2 without a limit": ("0::/a\n", V2, {"a/memory.max": "max\n", "a/memory.current": 50}, (8000, 16000)),
    "v2, own": ("0::/a\n", V2, {"a/memory.max": 1000, "a/memory.current": 300}, (700, 1000)),
    "v2, a container's root": (
        "0::/\n",
        V2,
        {"memory.max": 1000, "memory.current": 300},
        (700, 1000),
    ),
    "v2, a parent's": (
        "0::/pod/a\n",
        V2,
        {
            "pod/a/memory.max": "max\n",
            "pod/a/memory.current": 1,
            "pod/memory.max": 900,
            "pod/memory.current": 400,
        },
        (500, 900),
    ),
    "v2, cached files can be given back": (
        "0::/a\n",
        V2,
        {
            "a/memory.max": 1000,
            "a/memory.current": 900,
            "a/memory.stat": f"anon {200 * MB}\ninactive_file {600 * MB}\n",
        },
        (700, 1000),
    ),
    "v2, a path from outside": (
        "0::/../x\n",
        V2,
        {"memory.max": 1000, "memory.current": 300},
        (700, 1000),
    ),
    "v1, own": (
        "4:memory:/a\n0::/\n",
        V1.format(root="/"),
        {"memory/a/memory.limit_in_bytes": 2000, "memory/a/memory.usage_in_bytes": 500},
        (1500, 2000),
    ),
    "v1, mounted at the container's own": (
        "4:cpu,memory:/docker/abc\n",
        V1.format(root="/docker/abc"),
        {"memory/memory.limit_in_bytes": 2000, "memory/memory.usage_in_bytes": 500},
        (1500, 2000),
    ),
    "v1, a path that is not mounted": (
        "4:memory:/docker/abc\n",
        V1.format(root="/"),
        {"memory/memory.limit_in_bytes": 2000, "memory/memory.usage_in_bytes": 500},
        (1500, 2000),
    ),
    "v1 without a limit": (
        "4:memory:/\n",
        V1.format(root="/"),
        {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": 5},
        (8000, 16000),
    ),
    "more used than allowed": ("0::/a\n", V2, {"a/memory.max": 100, "a/memory.current": 300}, (0, 100)),
}


@pytest.mark.parametrize("case", CASES)
def test_free_memory_is_the_least_that_machine_and_cgroups_leave(case: str, tmp_path: Path) -> None:
    cgroup, mounts, files, (free, total) = CASES[case]
    found = main_memory(machine(tmp_path, cgroup=cgroup, mounts=mounts, files=files))
    assert found == Room(free * MB, total * MB)


def test_a_system_that_tells_nothing_has_no_known_room(tmp_path: Path) -> None:
    assert main_memory(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is used")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_free_memory_keeps_to_ulimit(limit: str) -> None:
    code = (
        "import resource\nfrom p2pcli.free_memory import free_memory\n"
        f"resource.setrlimit(resource.{limit}, (900 << 20,) * 2)\nprint(free_memory())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) < 900 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is free")
def test_this_machine_has_free_memory() -> None:
    assert (free_memory() or 0) > 0
