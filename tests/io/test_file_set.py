"""Files that belong together appear together, and what a kill between two of them left is finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from p2pcli.errors import UsageError
from p2pcli.io.file_set import file_set, require_set_free

NEW = {"main": b"new main", "side": b"new side", "third": b"new third"}


class KilledError(BaseException):
    """Stands for a SIGKILL: nothing in p2p catches it."""


def die_before_renaming(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """End at the `number`-th renaming, from 0, leaving what a kill leaves."""
    replace, calls = Path.replace, 0

    def replace_or_die(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > number:
            monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            raise KilledError
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_or_die)


def write(folder: Path, contents: Mapping[str, bytes] = NEW, *, overwrite: bool = False) -> None:
    places = [folder / name for name in contents]
    require_set_free(places, overwrite=overwrite)
    with file_set(places, overwrite=overwrite) as written:
        for place in places:
            written[place].write_bytes(contents[place.name])


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_are_there_and_nothing_else(tmp_path):
    write(tmp_path / "deep")
    assert held(tmp_path / "deep") == NEW


def test_an_error_amid_the_writing_leaves_nothing(tmp_path):
    places = [tmp_path / "main", tmp_path / "side"]
    with pytest.raises(RuntimeError), file_set(places, overwrite=False) as written:
        written[places[0]].write_bytes(b"x")
        raise RuntimeError
    assert held(tmp_path) == {}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_the_same_command_finishes_what_a_kill_left_half(tmp_path, renamed, overwrite):
    if overwrite:
        write(tmp_path, dict.fromkeys(NEW, b"old"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_before_renaming(patch, renamed)
        write(tmp_path, overwrite=overwrite)
    left = {name: content for name, content in held(tmp_path).items() if not name.startswith(".")}
    assert "main" not in left or left["main"] == b"old"
    assert sum(content != b"old" for content in left.values()) == renamed
    write(tmp_path, overwrite=overwrite)
    assert held(tmp_path) == NEW


@pytest.mark.parametrize("renamed", [1, 2])
def test_an_overwriting_that_was_killed_leaves_no_old_main_file_beside_new_ones(tmp_path, renamed):
    write(tmp_path, dict.fromkeys(NEW, b"old"))
    main = tmp_path / "main"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_before_renaming(patch, renamed)
        write(tmp_path, overwrite=True)
    assert not main.exists()


@pytest.mark.parametrize("missing", NEW)
def test_whichever_file_is_missing_the_set_is_finished(tmp_path, missing):
    write(tmp_path)
    (tmp_path / missing).unlink()
    write(tmp_path)
    assert held(tmp_path) == NEW


@pytest.mark.parametrize("foreign", NEW)
def test_a_file_with_other_content_stays_unless_told(tmp_path, foreign):
    (tmp_path / foreign).write_bytes(b"mine")
    with pytest.raises(UsageError, match=f"/{foreign}: is there already, with other content"):
        write(tmp_path)
    assert held(tmp_path) == {foreign: b"mine"}
    write(tmp_path, overwrite=True)
    assert held(tmp_path) == NEW


def test_a_set_that_is_whole_is_refused_before_any_work(tmp_path):
    write(tmp_path)
    with pytest.raises(UsageError, match=r"/main: is there already\. Name another -o"):
        require_set_free([tmp_path / name for name in NEW], overwrite=False)
