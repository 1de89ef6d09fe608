"""What happens every so many epochs: validation, a sample grid, the best model, the report page."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from torch import nn

from p2pcli.errors import ItemError
from p2pcli.events import Note, Observer
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode
from p2pcli.recipe import Recipe
from p2pcli.tasks.networks import model_state
from p2pcli.training.data import TrainingData
from p2pcli.training.failures import FailureLog
from p2pcli.training.report_page import write_report
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.samples import draw_grid
from p2pcli.training.schedule import total_epochs, total_steps
from p2pcli.training.stages import stage_at, stages_of
from p2pcli.training.state import Measured, TrainState
from p2pcli.training.validation import (
    VALIDATIONS,
    HeldOut,
    Outcome,
    is_better,
    measure_baseline,
    metrics_text,
    spread,
)

_GRIDS = 50
"""About so many sample grids a run, so that 200 epochs on few pairs do not fill the disk."""

_REPORT_SHARE = 0.02


@dataclass
class Review:
    """Measures and shows a run on fixed pairs. `is_validation` is False where they are training pairs."""

    folder: RunFolder
    observe: Observer
    last_step: int
    grid_epochs: int = 1
    """Epochs between two sample grids; there is always one after the last step."""
    held_out: HeldOut = field(default_factory=lambda: HeldOut((), ()))
    is_validation: bool = False
    baseline: dict[str, float] = field(default_factory=dict)
    _last_report: float = field(default_factory=time.monotonic)
    _report_seconds: float = 0.0

    def look_at(self, pairs: TrainingData, *, recipe: Recipe, failures: FailureLog) -> tuple[str, ...]:
        """Measure on `pairs` from here on; the keys that were tried."""
        train = recipe.train
        held_out, tried = load_held_out(
            pairs, count=train.validation_images, shown=train.sample_images, failures=failures
        )
        self.held_out = held_out
        self.is_validation = bool(pairs.split.validation and held_out.keys)
        has_baseline = self.is_validation and recipe.task == "paired"
        self.baseline = measure_baseline(held_out.squares) if has_baseline else {}
        return tried if self.is_validation else ()

    def run(self, run: TrainState, log: RunLog) -> None:
        """Validate, remember the best, write samples and report. Changes nothing that training depends on."""
        recipe = run.recipe
        start = time.monotonic()
        found = self._measured(run.generators, run, shown=recipe.train.sample_images)
        size = {"size": run.size} if recipe.train.stages else {}
        caption = f"step {run.step}, epoch {run.position.epoch}" + (f", {run.size} px" if size else "")
        if self.is_validation:
            metrics = found.metrics
            run.measured = Measured(run.step, run.position.epoch, metrics)
            self._keep_if_best(run, metrics)
            seconds = round(time.monotonic() - start, 3)
            row = {
                "epoch": run.position.epoch,
                **size,
                **metrics,
                "baseline": self.baseline,
                "seconds": seconds,
            }
            log.write("validation", run.step, row)
            text = metrics_text(metrics)
            self.observe(Note(f"validation at {caption}: {text}", level="detail"))
            caption += f": {text}"
        if found.rows and (run.step == self.last_step or run.position.epoch % self.grid_epochs == 0):
            grid = draw_grid(found.rows, caption=caption, columns=found.columns)
            path = self.folder.samples / f"step-{run.step:08d}.png"
            write_bytes(path, encode(grid, ".png"))
            log.picture(run.step, grid)
        self._refresh_report()

    def figures_of(self, generators: nn.ModuleDict, run: TrainState) -> dict[str, float]:
        """What `generators`, of the kind that `run` trains, are measured at; changes nothing."""
        return self._measured(generators, run, shown=0).metrics

    def _measured(self, generators: nn.ModuleDict, run: TrainState, *, shown: int) -> Outcome:
        validate = VALIDATIONS[run.recipe.task]
        return validate(generators, run.recipe, self.held_out, precision=run.precision, shown=shown)

    def _refresh_report(self) -> None:
        """Draw the page anew, unless that would take over 2 % of the time; the job draws it at the end."""
        start = time.monotonic()
        if (start - self._last_report) * _REPORT_SHARE >= self._report_seconds:
            write_report(self.folder)
            self._last_report = time.monotonic()
            self._report_seconds = self._last_report - start

    def _keep_if_best(self, run: TrainState, metrics: dict[str, float]) -> None:
        name = run.recipe.train.best_metric
        before = None if run.best is None else run.best.metrics[name]
        if is_better(metrics[name], before, metric=name):
            run.best = run.measured
            state = model_state(run.generators)
            run.best_weights = {key: value.detach().to("cpu", copy=True) for key, value in state.items()}


def load_held_out(
    pairs: TrainingData, *, count: int, shown: int, failures: FailureLog
) -> tuple[HeldOut, tuple[str, ...]]:
    """The pairs to measure and show, evenly spread over the validation keys, and the keys that were tried.

    Without validation keys `shown` training pairs take their place. Those that cannot be read are recorded
    and left out.
    """
    pool = pairs.split.validation or pairs.split.train
    tried = spread(pool, count if pairs.split.validation else shown)
    found = []
    for key in tried:
        try:
            if key not in failures:
                found.append((key, pairs.validation_square(key)))
        except ItemError as error:
            failures.record(key, error)
    return HeldOut(tuple(key for key, _ in found), tuple(square for _, square in found)), tried


def new_review(
    pairs: TrainingData, run: TrainState, *, folder: RunFolder, failures: FailureLog, observe: Observer
) -> tuple[Review, tuple[str, ...]]:
    """A review on pairs loaded now, at the size where the run stands; and the validation keys that were
    tried."""
    train, count = run.recipe.train, len(pairs.split.train)
    reviews = total_epochs(train, count) // train.validate_every
    review = Review(
        folder,
        observe,
        last_step=total_steps(train, count),
        grid_epochs=train.validate_every * -(-max(1, reviews) // _GRIDS),
    )
    stage = stage_at(stages_of(run.recipe, count=count), run.step)
    return review, review.look_at(pairs.sized(stage.size), recipe=run.recipe, failures=failures)
