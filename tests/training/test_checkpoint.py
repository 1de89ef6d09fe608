"""Training states on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from p2pcli.errors import UsageError
from p2pcli.training.checkpoint import list_states, load_state, newest_state, save_state


class Hostile:
    """Makes a folder when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save_state(tmp_path, {"weights": torch.arange(3), "step": 4}, step=4, keep_last=2)
    state = load_state(path)
    assert torch.equal(state["weights"], torch.arange(3)) and state["step"] == 4


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 9):
        save_state(tmp_path, {"step": step}, step=step, keep_last=2)
    assert [path.name for path in list_states(tmp_path)] == ["step-00000009.pt", "step-00000010.pt"]


def test_a_damaged_newest_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    save_state(tmp_path, {"step": 1}, step=1, keep_last=2)
    newest = save_state(tmp_path, {"step": 2}, step=2, keep_last=2)
    newest.write_bytes(newest.read_bytes()[:200])
    found = newest_state(tmp_path)
    assert found is not None and found[1]["step"] == 1


def test_without_a_whole_state_the_error_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "step-00000001.pt").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(UsageError, match="train anew with --overwrite"):
        newest_state(tmp_path)


def test_a_hostile_pickle_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format_version": 1, "x": Hostile()}, tmp_path / "step-00000001.pt")
    with pytest.raises(UsageError, match="not a whole training state"):
        load_state(tmp_path / "step-00000001.pt")
    assert not (tmp_path / "owned").exists()


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
