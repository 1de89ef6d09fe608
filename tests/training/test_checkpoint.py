"""Training states on disk."""

from __future__ import annotations

import os
import subprocess
import sys
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


FILL_THE_DISK = """
import errno, resource, signal, sys
from pathlib import Path
import torch
from p2pcli.errors import EnvironmentFaultError
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.io import atomic
from p2pcli.recipe import Recipe
from p2pcli.training.checkpoint import save_state
from p2pcli.training.runlog import RunLog

folder, big = Path(sys.argv[1]), {"w": torch.zeros(100_000)}
old = save_state(folder, {"w": torch.zeros(1)}, step=1, keep_last=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
atomic._REMEDIES[errno.EFBIG] = "Free some space."
actions = {
    "state": lambda: save_state(folder, big, step=2, keep_last=1),
    "model": lambda: save_model(folder / "m", big, recipe=Recipe(), info=ModelInfo()),
    "log": lambda: RunLog(folder / "log").write("step", 1, {"x": "y" * 9000}),
}
try:
    actions[sys.argv[2]]()
except EnvironmentFaultError as error:
    print("told:", error, old.exists(), sorted(path.name for path in folder.glob(".*")))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes with setrlimit")
@pytest.mark.parametrize("what", ["state", "model", "log"])
def test_a_full_disk_says_so_and_keeps_what_was_there(what: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL_THE_DISK, str(tmp_path), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("told: ") and done.stdout.endswith("Free some space. True []\n")


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
