"""TensorBoard beside the log, with a writer that stands in for the extra."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from p2pcli.errors import EnvironmentFaultError
from p2pcli.jobs.train import train


class Writer:
    """What torch's SummaryWriter is to the mirror; keeps the calls."""

    made: list[Writer]

    def __init__(self, folder: str, *, purge_step: int) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, int]] = []
        self.images: list[tuple[str, int, tuple[int, ...]]] = []
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, step))

    def add_image(self, name: str, image: Any, step: int, *, dataformats: str) -> None:
        assert dataformats == "HWC"
        self.images.append((name, step, image.shape))

    def flush(self) -> None:
        """Nothing to write."""


def test_curves_and_grids_go_to_event_files(
    tiny: list[str], side_by_side: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [], raising=False)
    changes = [*tiny, "train.steps=3", "train.tensorboard=true"]
    train(side_by_side(4), recipe="pix2pix", output=tmp_path / "run", overrides=changes)
    (writer,) = Writer.made
    assert (writer.folder, writer.purge_step) == (str(tmp_path / "run" / "tensorboard"), 1)
    assert {("step/losses/l1", 1), ("step/learning_rate", 3), ("validation/ssim", 3)} <= set(writer.scalars)
    assert [(name, step) for name, step, _ in writer.images][-1] == ("samples", 3)


def test_a_missing_extra_is_said_before_anything_is_written(
    tiny: list[str], side_by_side: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EnvironmentFaultError, match=r"pip install 'p2pcli\[tensorboard\]'"):
        train(side_by_side(4), output=tmp_path / "run", overrides=[*tiny, "train.tensorboard=true"])
    assert not (tmp_path / "run").exists()
