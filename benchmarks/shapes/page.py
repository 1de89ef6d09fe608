"""docs/results.md: numbers, pictures and verdicts as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from p2pcli.inference.device import choose_device, describe_device
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode
from shapes.data import LABELS, SIDE_PX
from shapes.experiments import EXPERIMENTS, REAL
from shapes.measures import MEASURES, Results
from shapes.runs import RUNS
from shapes.strips import strip
from shapes.training import Finished
from shapes.trial import Fall, Outcome
from shapes.verdicts import Difference

_JPEG_QUALITY = 85

_HEAD = f"""# Published shapes of result, at the size of a CPU

What the family's papers report, tried with p2p on real pictures: {SIDE_PX} px, narrow networks, few steps.
Not the papers' numbers, but which of two settings comes out ahead. This page and its pictures are written by

```bash
python benchmarks/results.py --data DATA
```

from a folder with `pairs/earth`, `photos` and `kodak24`. Finished runs are kept and not repeated;
`--only a,d` takes some of the claims, `--budget 0.01` a hundredth of the steps.
"""

_DATA = f"""## Data

- Earth: squares of {SIDE_PX} px of a map of heights (ETOPO1, NOAA), of labels read from its colours
  ({", ".join(LABELS)}) and of a satellite's view of the same place (Blue Marble, NASA). The labels
  say little of a land's colour, so labels → satellite has many answers, as labels → photo has in the papers.
  Squares that are nearly all one label are left out. Training and held-out tiles are different places.
- Photos: plain ones to train on, the 24 of Kodak to measure super-resolution on. The three that are shown are
  CC0 (budgie-backgrounds), and no run trained on them.
"""

_JUDGED = """A claim is tried by differences between rows, each with its 95 % interval: held-out pictures are
drawn with replacement 1000 times, the same ones for both rows. A difference holds where the interval lies
above 0. Where all hold, the claim is **shown**; where some do, **shown in part**; else **not shown at this
size**.
"""

_LIMITS = """## Limits

- One seed each. The intervals are those of the pictures, not of the training: another seed may move a number
  by more than they are wide, most of all where there is neither L1 nor feature matching.
- Minutes of training each, where the papers have hours on GPUs: what is compared is early training.
- The papers' scores are of Cityscapes and other data; the numbers here stand beside them for their order.
- Without VGG19's weights pix2pixHD, SPADE and SRGAN lack their perceptual term: SRGAN is the paper's variant
  on pixels (SRGAN-MSE).
- SPADE and pix2pixHD see one picture a step, so that each picture is normalised by itself.
"""


def write_page(
    path: Path, outcomes: Mapping[str, Outcome], runs: Mapping[str, Finished], *, budget: float
) -> None:
    """Write the page and, in a folder of its name beside it, a JPEG for each experiment."""
    parts = [_HEAD, _summary(outcomes), _made_on(runs, budget), _DATA, _measures(outcomes), _JUDGED]
    for letter, outcome in outcomes.items():
        picture = path.with_suffix("") / f"{letter}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(picture, encode(strip(outcome.shown), ".jpg", quality=_JPEG_QUALITY))
        parts.append(_section(letter, outcome, f"{picture.parent.name}/{picture.name}"))
    parts += [_runs(runs), _LIMITS]
    write_bytes(path, "\n".join(parts).encode())


def _summary(outcomes: Mapping[str, Outcome]) -> str:
    rows = []
    for letter, experiment in EXPERIMENTS.items():
        word = f"**{outcomes[letter].verdict}**" if letter in outcomes else "not run"
        rows.append(f"| {letter} | {experiment.claim} | {word} |")
    return "\n".join(["| | claim | here |", "|---|---|---|", *rows, ""])


def _made_on(runs: Mapping[str, Finished], budget: float) -> str:
    minutes = sum(run.cpu_seconds for run in runs.values()) / 60
    steps = "" if budget == 1 else f" This page was made with {budget:g} times the steps."
    place = describe_device(choose_device("auto"))
    precisions = ", ".join(sorted({run.precision for run in runs.values()}))
    return (
        f"Made on {place} a run, {precisions}, torch {torch.__version__}, "
        f"Python {platform.python_version()}: {minutes:.0f} minutes of processor time to train {len(runs)} "
        f"runs.{steps}\n"
    )


def _measures(outcomes: Mapping[str, Outcome]) -> str:
    used = dict.fromkeys(name for each in outcomes.values() for name in each.experiment.measures)
    meanings: dict[str, list[str]] = {}
    for name in used:
        meanings.setdefault(MEASURES[name].about, []).append(MEASURES[name].title)
    rows = [f"| {', '.join(titles)} | {about} |" for about, titles in meanings.items()]
    return "\n".join(["## What is measured", "", "| column | what it is |", "|---|---|", *rows, ""])


def _section(letter: str, outcome: Outcome, picture: str) -> str:
    experiment = outcome.experiment
    lines = [f"## ({letter}) {experiment.claim}", "", f"{experiment.source}.", "", *_table(outcome), ""]
    lines += [f"![{experiment.claim}]({picture})", ""]
    if experiment.note:
        lines += [f"{experiment.note}.", ""]
    lines += [_difference_line(each) for each in outcome.differences]
    lines += [_fall_line(each) for each in outcome.falls]
    return "\n".join([*lines, "", f"Verdict: **{outcome.verdict}**.", ""])


def _table(outcome: Outcome) -> list[str]:
    names = outcome.experiment.measures
    head = ["", *(MEASURES[name].title for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for title, results in outcome.rows.items():
        lines.append(f"| {title} | {' | '.join(_cell(name, title, results) for name in names)} |")
    return lines


def _cell(name: str, title: str, results: Results) -> str:
    measure = MEASURES[name]
    if title == REAL and measure.compares:
        return "–"
    return f"{measure.value(measure.statistics(results).sum(axis=0)):.{measure.digits}f}"


def _difference_line(each: Difference) -> str:
    measure = MEASURES[each.check.measure]
    digits = measure.digits
    mark = "holds" if each.holds else "does not hold"
    return (
        f"- {measure.title}, {each.check.more} above {each.check.less}: {each.value:+.{digits}f} "
        f"[{each.low:+.{digits}f}, {each.high:+.{digits}f}]: {mark}"
    )


def _fall_line(fall: Fall) -> str:
    mark = "holds" if fall.holds else "does not hold"
    terms = " + ".join(f"`{term}`" for term in fall.terms)
    change = f"{fall.first:.2f} → {fall.last:.2f}"
    return f"- {terms} in training, weighted, first to last twentieth of the steps: {change}: {mark}"


def _runs(runs: Mapping[str, Finished]) -> str:
    head = "| run | recipe | changed | steps | training pictures | minutes of processor time |"
    lines = ["## The runs", "", head, "|---|---|---|---|---|---|"]
    for name, run in runs.items():
        table = RUNS[name]
        changes = " ".join(f"`{change}`" for change in table.overrides)
        cells = [name, table.recipe, changes, run.steps, run.training_pictures, f"{run.cpu_seconds / 60:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])
