"""A run's curves and sample grids for TensorBoard as well; an extra, which the run does not depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from p2pcli.errors import EnvironmentFaultError
from p2pcli.image import Image


def require_tensorboard() -> None:
    """Raise `EnvironmentFaultError` where the extra is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise EnvironmentFaultError(
            "train.tensorboard is on, and TensorBoard is not installed. Install it with pip install "
            "'p2pcli[tensorboard]', or set train.tensorboard=false: report.html shows the same curves."
        ) from None


class TensorBoardMirror:
    """Writes what the run's log gets, and the sample grids, as event files."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """`step`: where the run stands; what an earlier start wrote after it is hidden."""
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """Every number of a row, under the row's kind: "step/losses/l1", "validation/ssim"."""
        for name, value in _numbers(values):
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        self._writer.flush()

    def picture(self, step: int, grid: Image) -> None:
        """A sample grid."""
        self._writer.add_image("samples", grid, step, dataformats="HWC")
        self._writer.flush()


def _numbers(values: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{inner}", number) for inner, number in _numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
