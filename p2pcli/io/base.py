"""The two protocols of reading and writing, and what a listing of sources yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from p2pcli.image import Sample

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused before they are decoded, unless a job is told otherwise."""


Size = tuple[int, int]
"""(width, height) in px."""


@dataclass(frozen=True)
class Entry:
    """One file that a source argument led to.

    `key` is the posix path below its source without the suffix, unique in a listing; `relative` is the same
    path with its own file name, which `translate` mirrors.
    """

    key: str
    path: Path
    relative: str
    kind: Literal["image", "video"]


@dataclass(frozen=True)
class Skipped:
    """One file or folder that was found and left alone, and why."""

    path: Path
    reason: str
    is_failure: bool = False
    """True where pictures may be missing for it: a folder that cannot be read."""


@dataclass(frozen=True)
class Listing:
    """Entries sorted by key; files that are no media; both count in a report."""

    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...] = ()


class Source(Protocol):
    """Random access to samples: a folder, a side-by-side folder, paired folders, a Parquet dataset."""

    @property
    def is_paired(self) -> bool:
        """True where `read` gives samples with a target."""

    def splits(self) -> dict[str, Sequence[str]]:
        """Split name ("train", "validation", "test") → keys. One split "all" where the layout names none."""

    def read(self, key: str) -> Sample:
        """Decode one sample. Raises `ItemError` where its bytes cannot be used. Safe from many threads."""


@runtime_checkable
class Checkable(Protocol):
    """A source whose samples can be looked through before anything is made of them."""

    def require_usable(self) -> None:
        """Raise `UsageError` for the first sample whose pictures differ in size, or hold NaN and the like.

        Headers are looked at; what cannot be read at all is left for `read`.
        """


@runtime_checkable
class Filed(Protocol):
    """A source whose samples lie in files of their own."""

    def file_of(self, key: str) -> Path:
        """The file that shows what `key` is: the photo, or a pair's target."""


def sizes_fit(a: Size, b: Size, scale: int) -> bool:
    """True for equal sizes, and where one is `scale` times the other but for a remainder."""
    small, large = sorted((a, b))
    sizes = [tuple(side // scale for side in large), tuple(-(-side // scale) for side in large)]
    return small == large or small in sizes


class Sink(Protocol):
    """Writes samples; each output is whole or absent."""

    def write(self, sample: Sample) -> None:
        """Store one sample under its key."""

    def close(self) -> None:
        """Make everything durable; nothing is complete before this returns."""
