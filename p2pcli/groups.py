"""The cgroups that hold this process, as containers and schedulers make them: where their files lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def groups_of_process(controller: str, system: Path) -> Iterator[tuple[str, Path]]:
    """("cgroup2" or "cgroup", folder) of each group that can be seen, from the process's own outwards.

    `controller` is "memory" or "cpu"; `system` is where /proc and /sys lie.
    """
    for kind, folder, outermost in _hierarchies(controller, system):
        for group in (folder, *folder.parents):
            yield kind, group
            if group == outermost:
                break


def _hierarchies(controller: str, system: Path) -> Iterator[tuple[str, Path, Path]]:
    """(kind, folder of this process's group, that of the outermost which can be seen)."""
    own = {}
    for line in lines_of(system / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            own["cgroup2"] = path
        elif controller in controllers.split(","):
            own["cgroup"] = path
    for line in lines_of(system / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if len(fields) < 5 or not kind or kind[0] not in own:
            continue
        root, mounted = fields[3], system / fields[4].lstrip("/")
        if kind[0] == "cgroup" and controller not in after.split()[-1].split(","):
            continue
        # In a container the mounted root may be the group itself, or the path lead out of what is mounted.
        path = own[kind[0]]
        is_below = path == root or path.startswith(f"{root.rstrip('/')}/")
        inner = path[len(root.rstrip("/")) :].strip("/") if is_below else ""
        folder = mounted / inner
        yield kind[0], folder if ".." not in inner and folder.is_dir() else mounted, mounted


def lines_of(path: Path) -> list[str]:
    """The lines of a small text file of the system; [] where it cannot be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").splitlines()
    return []
