"""A hidden mark in a folder while it is filled for the first time: what lies there is ours, and not whole.

Where a kill leaves it, the same command may begin anew without being told to overwrite.
"""

from __future__ import annotations

from pathlib import Path

from p2pcli.io.atomic import write_bytes

_NAME = ".p2p-begun"


def mark_begun(folder: Path) -> None:
    """Mark `folder`, which is made; to be called before anything else is written or removed there."""
    write_bytes(folder / _NAME, b"")


def is_begun(folder: Path) -> bool:
    """True where a run marked `folder` and did not come to `unmark_begun`."""
    return (folder / _NAME).is_file()


def unmark_begun(folder: Path) -> None:
    """Take the mark away: from here on the folder's own files say what it is."""
    (folder / _NAME).unlink(missing_ok=True)
