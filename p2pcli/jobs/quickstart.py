"""quickstart: the three verbs on photos and a film that come with p2p, within three minutes on two cores.

Ink drawings of photos and of a film's first shots → a small pix2pix → the film's last shot, which it has
never seen, drawn in ink and painted again, with its sound.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from p2pcli.errors import ExitCode, UsageError
from p2pcli.events import Event, Note, Observer, Stop, TrainProgress, ignore
from p2pcli.image import Sample
from p2pcli.inference.device import choose_device
from p2pcli.io.atomic import sweep_stale, write_bytes
from p2pcli.io.begun import is_begun, mark_begun, unmark_begun
from p2pcli.io.codec import encode
from p2pcli.io.contact_sheet import contact_sheet
from p2pcli.io.lock import locked
from p2pcli.io.video import frame_times, read_frames
from p2pcli.jobs.make_pairs import MakePairsReport, make_pairs
from p2pcli.jobs.train import train
from p2pcli.jobs.translate import translate
from p2pcli.plan import Tally

MATERIAL = Path(__file__).parent.parent / "quickstart_data"

MAKER_OPTIONS: dict[str, object] = {"method": "xdog", "epsilon": 0.22, "sigma": 0.9}
"""Ink drawings with dark areas: a fixed level of ink, so that dark scenes stay dark."""

SIZE_PX = 180
"""The film's height: the network is trained at the scale at which it will translate."""

# Batch 1, since the statistics that it trains with are then those it translates with. Depth 5 needs sides
# that are multiples of 32: 180 pads to 192, not to 256.
SETTINGS = (
    f"data.load_size={SIZE_PX}",
    "generator.depth=5",
    "train.batch_size=1",
    "train.sample_images=6",
)

TRAIN_SECONDS = 75.0
"""What training may take of the three minutes."""

_PATIENCE = 1.4
"""Training that was estimated too low may take so many times its seconds."""

_PROBE_STEPS = 1000
_FEWEST_STEPS, _MOST_STEPS = 60, 2000
_REVIEWS = 6
_VALIDATION_SHARE = 0.15
_SHOWN_FRAMES = 6


@dataclass
class QuickstartReport:
    """Where everything lies, and whether training was worth it."""

    output: Path
    tally: Tally
    """Pairs made, and files translated."""
    dataset: Path
    contact_sheet: Path
    run: Path
    model: Path | None = None
    report_page: Path | None = None
    translated: Path | None = None
    """The clip, translated."""
    comparison: Path | None = None
    """Frames of the clip beside their translations."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """l1 (mean absolute, range [-1, 1]), psnr (dB), ssim of the model on held-out pairs."""
    baseline: Mapping[str, float] = field(default_factory=dict)
    """The same of the untranslated input."""
    steps: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds of each verb."""
    planned_pairs: int = 0
    """Pairs that a dry run would make."""
    planned_bytes: int = 0
    """What they would take on the disk, about."""
    dry_run: bool = False
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def beats_input(self) -> bool:
        """True where the model is nearer to the truth than its input by all three measures."""
        if not self.metrics or not self.baseline:
            return False
        is_nearer = self.metrics["l1"] < self.baseline["l1"]
        return is_nearer and all(self.metrics[name] > self.baseline[name] for name in ("psnr", "ssim"))

    @property
    def exit_code(self) -> ExitCode:
        """0; 3 with failed items; 1 where a trained model does not beat its input."""
        if self.tally.failed:
            return ExitCode.ITEMS_FAILED
        return ExitCode.OK if self.dry_run or self.beats_input else ExitCode.UNEXPECTED

    def as_json(self) -> dict[str, object]:
        """Everything as JSON-able values."""
        paths = {
            "output": self.output,
            "dataset": self.dataset,
            "contact_sheet": self.contact_sheet,
            "run": self.run,
            "model": self.model,
            "report_page": self.report_page,
            "translated": self.translated,
            "comparison": self.comparison,
        }
        return {
            "job": "quickstart",
            **{name: None if path is None else path.as_posix() for name, path in paths.items()},
            "dry_run": self.dry_run,
            "planned_pairs": self.planned_pairs,
            "planned_bytes": self.planned_bytes,
            "steps": self.steps,
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            "beats_input": self.beats_input,
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "tally": self.tally.as_json(),
        }


