"""The training state on disk: everything that a resumed run needs to go on as if it had never stopped.

Tensors, numbers, strings and containers of them only, so that it loads with `weights_only=True`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from p2pcli.errors import UsageError
from p2pcli.io.atomic import atomic_path
from p2pcli.stored_tensors import read_pickled
from p2pcli.untrusted import Kinds, require_kinds

FORMAT_VERSION = 3
_NAME = re.compile(r"step-(\d{8})\.pt")


def state_path(folder: Path, step: int) -> Path:
    """Where the state after `step` steps lies below a run's `state/` folder."""
    return folder / f"step-{step:08d}.pt"


def list_states(folder: Path) -> list[Path]:
    """State files, oldest first; temporary files and strangers are left out."""
    found = [(int(match[1]), path) for path in folder.glob("*.pt") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def write_tensors(path: Path, values: Mapping[str, Any]) -> None:
    """As torch.save, whole or not at all.

    Raises `EnvironmentFaultError` where the disk is full or not writable.
    """
    with atomic_path(path) as temporary:
        save_tensors(temporary, values)


def save_tensors(path: Path, values: Mapping[str, Any]) -> None:
    """As torch.save to a path where nothing is yet, with an `OSError` where the disk is full."""
    try:
        with path.open("xb") as file:
            torch.save(values, file)
    except RuntimeError as error:
        # torch hides a full disk behind an error of its own.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def save_state(folder: Path, state: dict[str, Any], *, step: int, keep_last: int) -> Path:
    """Write the state after `step` steps, whole or not at all; then drop all but the `keep_last` newest.

    Raises `EnvironmentFaultError` where the disk is full or not writable; what was there stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = state_path(folder, step)
    write_tensors(path, {"format_version": FORMAT_VERSION, **state})
    for old in list_states(folder)[:-keep_last]:
        old.unlink(missing_ok=True)
    return path


def load_state(path: Path) -> dict[str, Any]:
    """Read one state file onto the CPU. Raises `UsageError` where it is damaged or not a state file."""
    try:
        state = read_pickled(path)
    except Exception as error:
        # torch raises RuntimeError, UnpicklingError, EOFError, KeyError and more for a damaged file.
        first_line = str(error).partition("\n")[0]
        raise UsageError(f"{path}: not a whole training state ({first_line}).") from error
    if not isinstance(state, dict) or state.get("format_version") != FORMAT_VERSION:
        raise UsageError(f"{path}: not a training state of this version of p2p (format {FORMAT_VERSION}).")
    return state


def require_parts(path: Path, state: Mapping[str, Any], parts: Kinds) -> None:
    """Raise `UsageError` where `state`, read from `path`, lacks one of `parts` or has another kind of it."""
    try:
        require_kinds(state, parts, needed=True)
        for name, one in state.get("networks", {}).items():
            if not isinstance(one, Mapping) or not all(isinstance(v, torch.Tensor) for v in one.values()):
                raise ValueError(f"network '{name}' is no state dict")
    except ValueError as error:
        raise UsageError(f"{path}: not a whole training state ({error}).") from None


def newest_state(folder: Path, *, parts: Kinds | None = None) -> tuple[Path, dict[str, Any]] | None:
    """The newest state that can be read, and has all of its `parts`, or None where there is none at all.

    Raises `UsageError` where there are files, but none is whole.
    """
    problem: UsageError | None = None
    for path in reversed(list_states(folder)):
        try:
            state = load_state(path)
            require_parts(path, state, parts or {})
            return path, state
        except UsageError as error:
            problem = problem or error
    if problem is not None:
        raise UsageError(f"{problem} No older one is whole either; train anew with --overwrite.")
    return None


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """torch's random generators that a step draws from (dropout), to be stored."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put the generators back; those of another kind of device are left out."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
