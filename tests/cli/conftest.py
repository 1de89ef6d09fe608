"""A way to run command lines in the process, and jobs that only record what they were called with."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from p2pcli.cli import main
from p2pcli.errors import ExitCode
from p2pcli.plan import Tally


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `p2p WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: object) -> Ended:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@dataclass
class FakeReport:
    """What a recording job gives back; it has what the reports of all verbs have."""

    output: Path
    splits: dict[str, int] = field(default_factory=lambda: {"train": 2, "validation": 1})
    shards: int = 2
    bytes: int = 1_500_000
    preview: Path | None = None
    nothing_to_do: bool = False
    outputs: list[str] = field(default_factory=lambda: ["made/a.png"])
    model: Path | None = Path("made/model.safetensors")
    frames: int = 0
    frames_failed: int = 0
    unfinished_film: str = ""
    steps: int = 5
    total_steps: int = 10
    training_pairs: int = 2
    validation_pairs: int = 1
    device: str = "cpu"
    estimated_seconds: float | None = 90.0
    tally: Tally = field(default_factory=lambda: Tally(planned=3, written=3))
    interrupted: bool = False
    seconds: float = 1.0

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.ITEMS_FAILED if self.tally.failed else ExitCode.OK

    def as_json(self) -> dict[str, object]:
        return {"output": str(self.output), "written": self.tally.written}


@dataclass
class FakeJob:
    """Stands in for a job: keeps its arguments, raises or returns what a test sets."""

    verb: str
    args: tuple[object, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    raises: BaseException | None = None
    report: FakeReport = field(default_factory=lambda: FakeReport(Path("made")))
    during: Callable[[dict[str, object]], None] = lambda options: None

    def __call__(self, *args: object, **options: object) -> FakeReport:
        self.args, self.options = args, options
        self.during(options)
        if self.raises is not None:
            raise self.raises
        return self.report


@pytest.fixture
def fake_job(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FakeJob]:
    """Replaces the job of a verb ("train") by one that records."""

    def fake_job(verb: str) -> FakeJob:
        job = FakeJob(verb)
        monkeypatch.setattr(importlib.import_module(f"p2pcli.jobs.{verb}"), verb, job)
        return job

    return fake_job
