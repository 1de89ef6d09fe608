"""What became of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from p2pcli.errors import ExitCode
from p2pcli.plan import Tally
from p2pcli.training.state import Measured


@dataclass
class TrainReport:
    """Counts, numbers and places. `tally` counts pairs: those that train and those that are measured."""

    tally: Tally
    output: Path
    steps: int
    """Steps behind us, those before a resume included."""
    total_steps: int
    epoch: int
    """Whole epochs behind us."""
    training_pairs: int
    validation_pairs: int
    device: str
    precision: str
    interrupted: bool = False
    is_dry_run: bool = False
    seconds: float = 0.0
    estimated_seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """l1 (mean absolute, range [-1, 1]), psnr (dB), ssim of the last validation."""
    baseline: Mapping[str, float] = field(default_factory=dict)
    """The same numbers of the untranslated input."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Kind of metadata → files that hold it; "pictures" → further pictures of files, which nothing reads."""
    best: Measured | None = None
    model: Path | None = None
    best_model: Path | None = None
    report_page: Path | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0, or 3 where pairs could not be read."""
        return ExitCode.ITEMS_FAILED if self.tally.failed else ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """Everything as JSON-able values."""
        best = self.best

        def text(path: Path | None) -> str | None:
            return None if path is None else path.as_posix()

        return {
            "output": self.output.as_posix(),
            "pairs": self.tally.as_json(),
            "training_pairs": self.training_pairs,
            "validation_pairs": self.validation_pairs,
            "steps": self.steps,
            "total_steps": self.total_steps,
            "epoch": self.epoch,
            "device": self.device,
            "precision": self.precision,
            "interrupted": self.interrupted,
            "dry_run": self.is_dry_run,
            "seconds": round(self.seconds, 3),
            "estimated_seconds": self.estimated_seconds,
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            "left_out": dict(self.left_out),
            "best": None if best is None else {"step": best.step, "epoch": best.epoch, **best.metrics},
            "model": text(self.model),
            "best_model": text(self.best_model),
            "report_page": text(self.report_page),
        }
