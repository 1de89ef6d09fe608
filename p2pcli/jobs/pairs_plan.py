"""What make-pairs will do, fixed beforehand: settings, items, splits, shards. Nothing is decoded here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

from p2pcli.errors import UsageError
from p2pcli.events import Advanced, Observer, Stop, ignore
from p2pcli.image import Fit, Kernel
from p2pcli.io.base import Entry, Listing
from p2pcli.io.groups import Groups
from p2pcli.jobs.pairs_split import SPLITS, Group, assign_splits
from p2pcli.plan import Failure, fingerprint

Encoding = Literal["png", "jpg", "webp"]

_ROWS_AT_LEAST, _ROWS_AT_MOST, _SHARDS_AIMED_AT = 32, 1000, 64


@dataclass(frozen=True)
class PairSettings:
    """Everything that decides what a pair looks like; a worker needs nothing else but its shard."""

    maker: str
    options: dict[str, Any]
    """As given by the user; defaults or jitter fill in the rest."""
    size: int | None
    fit: Fit
    kernel: Kernel
    seed: int
    encoding: Encoding
    quality: int
    max_pixels: int
    background: int
    jitter: bool


@dataclass(frozen=True)
class Sampling:
    """Which frames of a film become pairs."""

    every_frames: int | None = None
    """Every so many frames; None: by time."""
    every_seconds: Fraction = Fraction(1)


@dataclass(frozen=True)
class Item:
    """One pair to make: an image file, or one frame of a film."""

    key: str
    path: str
    relative: str
    frame_index: int | None = None
    """Counted in order of presentation, from 0."""
    frame_pts: int | None = None


@dataclass(frozen=True)
class Shard:
    """The unit of work, retry and resume: consecutive items of one split."""

    name: str
    """Such as "train-00000-of-00003"."""
    split: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class PairsPlan:
    """Settings, shards, and what is already known not to become a pair."""

    settings: PairSettings
    shards: tuple[Shard, ...]
    failures: tuple[Failure, ...]
    """Films without a frame that can be read."""
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of files that are no media."""
    described: dict[str, Any]
    """JSON form that resume compares."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the described plan."""
        return fingerprint(self.described)

    @property
    def items(self) -> int:
        """How many pairs are planned."""
        return sum(len(shard.items) for shard in self.shards)

    def split_counts(self) -> dict[str, int]:
        """Planned pairs of each split, in the order train, validation, test."""
        return {
            split: sum(len(shard.items) for shard in self.shards if shard.split == split) for split in SPLITS
        }


def parse_sampling(every: str | float | None, fps: float | None) -> Sampling:
    """`every` = "2s", "0.5s", "12" (every 12th frame) or seconds as a float; or `fps`; default one a second.

    Raises `UsageError`.
    """
    if every is not None and fps is not None:
        raise UsageError("every and fps exclude each other: give the distance or the rate, not both.")
    if fps is not None:
        if not (math.isfinite(fps) and fps > 0):
            raise UsageError(f"fps {fps:g}: expected frames per second above 0, such as 2.")
        return Sampling(every_seconds=1 / Fraction(fps).limit_denominator(1_000_000))
    if every is None:
        return Sampling()
    text = str(every).strip()
    wrong = UsageError(
        f"every '{text}': expected a time such as 2s or 0.5s, or a count of frames such as 12."
    )
    try:
        if isinstance(every, str) and not text.endswith("s"):
            frames, seconds = int(text), Fraction(1)
        else:
            frames, seconds = None, Fraction(text.removesuffix("s").strip()).limit_denominator(1_000_000)
    except (ValueError, ZeroDivisionError):
        raise wrong from None
    if (frames is not None and frames < 1) or seconds <= 0:
        raise wrong
    return Sampling(every_frames=frames, every_seconds=seconds)


