"""How the step benchmarks time: steps in turn, and the machine's own rate at a step's convolutions."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_FORWARD, _BACKWARD = torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default


@dataclass(frozen=True)
class Pass:
    """One convolution, forward, or backward for what `wanted` says of its input, weight and bias."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    is_transposed: bool
    output_padding: tuple[int, ...]
    wanted: tuple[bool, bool, bool] | None
    """None: forward."""
    positions: int
    """Where the weights are applied, over all samples."""

    @property
    def gflop(self) -> float:
        """Multiplications and additions, in 10⁹."""
        halves = 1 if self.wanted is None else sum(self.wanted[:2])
        rows, columns, *kernel = self.weight
        return 2 * self.positions * rows * columns * torch.Size(kernel).numel() * halves / 1e9


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.passes: Counter[Pass] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is _FORWARD:
            x, weight, _, *rest = args[:8]
            self._note(x, weight, rest, wanted=None, large=x if rest[3] else result)
        elif func is _BACKWARD:
            gradient, x, weight, _, *rest = args[:9]
            self._note(x, weight, rest, wanted=tuple(args[10]), large=x if rest[3] else gradient)
        return result

    def _note(self, x: Any, weight: Any, rest: list[Any], *, wanted: Any, large: Any) -> None:
        stride, padding, dilation, is_transposed, output_padding = rest
        shapes = (tuple(x.shape), tuple(weight.shape), tuple(stride), tuple(padding), tuple(dilation))
        positions = large.shape[0] * large.shape[2:].numel()
        self.passes[Pass(*shapes, is_transposed, tuple(output_padding), wanted, positions)] += 1


def convolutions_of(step: Callable[[], object]) -> Mapping[Pass, int]:
    """Every convolution that one call of `step` makes, forward and backward, and how often."""
    with _Recorder() as recorder:
        step()
    return recorder.passes


def bf16_seconds(work: Pass, *, repeats: int = 4) -> float:
    """Best seconds of `work` alone, in bfloat16, channels last."""
    layout = torch.channels_last
    x = torch.randn(work.x, dtype=torch.bfloat16).contiguous(memory_format=layout)
    weight = torch.randn(work.weight, dtype=torch.bfloat16).contiguous(memory_format=layout)
    settings = (work.stride, work.padding, work.dilation, work.is_transposed, work.output_padding, 1)
    with torch.no_grad():
        gradient = torch.ops.aten.convolution(x, weight, None, *settings)
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            if work.wanted is None:
                torch.ops.aten.convolution(x, weight, None, *settings)
            else:
                # A bias's gradient is a sum over the output, which is no convolution.
                wanted = [*work.wanted[:2], False]
                torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings, wanted)
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def ceiling(passes: Mapping[Pass, int]) -> tuple[float, float, float]:
    """GFLOP of all `passes`; GFLOP/s of the best of them; GFLOP/s over all, each at its own best."""
    work = seconds = best = 0.0
    for one, count in passes.items():
        alone = bf16_seconds(one)
        work += one.gflop * count
        seconds += alone * count
        best = max(best, one.gflop / alone)
    return work, best, work / seconds


def alternate(steps: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each call of each step, in turn: a busy machine slows all alike. Warm them up before."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def paired_ratio(slow: list[float], fast: list[float]) -> float:
    """The median over rounds of how many times `slow` takes what `fast` takes."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
