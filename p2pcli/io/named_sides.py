"""Pairs whose sides the caller names: folders, their paths, or patterns of file names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from p2pcli.errors import UsageError
from p2pcli.io.name_tree import Tree
from p2pcli.io.pair_sides import (
    Asked,
    Candidate,
    PairFolders,
    Side,
    candidates_in,
    has_pictures,
    is_wrapper,
    joined,
    pair_of,
)


def named_pairs(tree: Tree, prefix: str, asked: Asked, *, where: str) -> list[PairFolders]:
    """Pairs of the sides that the caller names; as many sets as there are folders that fit."""
    patterns = [name for name in (asked.input, asked.target) if name is not None and _is_pattern(name)]
    found: list[PairFolders] = []
    if patterns:
        found += _by_pattern(tree, prefix, asked)
    else:
        for split, candidates in candidates_in(tree, asked).items():
            pair = _named_among(candidates, asked, where=where)
            if pair is not None:
                found.append(pair_of(pair, candidates, prefix=joined(prefix, split)))
        if found:
            return found
    wrapped = is_wrapper(tree)
    for name, folder in tree.folders.items():
        found += named_pairs(folder, prefix if wrapped else joined(prefix, name), asked, where=where)
    return found


def _named_among(
    candidates: Sequence[Candidate], asked: Asked, *, where: str
) -> tuple[Candidate, Candidate] | None:
    """The two folders that are meant; where one side alone is named, the other is the one that is left."""
    sides: list[list[Candidate]] = []
    for name in (asked.input, asked.target):
        sides.append([one for one in candidates if name is not None and _is_meant(one.tree.relative, name)])
    inputs, targets = sides
    if asked.input is None:
        inputs = [one for one in candidates if one not in targets and has_pictures(one)]
    if asked.target is None:
        targets = [one for one in candidates if one not in inputs and has_pictures(one)]
    if not inputs or not targets:
        return None
    if len(inputs) > 1 or len(targets) > 1:
        several = inputs if len(inputs) > 1 else targets
        names = ", ".join(f"{one.tree.relative}/" for one in several)
        role = "input" if several is inputs else "target"
        raise UsageError(f"{where}: {names} could each be the {role}. Say which with --{role} FOLDER.")
    return inputs[0], targets[0]


def _is_meant(relative: str, name: str) -> bool:
    """True where `name`, "hr" or "LR/X4", names `relative` or folders on its way."""
    wanted = [part.lower() for part in name.strip("/").split("/") if part not in ("", ".")]
    parts = [part.lower() for part in relative.split("/")]
    return any(parts[start : start + len(wanted)] == wanted for start in range(len(parts)))


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _by_pattern(tree: Tree, prefix: str, asked: Asked) -> list[PairFolders]:
    sides = []
    taken: set[str] = set()
    for pattern in (asked.input, asked.target):
        if pattern is not None:
            names = {name for name in tree.files if fnmatchcase(name.lower(), pattern.lower())}
            sides.append((pattern, names))
            taken |= names
    if len(sides) == 1:
        rest = ("the others", {name for name in tree.files if name not in taken})
        sides.insert(0 if asked.input is None else 1, rest)
    (one, inputs), (other, targets) = sides
    if not inputs or not targets:
        return []
    return [
        PairFolders(
            prefix,
            Side(tree.relative, one, frozenset(inputs)),
            Side(tree.relative, other, frozenset(targets)),
        )
    ]


def words_on_missing(tree: Tree, asked: Asked, *, where: str) -> str:
    """What to say where the sides that were asked for are not there: the folders that are."""
    named = " and ".join(f"--{role} {name}" for role, name in _roles(asked))
    folders = sorted(_all_folders(tree))
    shown = ", ".join(f"{folder}/" for folder in folders[:8]) + (", …" if len(folders) > 8 else "")
    there = (
        f"Its folders: {shown}" if folders else "It has no folders; name files by a pattern such as '*.png'"
    )
    return f"{where}: no two sides for {named}. {there}. Expected folders beside each other below {where}."


def _roles(asked: Asked) -> list[tuple[str, str]]:
    return [
        (role, name) for role, name in (("input", asked.input), ("target", asked.target)) if name is not None
    ]


def _all_folders(tree: Tree) -> Iterable[str]:
    for folder in tree.folders.values():
        yield folder.relative
        yield from _all_folders(folder)