def pick_frames(times: Sequence[int], sampling: Sampling, time_base: Fraction) -> list[int]:
    """Positions in `times` (ascending pts) of the frames to use: the first at or after each multiple.

    >>> pick_frames([0, 400, 800, 1200, 2600], Sampling(), Fraction(1, 1000))
    [0, 3, 4]
    """
    if sampling.every_frames is not None:
        return list(range(0, len(times), sampling.every_frames))
    picked: list[int] = []
    due = Fraction(0)
    for position, pts in enumerate(times):
        seconds = (pts - times[0]) * time_base
        if seconds >= due:
            picked.append(position)
            due = (seconds // sampling.every_seconds + 1) * sampling.every_seconds
    return picked


def build_plan(
    listing: Listing,
    settings: PairSettings,
    *,
    sampling: Sampling,
    split: tuple[float, float, float],
    limit: int | None,
    together: Groups | None = None,
    chosen: Mapping[str, Any] | None = None,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> PairsPlan:
    """The plan for a listing. Films are opened to learn their frames' times; images are only named.

    A film that was cut short is a failure beside those of its frames that are there. `limit` keeps the first
    so many items in order of their keys. `together` names the images that no split divides, `chosen` what
    more is to be compared on resume. After `stop` is set the plan stays short.
    """
    groups: list[Group[Item]] = []
    failures: list[Failure] = []
    count = 0
    for number, entry in enumerate(listing.entries):
        if (limit is not None and count >= limit) or (stop is not None and stop.is_set()):
            break
        if entry.kind == "video":
            observe(Advanced("plan", number, len(failures), entry.relative))
        try:
            items, cut_short = items_of(entry, sampling)
        except Exception as error:  # the per-item border: the failure becomes a row
            # The row names its source already, and as it is below the folder that was given.
            message = str(error).removeprefix(f"{entry.path}: ") or type(error).__name__
            failures.append(Failure(entry.key, entry.relative, "read", type(error).__name__, message))
            count += 1
            continue
        if cut_short is not None:
            message = f"{cut_short} Its frames up to there are used."
            failures.append(Failure(entry.key, entry.relative, "read", "ItemError", message))
        if limit is not None:
            items = items[: limit - count]
        count += len(items)
        groups.append(Group(entry.key, tuple(items), is_film=entry.kind == "video"))
    assigned = assign_splits(_together(groups, together or Groups()), split, seed=settings.seed)
    described = {
        **asdict(settings),
        "every_frames": sampling.every_frames,
        "every_seconds": str(sampling.every_seconds),
        "split": list(split),
        "limit": limit,
        "inputs": _inputs(listing),
        **(chosen or {}),
    }
    for one in listing.skipped:
        if one.is_failure:
            failures.append(Failure(one.path.as_posix(), str(one.path), "listing", "OSError", one.reason))
    skipped = tuple((str(one.path), one.reason) for one in listing.skipped if not one.is_failure)
    shards = cut_shards({name: assigned[name] for name in SPLITS})
    return PairsPlan(settings, shards, tuple(failures), skipped, described)


def _together(groups: Sequence[Group[Item]], named: Groups) -> list[Group[Item]]:
    """Images of one group as one, at the place of its first, in the order that the names have."""
    order = {key: place for place, key in enumerate(named.names)}
    members: dict[str, list[Group[Item]]] = {}
    for group in groups:
        # A film's frames are a group already, whatever its key.
        members.setdefault(group.key if group.is_film else f"/{named.name_of(group.key)}", []).append(group)
    result = []
    for name, some in members.items():
        if len(some) == 1:
            result.append(some[0])
            continue
        some.sort(key=lambda group: order[group.key])
        items = tuple(item for group in some for item in group.items)
        result.append(Group(name.removeprefix("/"), items, is_clip=True))
    return result


def items_of(entry: Entry, sampling: Sampling) -> tuple[list[Item], str | None]:
    """The item of an image, or those of a film's chosen frames, and a sentence where the film was cut short.

    Raises `ItemError` for a film without any frames.
    """
    if entry.kind == "image":
        return [Item(entry.key, str(entry.path), entry.relative)], None
    from p2pcli.io.video import film_frames, probe

    info = probe(entry.path)
    film = film_frames(entry.path)
    items = [
        Item(f"{entry.key}/{position:06d}", str(entry.path), entry.relative, position, film.times[position])
        for position in pick_frames(film.times, sampling, info.time_base)
    ]
    return items, film.cut_short


def cut_shards(assigned: dict[str, list[Item]]) -> tuple[Shard, ...]:
    """Consecutive runs of each split's items. Rows per shard depend on the total count alone."""
    total = sum(len(items) for items in assigned.values())
    rows = min(max(math.ceil(total / _SHARDS_AIMED_AT), _ROWS_AT_LEAST), _ROWS_AT_MOST)
    shards: list[Shard] = []
    for split, items in assigned.items():
        # Equal shards rather than full ones and a crumb.
        number = math.ceil(len(items) / rows)
        bounds = [len(items) * index // number for index in range(number + 1)] if number else [0]
        shards += [
            Shard(
                f"{split}-{index:05d}-of-{number:05d}", split, tuple(items[bounds[index] : bounds[index + 1]])
            )
            for index in range(number)
        ]
    return tuple(shards)


def _inputs(listing: Listing) -> dict[str, Any]:
    """Count and digest of the listed files: key, size and time of change. Their folder may have moved."""
    digest = hashlib.sha256()
    for entry in listing.entries:
        try:
            state = entry.path.stat()
            line = f"{entry.key}\x1f{entry.relative}\x1f{state.st_size}\x1f{state.st_mtime_ns}\n"
        except OSError:
            line = f"{entry.key}\x1f{entry.relative}\x1funreadable\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return {"files": len(listing.entries), "sha256": digest.hexdigest()}
