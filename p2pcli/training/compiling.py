"""torch.compile for a run's networks, and what it needs to be there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Any

import torch

from p2pcli.errors import EnvironmentFaultError
from p2pcli.nets.sharing import SharedStatistics
from p2pcli.tasks import Task, networks_of

_CPP_COMPILERS = ("g++", "clang++", "c++", "cl")


def require_compiler(device: torch.device) -> None:
    """Raise `EnvironmentFaultError` where torch.compile would find no compiler for `device`."""
    off = "or set train.compile=false: the run is the same without, only its steps take longer."
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise EnvironmentFaultError(
            f"train.compile is on, and Triton, which compiles for CUDA, is not installed. Install it: "
            f"pip install triton, {off}"
        )
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, [named] if named else _CPP_COMPILERS)):
        looked_for = named or ", ".join(_CPP_COMPILERS)
        raise EnvironmentFaultError(
            f"train.compile is on, and there is no C++ compiler (looked for {looked_for}). Install g++ or "
            f"clang, {off}"
        )


def compile_networks(task: Task[Any]) -> None:
    """Compile all that learns, in place: keys stay as they are. The first steps then take minutes."""
    SharedStatistics.keep_out_of_graphs()
    for network in networks_of(task).values():
        network.compile()
