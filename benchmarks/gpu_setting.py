"""What all parts of the GPU benchmark share: the device, the time left, timing with a device's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

Row = dict[str, object]


@dataclass(frozen=True)
class Setting:
    """Where and how long to measure."""

    device: torch.device
    folder: Path
    is_tiny: bool
    until: float

    def is_over(self) -> bool:
        """True where no further row may begin."""
        return time.monotonic() > self.until

    def wait(self) -> None:
        """Return once the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], object], *, least: float = 0.5, most: int = 50) -> float:
        """Seconds of one `call`, the mean over about `least` seconds, after two to warm up."""
        for _ in range(1 if self.is_tiny else 2):
            call()
        self.wait()
        count, began = 0, time.perf_counter()
        while count < (1 if self.is_tiny else most) and (count == 0 or time.perf_counter() - began < least):
            call()
            count += 1
            if count % 4 == 0:
                self.wait()
        self.wait()
        return (time.perf_counter() - began) / count

    def start_peak(self) -> None:
        """Begin to watch the device's memory."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gb(self) -> float | None:
        """The highest allocation since `start_peak`, in 10⁹ bytes; None without CUDA."""
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.device.type == "cuda" else None
