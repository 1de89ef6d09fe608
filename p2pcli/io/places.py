"""Where results may go: never onto a source, below a file, or over what must stay."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from p2pcli.errors import UsageError


def require_outside(output: Path, sources: Iterable[str | Path], *, may_be_below: bool = False) -> None:
    """Raise `UsageError` where `output` could overwrite or feed on one of the `sources`.

    Refused: the same path; a source that lies in `output`; and `output` in a source folder, unless
    `may_be_below` says that the listing leaves it out.
    """
    target = output.resolve()
    for source in sources:
        place = Path(source).resolve()
        if target == place:
            raise UsageError(f"the output {output} is also an input. Choose another place with -o.")
        if target in place.parents:
            raise UsageError(
                f"the input {source} lies in the output folder {output}, where it could be overwritten. "
                "Choose an output folder of its own with -o."
            )
        if place in target.parents and not may_be_below:
            raise UsageError(
                f"the output {output} lies in the input folder {source}, so the next run would read it. "
                "Choose a folder outside with -o."
            )


def require_folder(output: Path) -> None:
    """Raise `UsageError` where no folder can be: `output` or one above it is a file, or a link to nothing."""
    for place in (output, *output.parents):
        if os.path.isdir(place):  # noqa: PTH112 - is_dir raises where a folder may not be searched
            return
        if place.is_symlink() and not place.exists():
            raise UsageError(f"{place} is a link to {place.readlink()}, which is not there. Make it first.")
        if os.path.lexists(place):
            raise UsageError(f"{place} is a file. Choose a folder with -o.")


def require_free(place: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` where no file can be at `place`, or one is there that must not be overwritten."""
    if place.is_dir():
        raise UsageError(f"{place}: a folder. Name a file in it with -o.")
    require_folder(place.parent)
    if place.exists() and not overwrite:
        raise UsageError(f"{place}: is there already. Name another -o, or add --overwrite.")
