"""Which device a run computes on, and what to say where it is not there or too small."""

from __future__ import annotations

import re

import torch

from p2pcli.errors import EnvironmentFaultError, UsageError


def choose_device(name: str = "auto") -> torch.device:
    """The device called "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises `UsageError` for another word and `EnvironmentFaultError` for a device that is not there; both
    list what is.
    """
    there = available_devices()
    if name == "auto":
        return torch.device(there[0])
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise UsageError(
            f"--device {name}: expected auto, cpu, cuda, cuda:N or mps. Here: {', '.join(there)}."
        )
    if (f"{name}:0" if name == "cuda" else name) not in there:
        reason = "" if name == "mps" or torch.version.cuda else " (this torch was built without CUDA)"
        raise EnvironmentFaultError(
            f"--device {name} is not available on this machine{reason}. Here: {', '.join(there)}. "
            f"Use --device auto."
        )
    return torch.device(name)


def available_devices() -> list[str]:
    """Names of the devices that torch can use here, fastest first; the CPU is always last."""
    names = (
        [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def describe_device(device: torch.device) -> str:
    """The device as people know it: "NVIDIA H100 (cuda:0)", "CPU, 2 threads"."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"CPU, {count} thread{'' if count == 1 else 's'}"
    return "Apple GPU (mps)"


def is_out_of_memory(error: BaseException) -> bool:
    """True for torch's several ways to say that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
