"""What is left out of many files, counted for one sentence a run: further pictures, and metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from p2pcli.io.codec import ImageMeta
from p2pcli.io.metadata import KINDS

_SHOWN = 3


@dataclass
class LeftOut:
    """Files of which something is left out; each counts once, however often added. Safe from threads."""

    pictures: dict[str, int] = field(default_factory=dict)
    """Name → pictures in the file, where there are several: frames of an animation, pages."""
    metadata: set[tuple[str, str]] = field(default_factory=set)
    """(kind of `metadata.KINDS`, name) of what files hold."""

    def add(self, name: str, meta: ImageMeta) -> None:
        """Take in one file that was read."""
        if meta.frames > 1:
            self.pictures[name] = meta.frames
        for kind in meta.metadata:
            self.metadata.add((kind, name))

    def take(self, others: Iterable[LeftOut]) -> None:
        """Take in what others have counted, of the same files or of more."""
        for other in others:
            self.pictures.update(other.pictures)
            self.metadata.update(other.metadata)

    def counts(self) -> dict[str, int]:
        """Kind → files, and "pictures" → further pictures in all; what there is none of is not named."""
        files = Counter(kind for kind, _ in self.metadata.copy())
        further = sum(count - 1 for count in self.pictures.copy().values())
        return {"pictures": further} | files if further else dict(files)


@runtime_checkable
class TellsLeftOut(Protocol):
    """A source that counts what it leaves out of the files that it reads."""

    left_out: LeftOut


def pictures_text(pictures: Mapping[str, int], *, done: str) -> str:
    """A sentence on files with several pictures, of which the first alone was `done`; "" without any."""
    if not pictures:
        return ""
    named = [f"{name} ({count})" for name, count in sorted(pictures.items())]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    shown = ", ".join(named[:_SHOWN])
    return f"several pictures in one file, of which the first alone was {done}: {shown}{more}"


def metadata_text(counts: Mapping[str, int]) -> str:
    """ "EXIF (3 files), GPS (1 file)": kinds in their order; "" without any."""
    present: Iterable[str] = (kind for kind in KINDS if counts.get(kind))
    return ", ".join(f"{kind} ({counts[kind]} file{'' if counts[kind] == 1 else 's'})" for kind in present)
