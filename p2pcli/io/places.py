"""Where results may go: never onto a source, below a file, or over what must stay."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from p2pcli.errors import EnvironmentFaultError, UsageError


def path_of(value: object, what: str) -> Path:
    """`value` as a path. Raises `UsageError` that names `what` where it is none, or the empty string."""
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return Path(os.fsdecode(value))
    if isinstance(value, str):
        raise UsageError(f"{what}: an empty string. Give a path; the current folder is '.'.")
    raise UsageError(f"{what}: expected a path, as a string or pathlib.Path, not {type(value).__name__}.")


def paths_of(value: object, what: str) -> list[str | Path]:
    """One path, or all of several, as they were given: strings may be glob patterns.

    Raises `UsageError` that names `what` for anything else, an empty string among them.
    """
    if isinstance(value, str | os.PathLike):
        several: Iterable[object] = [value]
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | Mapping):
        several = value
    else:
        raise UsageError(
            f"{what}: expected a path or several (strings or pathlib.Path), not {type(value).__name__}."
        )
    return [one if isinstance(one, str) and one else path_of(one, what) for one in several]


def real(path: Path) -> Path:
    """`path` absolute and without links; unlike `Path.resolve` also where a link leads to itself."""
    return Path(os.path.realpath(path))


def require_no_links(output: Path, folders: Iterable[Path]) -> None:
    """Raise `UsageError` where a link on the way from `output` down to one of `folders` leads elsewhere.

    `output` itself may be a link, since who names it has chosen it.
    """
    between = {
        place
        for folder in set(folders)
        for place in (folder, *folder.parents)
        if place != output and output in place.parents
    }
    for place in sorted(between):
        if place.is_symlink():
            raise UsageError(
                f"{place}: a link to {place.readlink()}, so that results would leave the output {output}. "
                "Remove the link, or choose another folder with -o."
            )


def require_outside(output: Path, sources: Iterable[str | Path], *, may_be_below: bool = False) -> None:
    """Raise `UsageError` where `output` could overwrite or feed on one of the `sources`.

    Refused: the same path; a source that lies in `output`; and `output` in a source folder, unless
    `may_be_below` says that the listing leaves it out.
    """
    target = real(output)
    for source in sources:
        place = real(Path(source))
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


def unusable(error: OSError, path: Path) -> UsageError:
    """What to raise where a file of an output that goes on from before cannot be read or added to."""
    reason = "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)
    return UsageError(
        f"{path}: cannot be used ({reason}). Expected a regular file that p2p wrote, or none: remove it, or "
        f"choose another output with -o."
    )


def require_folder(output: Path) -> None:
    """Raise `UsageError` where no folder can be: `output` or one above it is a file, or a link to nothing.

    Raises `EnvironmentFaultError` where nothing may be made in the folder that is there.
    """
    for place in (output, *output.parents):
        if os.path.isdir(place):  # noqa: PTH112 - is_dir raises where a folder may not be searched
            _require_writable(place, output)
            return
        if place.is_symlink() and not place.exists():
            raise UsageError(f"{place} is a link to {place.readlink()}, which is not there. Make it first.")
        if os.path.lexists(place):
            raise UsageError(f"{place} is a file. Choose a folder with -o.")


def _require_writable(folder: Path, output: Path) -> None:
    try:
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # /proc and its like say that root may write; to try it costs a folder's date, so only there.
        if hasattr(os, "statvfs") and os.statvfs(folder).f_blocks == 0:
            Path(tempfile.mkdtemp(prefix=".p2p-", dir=folder)).rmdir()
    except OSError as error:
        raise EnvironmentFaultError(
            f"{output}: nothing can be written in {folder} ({error.strerror}). Choose another place with -o."
        ) from None


def require_free(place: Path, *, overwrite: bool) -> None:
    """Raise `UsageError` where no file can be at `place`, or one is there that must not be overwritten."""
    if place.is_dir():
        raise UsageError(f"{place}: a folder. Name a file in it with -o.")
    require_folder(place.parent)
    if place.exists() and not overwrite:
        raise UsageError(f"{place}: is there already. Name another -o, or add --overwrite.")
