"""From source arguments (folders, files, globs, list files) to a sorted list of images and videos.

Kinds are told by content first, so that misnamed files are read and corrupt ones fail under their own name.
"""

from __future__ import annotations

import glob
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.io.base import Entry, Listing, Skipped
from p2pcli.io.places import paths_of, real
from p2pcli.io.sniff import HEAD_BYTES, kind_of_content, kind_of_suffix
from p2pcli.untrusted import LIST_BYTES, read_text

Kind = Literal["image", "video"]

LIST_SUFFIXES = (".txt", ".lst")
JUNK_FOLDERS = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Folders that systems leave behind; nothing in them is read."""
_SHOWN = 3


@dataclass
class _Found:
    """What the walk has met so far."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    """(relative posix path, path)"""
    singles: list[Path] = field(default_factory=list)
    """Files given one by one; their relative paths are known when all of them are."""
    skipped: list[Skipped] = field(default_factory=list)


def list_media(
    sources: Iterable[str | Path] | str | Path,
    *,
    kinds: Iterable[Kind] = ("image", "video"),
    exclude: Iterable[Path] = (),
) -> Listing:
    """All images and videos that `sources` lead to, sorted by key in bytes order.

    A source is a folder (with everything below it), a file, a glob pattern ("photos/**/*.jpg") or a list
    file (.txt, .lst: one path a line, relative to the list). Hidden files, folders that p2p wrote, and the
    paths in `exclude` with everything below them are left out. With several folders each relative path
    begins with its folder's name. Two files whose keys would be equal keep their suffixes in the keys.
    Raises `UsageError` for a source that does not exist and for outputs that would overwrite each other.
    """
    given = paths_of(sources, "sources")
    left_out = frozenset(real(Path(path)) for path in exclude)
    folders = [Path(source) for source in given if _is_folder(Path(source))]
    prefixes = _prefixes(folders)
    found = _Found()
    for source in given:
        path = Path(source)
        if _is_folder(path):
            found.files += _below(path, prefixes[path], left_out, found.skipped)
        elif _exists(path):
            _add_file(path, left_out, found)
        elif glob.has_magic(str(source)):
            found.files += _matching(str(source), left_out, found.skipped)
        else:
            raise UsageError(_missing(source))
    found.files += _named_singles(found.singles)
    entries = _entries(_without_repeats(found), frozenset(kinds), found.skipped)
    return Listing(tuple(entries), tuple(found.skipped))


def _entries(files: list[tuple[str, Path]], kinds: frozenset[Kind], skipped: list[Skipped]) -> list[Entry]:
    chosen: list[tuple[str, Path, Kind]] = []
    for relative, path in files:
        kind, reason = _kind_of(path)
        if kind is None:
            skipped.append(Skipped(path, reason))
        elif kind not in kinds:
            skipped.append(Skipped(path, f"a {kind}, not asked for"))
        else:
            chosen.append((_as_text(relative), path, kind))
    _require_distinct([relative for relative, _, _ in chosen])
    keys = _keys([relative for relative, _, _ in chosen])
    entries = [Entry(keys[relative], path, relative, kind) for relative, path, kind in chosen]
    return sorted(entries, key=lambda entry: entry.key.encode())


def _kind_of(path: Path) -> tuple[Kind | None, str]:
    """The kind by content, else by suffix; or None and the reason."""
    try:
        information = path.stat()
        if not stat.S_ISREG(information.st_mode):
            return None, "not a regular file"
        with path.open("rb") as file:
            kind = kind_of_content(file.read(HEAD_BYTES), path.suffix)
    except OSError as error:
        # An unreadable picture stays in the list and fails under its own key.
        return kind_of_suffix(path.suffix), f"cannot be read ({error.strerror or error})"
    return kind or kind_of_suffix(path.suffix), "neither an image nor a video"


def _keys(relatives: list[str]) -> dict[str, str]:
    """Relative path → key: without the suffix, except where two keys would then be equal."""
    keys = {relative: _without_suffix(relative) for relative in relatives}
    while True:
        counts = Counter(_folded(key) for key in keys.values())
        clashing = [name for name, key in keys.items() if counts[_folded(key)] > 1 and key != name]
        if not clashing:
            return keys
        keys.update((name, name) for name in clashing)


def _without_suffix(relative: str) -> str:
    folder, slash, name = relative.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}"


def _require_distinct(relatives: list[str]) -> None:
    seen: dict[str, str] = {}
    for relative in relatives:
        other = seen.setdefault(_folded(relative), relative)
        if other is not relative:
            same = other == relative
            raise UsageError(
                f"two sources give the same name '{relative}', so one result would overwrite the other. "
                "Name their common folder as the source instead."
                if same
                else f"'{other}' and '{relative}' differ in case alone, so on many disks one result would "
                "overwrite the other. Rename one of them."
            )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _as_text(relative: str) -> str:
    """Bytes of a name that are not UTF-8 as %XX: keys go into JSON and Parquet."""
    try:
        relative.encode()
    except UnicodeEncodeError:
        data = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return re.sub(r"\\x([0-9a-f]{2})", r"%\1", data)
    return relative


def _below(
    folder: Path, prefix: str, left_out: frozenset[Path], skipped: list[Skipped], *, depth: int | None = None
) -> list[tuple[str, Path]]:
    return [(prefix + relative, path) for relative, path in _walk(folder, left_out, skipped, depth=depth)]


def _walk(
    top: Path, left_out: frozenset[Path], skipped: list[Skipped], *, depth: int | None = None
) -> Iterator[tuple[str, Path]]:
    """(relative posix path, path) of every visible file, each real folder once, however links may loop."""
    visited: set[tuple[int, int]] = set()
    left_out_names = {path.name for path in left_out}
    pending: list[tuple[str, Path, int]] = [("", top, 1)]
    while pending:
        prefix, folder, level = pending.pop()
        try:
            information = folder.stat()
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths: half the time on large folders
        except OSError as error:
            reason = f"a folder that cannot be read ({error.strerror or error}). Check its permissions."
            skipped.append(Skipped(folder, reason, is_failure=True))
            continue
        if (information.st_dev, information.st_ino) in visited:
            continue
        visited.add((information.st_dev, information.st_ino))
        for name in names:
            if name.startswith(".") or name in JUNK_FOLDERS:
                continue
            path = folder / name
            is_folder = _is_folder(path)
            # Resolving every file of a large folder is slow: only those that could be meant.
            if (is_folder or name in left_out_names) and real(path) in left_out:
                skipped.append(Skipped(path, "the output"))
            elif not is_folder:
                yield prefix + name, path
            elif is_ours(path):
                skipped.append(Skipped(path, "written by p2p"))
            elif depth is None or level < depth:
                pending.append((f"{prefix}{name}/", path, level + 1))


def _is_folder(path: Path) -> bool:
    """As `Path.is_dir`, which raises in folders that may not be searched."""
    return os.path.isdir(path)  # noqa: PTH112


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def is_ours(folder: Path) -> bool:
    """True for a dataset, a run or a translated folder: their previews are no photos."""
    return _is_folder(folder / ".p2p") or (_exists(folder / "recipe.toml") and _exists(folder / "log.jsonl"))


def _matching(pattern: str, left_out: frozenset[Path], skipped: list[Skipped]) -> list[tuple[str, Path]]:
    """Files below the fixed part of `pattern` that it matches. `**` stands for any number of folders."""
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    base, wild = Path(*parts[:fixed]), parts[fixed:]
    if not _is_folder(base):
        raise UsageError(_missing(base))
    depth = None if "**" in wild else len(wild)
    met: list[Skipped] = []
    found = [item for item in _walk(base, left_out, met, depth=depth) if _matches(item[0].split("/"), wild)]
    # Where nothing matches, what lies beside is no reason.
    skipped += met if found else []
    return found


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**":
        return len(parts) == 1 or _matches(names, parts[1:]) or _matches(names[1:], parts)
    return fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _add_file(path: Path, left_out: frozenset[Path], found: _Found) -> None:
    resolved = real(path)
    if resolved in left_out or any(parent in left_out for parent in resolved.parents):
        found.skipped.append(Skipped(path, "the output"))
    elif path.suffix.lower() in LIST_SUFFIXES:
        found.files += _listed(path, found.skipped)
    else:
        found.singles.append(path)


def _listed(list_file: Path, skipped: list[Skipped]) -> list[tuple[str, Path]]:
    """The files that a list names, one a line; those outside its folder go by the path below their nearest
    common folder."""
    try:
        text = read_text(list_file, limit=LIST_BYTES, encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(
            f"{list_file}: the list cannot be read ({error.strerror}). Expected a text file, one path a line."
        ) from None
    inside: list[tuple[str, Path]] = []
    outside: list[Path] = []
    home = list_file.parent
    for line in text.splitlines():
        if not line.strip():
            continue
        path = home / line.strip()
        if _is_folder(path):
            skipped.append(Skipped(path, "a folder; a list names files"))
            continue
        if kind_of_suffix(path.suffix) is None and not _exists(path):
            # One with a picture's or a film's suffix stays, and fails under its own key.
            reason = f"named in {list_file.name}, but there is no such file. Check the line."
            skipped.append(Skipped(path, reason, is_failure=True))
            continue
        below = Path(os.path.normpath(path))
        if below.is_relative_to(os.path.normpath(home)):
            inside.append((below.relative_to(os.path.normpath(home)).as_posix(), path))
        else:
            outside.append(path)
    return inside + _named_singles(outside)


def _named_singles(paths: list[Path]) -> list[tuple[str, Path]]:
    """Single files by their names, or, where two share one, by the path below their nearest common folder."""
    paths = list(dict.fromkeys(Path(os.path.normpath(path.absolute())) for path in paths))
    names = [path.name for path in paths]
    if len(set(map(_folded, names))) == len(names):
        return list(zip(names, paths, strict=True))
    common = Path(os.path.commonpath([path.parent for path in paths]))
    return [(path.relative_to(common).as_posix(), path) for path in paths]


def _without_repeats(found: _Found) -> list[tuple[str, Path]]:
    """Each file once, though several sources may lead to it."""
    kept: dict[str, tuple[str, Path]] = {}
    for relative, path in found.files:
        place = os.path.abspath(path)  # noqa: PTH100 - resolves "..", keeps links, and is ten times as fast
        if place in kept:
            found.skipped.append(Skipped(path, "named by two sources"))
        else:
            kept[place] = (relative, path)
    return list(kept.values())


def _prefixes(folders: list[Path]) -> dict[Path, str]:
    if len(folders) < 2:
        return dict.fromkeys(folders, "")
    names = {folder: real(folder).name for folder in folders}
    by_name: dict[str, Path] = {}
    for folder, name in names.items():
        other = by_name.setdefault(_folded(name), folder)
        # One folder under two names ("a" and "b/../a") is read once.
        if real(other) != real(folder):
            raise UsageError(
                f"the source folders {other} and {folder} are both called '{name}', so their files could "
                "not be told apart. Rename one of them, or name the folder that holds both."
            )
    return {folder: f"{name}/" for folder, name in names.items()}


def _missing(source: str | Path) -> str:
    text = str(source)
    # One slash: a path made of an address has lost the other.
    address = re.match(r"^([a-z][a-z0-9+]+):/+", text)
    if address:
        text = f"{address[1]}://{text[address.end() :]}"
        return f"{text} is an address; only local files are read. Download it first."
    path = Path(text)
    if path.is_symlink():
        return f"{text}: a link that leads to no file (it names {path.readlink()}). Name the file itself."
    parent = path.parent
    while not _is_folder(parent) and parent != parent.parent:
        path, parent = parent, parent.parent
    try:
        hint = did_you_mean(path.name, [entry.name for entry in parent.iterdir()])
    except OSError as error:
        return f"{text}: {parent} cannot be read ({error.strerror or error}). Check its permissions."
    nearest = hint if hint.startswith("Did") else "Check the path."
    return f"{text}: no such file or folder (looked in {parent.absolute()}). {nearest}"
