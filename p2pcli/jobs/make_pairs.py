"""make-pairs: photos and films → a Parquet dataset of input/target pairs, resumable shard by shard."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from p2pcli.errors import ExitCode, NothingMatchedError, UsageError
from p2pcli.events import Advanced, Ended, Note, Observer, Started, Stop, ignore
from p2pcli.image import Fit, Kernel
from p2pcli.io.atomic import flush_files
from p2pcli.io.base import Listing
from p2pcli.io.groups import Rule
from p2pcli.io.left_out import metadata_text, pictures_text
from p2pcli.io.listing import list_media
from p2pcli.io.lock import locked
from p2pcli.io.places import path_of, paths_of, real, require_folder, require_outside
from p2pcli.jobs import pairs_output
from p2pcli.jobs.pairs_estimate import estimate_bytes
from p2pcli.jobs.pairs_pictures import Layout, PictureChoice, choose_pictures
from p2pcli.jobs.pairs_plan import Encoding, PairSettings, PairsPlan, build_plan, parse_sampling
from p2pcli.jobs.pairs_pool import run_shards
from p2pcli.jobs.pairs_split import check_split
from p2pcli.jobs.pairs_worker import ShardRecord
from p2pcli.pairs import draw_options, maker_named
from p2pcli.plan import MAX_SEED, Tally

_STAGE = "make-pairs"
_OUTPUT_REASON = "the output"


@dataclass
class MakePairsReport:
    """What a make-pairs run planned and did."""

    maker: str
    output: Path
    tally: Tally
    """Counted in pairs; files that are no media count as skipped."""
    splits: dict[str, int]
    """Pairs of each split: written, or planned in a dry run."""
    shards: int
    bytes: int
    """Size of the shards; estimated in a dry run."""
    preview: Path | None = None
    """The contact sheet; None where none was written."""
    already_done: int = 0
    """Shards found finished from an earlier run."""
    dry_run: bool = False
    interrupted: bool = False
    seconds: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict)
    """Kind of metadata → sources whose pair does not carry it; "pictures" → further pictures of files."""
    kept: dict[str, int] = field(default_factory=dict)
    """Kind of metadata → sources whose own bytes are the target, and carry it."""
    plan_sha256: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def nothing_to_do(self) -> bool:
        """True where the dataset was complete before."""
        return not self.dry_run and not self.interrupted and self.already_done == self.shards > 0

    @property
    def exit_code(self) -> ExitCode:
        """0, or 3 with failed items. Interruption is the caller's signal to translate."""
        return ExitCode.ITEMS_FAILED if self.tally.failed else ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """Everything, for `--json`."""
        return {
            "job": "make-pairs",
            "maker": self.maker,
            "output": str(self.output),
            "dry_run": self.dry_run,
            "interrupted": self.interrupted,
            "nothing_to_do": self.nothing_to_do,
            "seconds": round(self.seconds, 3),
            "splits": self.splits,
            "shards": self.shards,
            "shards_already_done": self.already_done,
            "bytes": self.bytes,
            "preview": None if self.preview is None else str(self.preview),
            "left_out": self.left_out,
            "kept": self.kept,
            "plan_sha256": self.plan_sha256,
            "settings": self.settings,
            "tally": self.tally.as_json(),
        }


