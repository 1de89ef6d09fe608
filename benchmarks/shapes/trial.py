"""Carries out an experiment: its runs trained, what they make of held-out pictures, the claim judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from p2pcli.image import Image
from p2pcli.training.runlog import read_log
from shapes.data import SHOWN_TILES, HeldOut, earth, kodak, labels_of, nearest_labels, prepare, shown_photos
from shapes.experiments import BICUBIC, REAL, Experiment, Falls
from shapes.measures import Results
from shapes.training import Finished, finish, translated
from shapes.verdicts import Difference, difference, verdict

_SHARE_OF_LOG = 0.05


@dataclass(frozen=True)
class Fall:
    """A loss at the beginning and at the end of a run: means over a twentieth of its steps."""

    terms: tuple[str, ...]
    first: float
    last: float

    @property
    def holds(self) -> bool:
        """Lower at the end."""
        return self.last < self.first


@dataclass(frozen=True)
class Outcome:
    """Rows of the table and of the picture, the differences, and what they say of the claim."""

    experiment: Experiment
    rows: dict[str, Results]
    shown: dict[str, Results]
    differences: list[Difference]
    falls: list[Fall]

    @property
    def verdict(self) -> str:
        """One for all checks."""
        return verdict([check.holds for check in (*self.differences, *self.falls)])


@dataclass
class Workshop:
    """Where data and runs lie. `finished` fills with every run that was asked for."""

    source: Path
    output: Path
    budget: float
    finished: dict[str, Finished] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The training sets."""
        return self.output / "data"

    def prepare(self) -> None:
        """Cut the training sets, once."""
        prepare(self.source, self.data)

    def run(self, name: str) -> Finished:
        """The run `name`, trained now if need be."""
        if name not in self.finished:
            runs = self.output / "runs"
            self.finished[name] = finish(name, data=self.data, runs=runs, budget=self.budget)
        return self.finished[name]

    def carry_out(self, experiment: Experiment) -> Outcome:
        """Train, translate, measure and judge."""
        for name in experiment.rows.values():
            self.run(name)
        held_out, shown = self._held_out(experiment.task)
        rows, shown_rows = (self._rows(experiment, pictures) for pictures in (held_out, shown))
        differences = [difference(check, rows) for check in experiment.checks]
        falls = [_fall(of, self.run(of.run)) for of in experiment.falls]
        return Outcome(experiment, rows, shown_rows, differences, falls)

    def _held_out(self, task: str) -> tuple[HeldOut, HeldOut]:
        """What is measured, and what is shown."""
        if task == "photos":
            return kodak(self.source), shown_photos(self.source)
        squares = earth(self.data, task=task)
        return squares, squares.only(SHOWN_TILES)

    def _rows(self, experiment: Experiment, held_out: HeldOut) -> dict[str, Results]:
        read = self._reader(experiment.task)
        rows = {}
        if held_out.plain:
            rows[BICUBIC] = Results(held_out, held_out.plain, read)
        for title, name in experiment.rows.items():
            model = self.run(name).model
            pictures, returned = translated(model, held_out.inputs), ()
            if experiment.task == "domains":
                returned = translated(model, pictures, direction="BtoA")
            rows[title] = Results(held_out, pictures, read, returned)
        rows[REAL] = Results(held_out, held_out.targets, read)
        return rows

    def _reader(self, task: str) -> Callable[[Sequence[Image]], list[Image]]:
        """What reads labels off pictures: the nearest colour, for satellite pictures through a network."""
        if task not in ("satellite", "domains"):
            return partial(_read_all, labels_of)
        model = self.run("reader").model

        def read(pictures: Sequence[Image]) -> list[Image]:
            return _read_all(nearest_labels, translated(model, pictures))

        return read


def _read_all(read: Callable[[Image], Image], pictures: Sequence[Image]) -> list[Image]:
    return [read(picture) for picture in pictures]


def _fall(of: Falls, run: Finished) -> Fall:
    rows = [row["losses"] for row in read_log(run.log) if row["kind"] == "step"]
    sums = [sum(float(losses[term]) for term in of.terms) for losses in rows if isinstance(losses, dict)]
    count = max(1, round(_SHARE_OF_LOG * len(sums)))
    return Fall(of.terms, float(np.mean(sums[:count])), float(np.mean(sums[-count:])))