def quickstart(
    output: str | Path = "p2p-quickstart",
    *,
    train_seconds: float = TRAIN_SECONDS,
    device: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> QuickstartReport:
    """Make pairs, train and translate with the shipped material, all below `output`.

    The number of training steps follows from the measured speed, so that training takes about
    `train_seconds` on any machine. A dry run counts the pairs and writes nothing. What an earlier call was
    stopped or killed at is made anew. Raises `UsageError` where `output` holds anything else and `overwrite`
    is not set, and what the three jobs raise.
    """
    began = time.monotonic()
    place, flag = Path(output), stop or Stop()
    choose_device(device)  # A wrong one ends the job here, not after its first third.
    report = QuickstartReport(
        output=place,
        tally=Tally(),
        dataset=place / "pairs",
        contact_sheet=place / "pairs" / "preview.png",
        run=place / "run",
    )
    with locked(*([] if dry_run else [place]), observe=observe):
        _require_free(place, overwrite=overwrite)
        if dry_run:
            _plan(report, seed=seed)
        else:
            _do(report, _Settings(train_seconds, device, seed), observe, flag)
    report.seconds = time.monotonic() - began
    return report


def _do(report: QuickstartReport, settings: _Settings, observe: Observer, stop: Stop) -> None:
    """All three verbs, each from its beginning."""
    mark_begun(report.output)
    sweep_stale(report.output)
    shutil.copytree(MATERIAL, report.output / "material", dirs_exist_ok=True)
    with _threads_put_back():
        for name, stage in (("make-pairs", _pairs), ("train", _train), ("translate", _translate)):
            since = time.monotonic()
            stage(report, settings, observe, stop)
            report.stages[name] = time.monotonic() - since
            if report.interrupted:
                break
    report.tally.close(interrupted=report.interrupted)
    if not report.interrupted:
        unmark_begun(report.output)


@dataclass(frozen=True)
class _Settings:
    train_seconds: float
    device: str
    seed: int


def _require_free(place: Path, *, overwrite: bool) -> None:
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file. Name a folder with -o.")
    holds_something = place.is_dir() and any(not path.name.startswith(".") for path in place.iterdir())
    if holds_something and not (overwrite or is_begun(place)):
        raise UsageError(
            f"{place} is not empty. Add --overwrite to make everything in it anew, or name another folder "
            "with -o."
        )


def _plan(report: QuickstartReport, *, seed: int) -> None:
    """Count what would be made: pairs, and the one clip that would be translated."""
    planned = _make_pairs(MATERIAL, report.dataset, seed=seed, dry_run=True)
    report.dry_run, report.planned_pairs = True, sum(planned.splits.values())
    report.planned_bytes = planned.bytes
    _count(report, planned.tally)
    report.tally.planned += 1
    report.tally.skipped["dry run"] += 1


def _make_pairs(
    material: Path,
    dataset: Path,
    *,
    seed: int,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> MakePairsReport:
    return make_pairs(
        "edges",
        [material / "photos", material / "film.mp4"],
        dataset,
        options=MAKER_OPTIONS,
        size=SIZE_PX,
        every="4",
        split=(1 - _VALIDATION_SHARE, _VALIDATION_SHARE, 0),
        seed=seed,
        overwrite=True,
        dry_run=dry_run,
        observe=observe,
        stop=stop,
    )


def _pairs(report: QuickstartReport, settings: _Settings, observe: Observer, stop: Stop) -> None:
    observe(Note("1 of 3  make-pairs: ink drawings of photos and of a film's first shots"))
    # From a copy of the material, so that every command that is printed can be typed again.
    material = report.output / "material"
    made = _make_pairs(material, report.dataset, seed=settings.seed, observe=observe, stop=stop)
    _count(report, made.tally)
    report.interrupted = made.interrupted


def _train(report: QuickstartReport, settings: _Settings, observe: Observer, stop: Stop) -> None:
    observe(Note("2 of 3  train: from ink drawings to photos"))
    steps, pairs = _affordable_steps(report, settings)
    epochs = max(1, steps // (pairs * _REVIEWS))
    guard = _Guard(
        observe, stop, seconds=_PATIENCE * settings.train_seconds, first_review=min(steps, epochs * pairs)
    )
    trained = train(
        report.dataset,
        recipe="quick",
        output=report.run,
        overrides=[*SETTINGS, f"train.steps={steps}", f"train.validate_every={epochs}"],
        device=settings.device,
        seed=settings.seed,
        overwrite=True,
        observe=guard.observe,
        stop=guard.stop,
    )
    best = trained.best
    report.metrics = trained.metrics if best is None else best.metrics
    report.baseline = trained.baseline
    report.steps, report.report_page = trained.steps, trained.report_page
    report.model = trained.best_model or trained.model
    report.tally.failed += trained.tally.failed
    report.tally.planned += len(trained.tally.failed)
    report.interrupted = trained.interrupted and stop.is_set()


def _affordable_steps(report: QuickstartReport, settings: _Settings) -> tuple[int, int]:
    """Steps that fit into the time, at the speed measured here; and the number of training pairs.

    Leaves torch with as many threads as are fastest. So small a network gains little from several, and
    where other programs use the cores it loses much: threads then wait for each other.
    """
    found = {}
    for threads in {torch.get_num_threads(), 1}:
        torch.set_num_threads(threads)
        probe = train(
            report.dataset,
            recipe="quick",
            output=report.run,
            overrides=[*SETTINGS, f"train.steps={_PROBE_STEPS}"],
            device=settings.device,
            seed=settings.seed,
            overwrite=True,
            dry_run=True,
        )
        found[threads] = (probe.estimated_seconds or settings.train_seconds) / _PROBE_STEPS
    torch.set_num_threads(min(found, key=lambda threads: found[threads]))
    steps = int(settings.train_seconds / min(found.values()))
    return min(max(steps, _FEWEST_STEPS), _MOST_STEPS), probe.training_pairs


@contextmanager
def _threads_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Guard:
    """Ends training in time where the machine slows down, though not before the first validation."""

    def __init__(self, observe: Observer, stop: Stop, *, seconds: float, first_review: int) -> None:
        self.stop = Stop()
        self._observe = observe
        self._outer = stop
        self._end = time.monotonic() + seconds
        self._first_review = first_review

    def observe(self, event: Event) -> None:
        """Pass the event on; stop where the time is over or the caller asks for it."""
        if isinstance(event, TrainProgress):
            is_late = time.monotonic() > self._end and event.step > self._first_review
            if self._outer.is_set() or is_late:
                self.stop.set()
        self._observe(event)


def _translate(report: QuickstartReport, settings: _Settings, observe: Observer, stop: Stop) -> None:
    observe(Note("3 of 3  translate: the film's last shot, which the model has never seen"))
    clip = report.output / "material" / "clip.mp4"
    done = translate(
        [clip],
        model=report.run,
        output=report.output / "translated",
        device=settings.device,
        seed=settings.seed,
        overwrite=True,
        observe=observe,
        stop=stop,
    )
    _count(report, done.tally)
    report.interrupted = done.interrupted
    translated = report.output / "translated" / clip.name
    if translated.is_file():
        report.translated = translated
        report.comparison = report.output / "comparison.png"
        _compare(clip, translated, report.comparison)


def _compare(before: Path, after: Path, sheet: Path) -> None:
    """Write frames of two films side by side, evenly spaced."""
    pictures = []
    for path in (before, after):
        times = frame_times(path)
        shown = times[:: max(1, len(times) // _SHOWN_FRAMES)][:_SHOWN_FRAMES]
        with read_frames(path, pts=shown) as frames:
            pictures.append([frame.image for frame in frames])
    pairs = enumerate(zip(*pictures, strict=True), start=1)
    samples = [Sample(f"frame {number}", one, other) for number, (one, other) in pairs]
    write_bytes(sheet, encode(contact_sheet(samples, columns=2, cell_px=320), ".png"))


def _count(report: QuickstartReport, tally: Tally) -> None:
    report.tally.planned += tally.planned
    report.tally.written += tally.written
    report.tally.skipped = Counter(report.tally.skipped) + Counter(tally.skipped)
    report.tally.failed += tally.failed
