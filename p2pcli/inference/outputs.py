"""Which source becomes which file: names, formats and folders mirrored, collisions found before any work."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from p2pcli.errors import UsageError
from p2pcli.io.base import Entry
from p2pcli.io.codec import ENCODABLE
from p2pcli.io.places import real
from p2pcli.io.sniff import kind_of_suffix
from p2pcli.io.video import CONTAINERS, VideoInfo, output_suffix, probe

FALLBACK_SUFFIX = ".png"
"""For pictures in formats that cannot be written, or not without loss."""

_NOT_KEPT = frozenset({".gif", ".apng"})
"""Written as PNG: GIF would cut the colours to 256, and of an animation only the first picture is read."""


@dataclass(frozen=True)
class Task:
    """One source file and the file that its translation becomes."""

    entry: Entry
    output: Path
    relative: str
    """`output` below the output folder, posix; the name under which the ledger knows it."""
    note: str = ""
    """Why the name or format differs from the source's; empty where it does not."""


def is_single_file(output: Path | None) -> bool:
    """True where `output` names one picture or film, not a folder; also one that cannot be written so."""
    if output is None or output.is_dir():
        return False
    suffix = output.suffix.lower()
    return suffix in {*ENCODABLE, *CONTAINERS} or kind_of_suffix(suffix) is not None


def single_task(entries: Sequence[Entry], output: Path, *, encoding: str | None = None) -> Task:
    """The one task that writes `output`.

    Raises `UsageError` for several sources, a wrong suffix, or one that contradicts `encoding`.
    """
    if len(entries) != 1:
        raise UsageError(
            f"{output} is one file, but the sources hold {len(entries)}. Give a folder with -o, such as "
            f"-o {output.with_suffix('')}."
        )
    is_picture = entries[0].kind == "image"
    known = ENCODABLE if is_picture else CONTAINERS
    if output.suffix.lower() not in known:
        raise UsageError(
            f"{output}: {entries[0].path.name} is {'a picture' if is_picture else 'a film'}, which is not "
            f"written as '{output.suffix}'. Choose one of {', '.join(known)}, or a folder."
        )
    if is_picture and encoding and ENCODABLE[_wanted(encoding)] != ENCODABLE[output.suffix.lower()]:
        raise UsageError(
            f"{output} and --encoding {encoding} ask for two formats. Leave --encoding out: the file's name "
            "tells the format."
        )
    return Task(entries[0], output, output.name)


def folder_tasks(
    entries: Iterable[Entry], folder: Path, *, encoding: str | None, channels: int
) -> list[Task]:
    """A task for each entry, mirrored below `folder`.

    A picture keeps its suffix where `channels` can be written so, else it becomes `name.png`, or
    `name.gif.png` where that name is taken. `encoding` ("png") gives all pictures one format. A film keeps
    its suffix where the container takes its sound. Raises `UsageError` for two sources with one output.
    """
    listed = list(entries)
    planned: dict[str, Task] = {}
    kept: list[tuple[Entry, str, str]] = [(entry, *_suffix(entry, encoding, channels)) for entry in listed]
    # Files that keep their names come first, so that a fallback never takes one of them.
    for entry, suffix, note in sorted(kept, key=lambda found: bool(found[2])):
        relative = entry.relative if not note else _replaced(entry.relative, suffix)
        if note and relative.casefold() in planned:
            relative = entry.relative + suffix
        other = planned.get(relative.casefold())
        if other is not None:
            raise UsageError(
                f"'{other.entry.relative}' and '{entry.relative}' would both be written as '{relative}'. "
                "Rename one of them, or translate them into two folders."
            )
        planned[relative.casefold()] = Task(entry, folder / relative, relative, note)
    order = {entry.key: number for number, entry in enumerate(listed)}
    return sorted(planned.values(), key=lambda task: order[task.entry.key])


def require_sources_kept(tasks: Iterable[Task]) -> None:
    """Raise `UsageError` where a link in the output folder leads a result onto one of the sources."""
    listed = list(tasks)
    # A link in place of the file itself is replaced; only those in place of folders lead elsewhere.
    place = functools.cache(real)
    sources = {place(task.entry.path.parent) / task.entry.path.name for task in listed}
    for task in listed:
        lies = place(task.output.parent) / task.output.name
        if lies in sources:
            raise UsageError(
                f"{task.output} is the source {lies}, through a link. Remove the link, or choose another "
                "output folder with -o."
            )


def _suffix(entry: Entry, encoding: str | None, channels: int) -> tuple[str, str]:
    """(suffix, note); the note is empty where the source's own suffix stays."""
    own = PurePosixPath(entry.relative).suffix
    if entry.kind == "video":
        return _film_suffix(entry, own)
    wanted = _wanted(encoding) if encoding else own.lower()
    if (
        wanted in ENCODABLE
        and channels in ENCODABLE[wanted].channels
        and (encoding or wanted not in _NOT_KEPT)
    ):
        same = wanted == own.lower()
        return (own, "") if same else (wanted, f"written as {wanted}, as asked")
    return FALLBACK_SUFFIX, f"written as {FALLBACK_SUFFIX}, since '{own}' cannot hold the result without loss"


def _wanted(encoding: str) -> str:
    """The suffix that `encoding` ("png", ".PNG") stands for."""
    suffix = f".{encoding.lower().lstrip('.')}"
    if suffix not in ENCODABLE:
        # Names so short are all alike: the nearest of them is a guess at random.
        known = ", ".join(name.lstrip(".") for name in ENCODABLE)
        raise UsageError(f"pictures cannot be written as '{encoding}'. Known: {known}.")
    return suffix


def _film_suffix(entry: Entry, own: str) -> tuple[str, str]:
    info = probed(entry)
    if info is None:
        # It will fail under its own name.
        return own, ""
    try:
        suffix, note = output_suffix(info)
    except Exception:  # the per-item border: it will fail under its own name
        return own, ""
    return (own, "") if suffix == own.lower() else (suffix, note or f"written as {suffix}")


def probed(entry: Entry) -> VideoInfo | None:
    """What the film is, or None where it cannot be read."""
    try:
        return probe(entry.path)
    except Exception:  # the per-item border: whatever it is becomes the film's own failure
        return None


def _replaced(relative: str, suffix: str) -> str:
    own = PurePosixPath(relative).suffix
    return relative[: len(relative) - len(own)] + suffix
