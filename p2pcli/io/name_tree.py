"""Names of folders and pictures as a tree, from the disk or from a listing; no file is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from p2pcli.io.listing import JUNK_FOLDERS, is_ours
from p2pcli.io.pair_names import folder_name, may_name_a_side
from p2pcli.io.sniff import kind_of_suffix


@dataclass
class Tree:
    """Names of folders and of the pictures in them."""

    relative: str = ""
    folders: dict[str, Tree] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.relative.rpartition("/")[2]

    def below(self) -> Iterable[str]:
        """Every file's posix path below this folder."""
        yield from self.files
        for name, folder in self.folders.items():
            for path in folder.below():
                yield f"{name}/{path}"

    def child(self, name: str) -> Tree:
        """The folder called `name`, made where it is new."""
        if name not in self.folders:
            self.folders[name] = Tree(f"{self.relative}/{name}".lstrip("/"))
        return self.folders[name]


def tree_of(relatives: Iterable[str]) -> Tree:
    """The tree of a listing: posix paths of pictures."""
    root = Tree()
    for relative in relatives:
        *folders, name = relative.split("/")
        here = root
        for folder in folders:
            here = here.child(folder)
        here.files.append(name)
    return root


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link to itself, say.


def tree_below(path: Path) -> Tree:
    """The tree of what lies on the disk, empty folders too; files by their suffix, each real folder once."""
    root = Tree()
    visited: set[tuple[int, int]] = set()
    pending = [(root, path)]
    while pending:
        tree, folder = pending.pop()
        try:
            state = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if (state.st_dev, state.st_ino) in visited:
            continue
        visited.add((state.st_dev, state.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.name in JUNK_FOLDERS:
                continue
            if _is_folder(entry):
                # What p2p wrote is no photo, but may be a side: a network's results, to learn from.
                if is_ours(Path(entry.path)) and not may_name_a_side(folder_name(entry.name).words):
                    continue
                pending.append((tree.child(entry.name), folder / entry.name))
            elif kind_of_suffix(os.path.splitext(entry.name)[1]) == "image":  # noqa: PTH122 - a name alone
                tree.files.append(entry.name)
    return root
