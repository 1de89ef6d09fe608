"""What a verb takes when it is told nothing: the newest thing of its kind in the current folder."""

from __future__ import annotations

from pathlib import Path

from p2pcli.errors import NothingMatchedError


def newest_dataset() -> Path:
    """The newest folder under pairs/. Raises `NothingMatchedError`."""
    found = _newest(Path("pairs"))
    if found is None:
        raise NothingMatchedError(
            "no DATA given and no dataset under pairs/ here. Expected a dataset, paired folders or photos: "
            "make one with p2p make-pairs edges photos/, or name yours: p2p train DATA."
        )
    return found


def newest_run() -> Path:
    """The newest folder under runs/. Raises `NothingMatchedError`."""
    found = _newest(Path("runs"))
    if found is None:
        raise NothingMatchedError(
            "no model given and no run under runs/ here. Expected a model file or a run folder: train one "
            "with p2p train, or name yours: p2p translate SOURCE -m MODEL."
        )
    return found


def _newest(folder: Path) -> Path | None:
    found = [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]
    # The name decides between folders of the same second, so that the choice is always the same.
    return max(found, key=lambda path: (path.stat().st_mtime, path.name), default=None)
