"""Runs carried out through the public API; finished ones are kept, those that were ended halfway go on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2pcli import load_model, train
from p2pcli.errors import ResumeMismatchError
from p2pcli.events import Event, Note, Observer, TrainProgress
from p2pcli.image import Image
from p2pcli.io.atomic import write_bytes
from p2pcli.jobs.train_report import TrainReport
from shapes.runs import RUNS, Run

_FEWEST_STEPS = 2
_TELL_SECONDS = 30.0
_FEW_SAMPLES = ("train.validate_every=1000000", "train.validation_images=8", "train.keep_last=1")


@dataclass(frozen=True)
class Finished:
    """A run that came to its end: where its model and log are, and what it cost."""

    folder: Path
    steps: int
    cpu_seconds: float
    """Processor time of all threads, which other work on the machine does not lengthen."""
    precision: str
    training_pictures: int

    @property
    def model(self) -> Path:
        """The generator after the last step. (The best one by SSIM would favour blur.)"""
        return self.folder / "model.safetensors"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.folder / "log.jsonl"


def finish(name: str, *, data: Path, runs: Path, budget: float) -> Finished:
    """Train run `name` to its end in its folder below `runs`, unless that was done with the same settings.

    `data` holds the training sets. `budget` times the run's steps are made.
    """
    run, folder = RUNS[name], runs / name
    steps = max(_FEWEST_STEPS, round(run.steps * budget))
    init = []
    if run.begins_with is not None:
        init = [finish(run.begins_with, data=data, runs=runs, budget=budget).model]
    settings = [f"recipe={run.recipe}", *run.overrides, f"train.steps={steps}"]
    record = folder / "finished.json"
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.pop("settings", None) == settings:
        return Finished(folder, **known)
    record.unlink(missing_ok=True)
    overrides = [*run.overrides, *_FEW_SAMPLES, f"train.steps={steps}"]
    print(f"{name}: {steps} steps", flush=True)
    began = time.process_time()
    report = _train(run, data / run.data, folder=folder, overrides=overrides, init=init)
    known = {
        "steps": steps,
        "cpu_seconds": time.process_time() - began,
        "precision": report.precision,
        "training_pictures": report.training_pairs,
    }
    write_bytes(record, json.dumps({"settings": settings, **known}, indent=1).encode())
    return Finished(folder, **known)


def translated(model: Path, pictures: Sequence[Image], *, direction: str | None = None) -> tuple[Image, ...]:
    """What a finished run's model makes of `pictures`, as `p2p translate` would."""
    translator = load_model(model, direction=direction)
    return tuple(translator(picture) for picture in pictures)


def _train(run: Run, data: Path, *, folder: Path, overrides: list[str], init: list[Path]) -> TrainReport:
    """Go on with what lies in `folder` where that is the same run; else begin it anew."""
    begun = (folder / "run.json").is_file()
    for resume in (True, False) if begun else (False,):
        try:
            return train(
                data,
                recipe=run.recipe,
                output=folder,
                overrides=overrides,
                init=init,
                resume=resume,
                overwrite=not resume,
                observe=_teller(),
            )
        except ResumeMismatchError:
            if not resume:
                raise
    raise AssertionError("the last attempt does not resume")


def _teller() -> Observer:
    """Prints warnings, and now and then where the run stands."""
    told = time.monotonic()

    def tell(event: Event) -> None:
        nonlocal told
        if isinstance(event, Note) and event.level == "warning":
            print(f"  {event.text}", flush=True)
        elif isinstance(event, TrainProgress) and time.monotonic() - told > _TELL_SECONDS:
            told = time.monotonic()
            left = f", {event.seconds_left:.0f} s left" if event.seconds_left is not None else ""
            print(f"  step {event.step}, {event.images_per_second:.1f} images/s{left}", flush=True)

    return tell