def make_pairs(
    maker: str,
    sources: Sequence[str | Path] | str | Path,
    output: str | Path | None = None,
    *,
    options: Mapping[str, object] | None = None,
    size: int | None = 256,
    fit: Fit = "crop",
    kernel: Kernel = "auto",
    every: str | float | None = None,
    fps: float | None = None,
    split: Sequence[float] = (0.9, 0.05, 0.05),
    seed: int = 0,
    workers: int | None = None,
    encoding: Encoding = "png",
    quality: int = 95,
    limit: int | None = None,
    max_pixels: int = 200_000_000,
    background: int = 255,
    jitter: bool = False,
    layout: Layout | None = None,
    input_folder: str | None = None,
    target_folder: str | None = None,
    group: Rule = "auto",
    preview: str | Path | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> MakePairsReport:
    """Make a dataset of pairs from images and films; a repeated call resumes or finds nothing to do.

    `sources` are folders, files, globs or lists. `output` None: pairs/<maker>. `options` are the maker's;
    with `jitter` those not given are drawn anew for each pair. `size` None (or fit "source") keeps sizes.
    Films give one frame a second unless `every` ("2s", "12" frames, or seconds) or `fps` says otherwise.
    Of two folders that hold the same pictures the targets are taken, as their names, or `input_folder` and
    `target_folder`, tell them; `layout` "photos" takes all. `group` says what no split divides: "folder",
    "stem", "none", or (auto) folders of numbered frames and runs of near-equal neighbours.
    `workers` None: one a processor core. The same call gives the same bytes for any number of workers.
    A bad image is a row of the failures, never an exception. Raises `UsageError`, `NothingMatchedError`,
    `ResumeMismatchError`, `EnvironmentFaultError`.
    """
    begun = time.monotonic()
    given = paths_of(sources, "sources")
    if not isinstance(maker, str):
        raise UsageError(f"maker: expected a name such as 'edges', not {type(maker).__name__}.")
    place = Path("pairs") / maker if output is None else path_of(output, "output")
    settings = PairSettings(
        maker=maker_named(maker).name,
        options=_options(options),
        size=size,
        fit=fit,
        kernel=kernel,
        seed=seed,
        encoding=encoding,
        quality=quality,
        max_pixels=max_pixels,
        background=background,
        jitter=jitter,
    )
    contact = None if preview is None else path_of(preview, "preview")
    _check(settings, workers, limit, contact, observe)
    sampling, shares = parse_sampling(every, fps), check_split(split)
    require_outside(place, given, may_be_below=True)
    require_folder(place)
    stop = stop or Stop()
    choice = PictureChoice(layout, input_folder, target_folder, group)
    # Before the plan, which takes a while: a second run is told at once.
    with locked(*([] if dry_run else [place]), observe=observe):
        listing = _listing(given, place)
        if contact is not None:
            _require_apart(contact, given, listing, place)
        before = None if overwrite else pairs_output.read_plan(place)
        pictures = choose_pictures(given, listing, choice, before=before)
        for note in pictures.notes:
            observe(Note(note))
        observe(Started("plan", len(pictures.listing.entries), "files"))
        plan = build_plan(
            pictures.listing,
            settings,
            sampling=sampling,
            split=shares,
            limit=limit,
            together=pictures.groups,
            chosen=pictures.described,
            observe=observe,
            stop=stop,
        )
        observe(Ended("plan"))
        report = _report_of(plan, place)
        if stop.is_set():
            report.interrupted = True
            report.tally.close(interrupted=True)
        elif dry_run:
            report.dry_run = True
            report.bytes = estimate_bytes(plan)
            report.tally.skipped["dry run"] += report.tally.planned - report.tally.done
        else:
            _run(plan, report, workers or _cores(), contact, overwrite, observe, stop)
    report.seconds = time.monotonic() - begun
    return report


def _run(
    plan: PairsPlan,
    report: MakePairsReport,
    workers: int,
    preview: Path | None,
    overwrite: bool,
    observe: Observer,
    stop: Stop,
) -> None:
    output = report.output
    records = pairs_output.begin(output, plan, overwrite=overwrite)
    report.already_done = len(records)
    finished_before = pairs_output.is_finished(output, plan, records)
    progress = _Progress(plan.items, observe)
    progress.keep(sum(record.planned for record in records.values()))
    missing = [shard for shard in plan.shards if shard.name not in records]
    if missing:
        observe(Started(_STAGE, plan.items, "pairs"))
        for record in run_shards(
            missing, plan.settings, output, workers=workers, stop=stop, advance=progress.add
        ):
            records[Path(record.name).stem] = record
            # Here, where it keeps no worker waiting.
            flush_files([output / record.name])
            progress.failed += len(record.failures)
        observe(Ended(_STAGE))
    done = [records[shard.name] for shard in plan.shards if shard.name in records]
    _account(report, done)
    if missing:
        _tell_left_out(report, done, observe)
    report.interrupted = len(done) < len(plan.shards)
    report.tally.close(interrupted=report.interrupted)
    if report.interrupted:
        return
    if not report.tally.written:
        pairs_output.discard(output)
        observe(Note(_nothing_written(report.tally), "warning"))
        return
    report.preview = output / pairs_output.PREVIEW_FILE if preview is None else preview
    if not finished_before or (preview is not None and not preview.is_file()):
        pairs_output.finish(output, plan, done, report.tally, preview=preview)
    else:
        pairs_output.drop_replaced(output)


class _Progress:
    """Adds up what the workers did; a retried shard never shows more than the total."""

    def __init__(self, total: int, observe: Observer) -> None:
        self._total = total
        self._observe = observe
        self._done = 0
        self._free = 0
        self.failed = 0

    def keep(self, items: int) -> None:
        """`items` are there from an earlier run."""
        self._free += items
        self.add(items)

    def add(self, items: int) -> None:
        """`items` more are behind us."""
        if items:
            self._done = min(self._total, self._done + items)
            self._observe(Advanced(_STAGE, self._done, self.failed, free=self._free))


def _check(
    settings: PairSettings, workers: int | None, limit: int | None, preview: Path | None, observe: Observer
) -> None:
    """Every option that can be wrong, before the first file is opened; says which ones do nothing."""
    options = draw_options(
        maker_named(settings.maker), settings.options, np.random.default_rng(0), jitter=settings.jitter
    )
    wrong = [
        ("size", settings.size is None or 1 <= settings.size <= 65_500, "1 to 65500 px"),
        ("quality", 1 <= settings.quality <= 100, "1 to 100"),
        ("seed", 0 <= settings.seed <= MAX_SEED, f"0 to {MAX_SEED}"),
        ("background", 0 <= settings.background <= 255, "0 (black) to 255 (white)"),
        ("max_pixels", settings.max_pixels >= 1, "1 or more"),
        ("encoding", settings.encoding in ("png", "jpg", "webp"), "png, jpg or webp"),
        ("fit", settings.fit in get_args(Fit), f"one of {', '.join(get_args(Fit))}"),
        ("kernel", settings.kernel in get_args(Kernel), f"one of {', '.join(get_args(Kernel))}"),
        ("workers", workers is None or workers >= 1, "1 or more"),
        ("limit", limit is None or limit >= 1, "1 or more"),
    ]
    if preview is not None and (preview.is_dir() or preview.suffix.lower() != ".png"):
        raise UsageError(f"preview {preview}: expected a file name that ends in .png.")
    if preview is not None:
        require_folder(preview.parent)
    for name, is_right, expected in wrong:
        if not is_right:
            found = {"workers": workers, "limit": limit}.get(name, getattr(settings, name, None))
            raise UsageError(f"{name} {found}: expected {expected}.")
    for name, needed in options.without_effect(settings.options).items():
        observe(Note(f"{name} changes nothing here: it is for {needed}.", "warning"))


def _options(given: object) -> dict[str, object]:
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(
            f"options: expected a dict such as {{'method': 'xdog'}}, not {type(given).__name__}."
        )
    return {str(name): value for name, value in (given or {}).items()}


def _listing(sources: Sequence[str | Path], output: Path) -> Listing:
    listing = list_media(sources, exclude=[output])
    if not listing.entries:
        shown = ", ".join(str(source) for source in sources) or "the sources"
        others = f"; {len(listing.skipped)} other files were found" if listing.skipped else ""
        raise NothingMatchedError(
            f"{shown}: no image and no video{others}. Expected photos or films: check the path."
        )
    # The output is no file of the sources; it would make a second run's tally differ from the first's.
    return Listing(listing.entries, tuple(one for one in listing.skipped if one.reason != _OUTPUT_REASON))


def _require_apart(preview: Path, sources: Sequence[str | Path], listing: Listing, output: Path) -> None:
    """Refuse a contact sheet that would replace a source, or be one in the next run."""
    place = real(preview)
    if real(output) in place.parents:
        return
    named_so = [entry.path for entry in listing.entries if entry.path.name == place.name]
    is_source = any(real(path) == place for path in named_so)
    if is_source or any(real(Path(source)) in place.parents for source in sources):
        raise UsageError(
            f"preview {preview}: among the sources, where it would be taken for one of them. Choose a place "
            f"outside, such as {output / 'sheet.png'}."
        )


def _report_of(plan: PairsPlan, output: Path) -> MakePairsReport:
    tally = Tally(planned=plan.items + len(plan.failures) + len(plan.skipped))
    tally.failed += plan.failures
    tally.skipped.update(
        "not an image or video" if "neither" in reason else reason for _, reason in plan.skipped
    )
    return MakePairsReport(
        maker=plan.settings.maker,
        output=output,
        tally=tally,
        splits=plan.split_counts(),
        shards=len(plan.shards),
        bytes=0,
        plan_sha256=plan.fingerprint,
        settings=plan.described,
    )


def _account(report: MakePairsReport, records: Sequence[ShardRecord]) -> None:
    report.splits = dict.fromkeys(report.splits, 0)
    for record in records:
        report.tally.written += record.rows
        report.tally.failed += record.failures
        report.splits[record.split] += record.rows
        report.bytes += record.bytes
    left_out: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for record in records:
        left_out.update(record.left_out)
        kept.update(record.kept)
        left_out["pictures"] += sum(record.pictures.values()) - len(record.pictures)
    report.left_out, report.kept = dict(+left_out), dict(+kept)


def _tell_left_out(report: MakePairsReport, records: Sequence[ShardRecord], observe: Observer) -> None:
    pictures = {name: count for record in records for name, count in record.pictures.items()}
    left_out, kept = metadata_text(report.left_out), metadata_text(report.kept)
    lines = [
        f"left out of the pairs: {left_out}" if left_out else "",
        f"kept in targets that are stored as their files are: {kept}" if kept else "",
        pictures_text(pictures, done="used"),
        *dict.fromkeys(text for record in records for text in record.films),
    ]
    for line in filter(None, lines):
        observe(Note(line))


def _nothing_written(tally: Tally) -> str:
    reasons = "; ".join(f"{one.source}: {one.message}" for one in tally.failed[:3])
    more = f"; and {len(tally.failed) - 3} more" if len(tally.failed) > 3 else ""
    return f"not one pair could be made, so no dataset was written ({reasons}{more})."


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
