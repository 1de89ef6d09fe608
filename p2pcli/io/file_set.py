"""Several files that belong together: all of them appear, or none.

No file system renames two files at once. So all are written and flushed before the first one appears, the
one that the others belong to comes last, and what a kill between two of them left is known by its content.
"""

from __future__ import annotations

import contextlib
import filecmp
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from p2pcli.errors import UsageError
from p2pcli.io.atomic import atomic_path, flush_files, sweep_stale_of
from p2pcli.io.places import require_free


class StoppedError(Exception):
    """To be raised, and caught again, by who leaves the block of a `file_set` without wanting its files."""


def require_set_free(places: Sequence[Path], *, overwrite: bool) -> None:
    """Raise `UsageError` where no file can be at one of `places`, or all of them are there already.

    Where only some are there, a run may have been killed between them: `file_set` compares.
    """
    is_half = not all(place.exists() for place in places)
    for place in places:
        require_free(place, overwrite=overwrite or is_half)


@contextlib.contextmanager
def file_set(places: Sequence[Path], *, overwrite: bool) -> Iterator[Mapping[Path, Path]]:
    """For each of `places` a path to write to; they become `places` when the block ends without an error.

    The first place is the file that the others belong to: where it is there, all of them are. Without
    `overwrite` what is there already must be, byte for byte, what was written now: the set that a killed run
    left half is finished, and somebody else's file is never replaced. Raises `UsageError` for such a file,
    `EnvironmentFaultError` as `atomic_path` does; then nothing has changed.
    """
    for place in places:
        sweep_stale_of(place)
    with contextlib.ExitStack() as renamings:
        # The stack ends them last to first.
        written = {place: renamings.enter_context(atomic_path(place, keep_suffix=True)) for place in places}
        yield written
        flush_files(written.values())
        there = [place for place in places if place.exists()]
        for place in there if not overwrite else ():
            if not filecmp.cmp(place, written[place], shallow=False):
                raise UsageError(
                    f"{place}: is there already, with other content. Name another -o, or add --overwrite."
                )
        if overwrite and len(places) > 1:
            # A kill from here on leaves no new file beside an old one that seems to be of the same set.
            places[0].unlink(missing_ok=True)
