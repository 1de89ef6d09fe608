"""Makes one shard: read, geometry once, maker, encode, write. Runs in a pool worker or in the job itself."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import connection, parent_process
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from p2pcli.errors import ItemError
from p2pcli.image import Image, apply_geometry, as_rgb8, fit_geometry
from p2pcli.io.atomic import atomic_path, remove_unfinished, write_bytes
from p2pcli.io.codec import ImageMeta, encode, read_image
from p2pcli.io.left_out import LeftOut
from p2pcli.io.parquet_shard import Row, write_shard
from p2pcli.jobs.pairs_plan import Item, PairSettings, Shard
from p2pcli.pairs import MakerOptions, draw_options, maker_named
from p2pcli.plan import Failure
from p2pcli.randomness import rng_for
from p2pcli.untrusted import Kinds, read_json, require_kinds

DATA_FOLDER = "data"
RECORD_FOLDER = ".p2p/shards"

_DEADLY = ItemError("its worker process died twice, from lack of memory or a crash in a decoder")
_PLAIN_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

_counters: SynchronizedArray[int] | None = None
"""Items done, and workers started; shared with the job, which shows the first."""


_RECORD: Kinds = {"name": str, "split": str, "planned": int, "rows": int, "bytes": int, "failures": list}


@dataclass(frozen=True)
class ShardRecord:
    """What became of one shard, stored beside it: the proof that it is finished."""

    name: str
    """Path of the Parquet file below the dataset."""
    split: str
    planned: int
    rows: int
    bytes: int
    sha256: str
    failures: tuple[Failure, ...] = ()
    pictures: dict[str, int] = field(default_factory=dict)
    """Source → pictures in its file, where there are several: the first alone became a pair."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Kind of metadata → sources whose pair does not carry it."""
    kept: dict[str, int] = field(default_factory=dict)
    """Kind of metadata → sources whose own bytes are the target, and carry it."""
    films: tuple[str, ...] = ()
    """Sentences on what became of films' frames: scaled, tone-mapped, woven."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the record file and the manifest."""
        return asdict(self)


@dataclass(frozen=True)
class _Read:
    """A source picture as read, upright RGB 8 bit, and where it came from."""

    item: Item
    image: Image
    sha256: str
    untouched: tuple[bytes, str] | None = None
    """The file's own bytes and suffix, where they decode to exactly `image` in any reader."""
    meta: ImageMeta | None = None
    """What the file's header said; None for a film's frame."""


@dataclass(frozen=True)
class _Beside:
    """What the sources of pairs hold beside their pixels."""

    left_out: LeftOut = field(default_factory=LeftOut)
    kept: LeftOut = field(default_factory=LeftOut)
    films: dict[str, None] = field(default_factory=dict)

    def add(self, read: _Read, made: Row) -> None:
        if read.meta is not None:
            is_kept = read.untouched is not None and made.target_bytes is read.untouched[0]
            (self.kept if is_kept else self.left_out).add(read.item.relative, read.meta)


def _kinds(found: LeftOut) -> dict[str, int]:
    return {kind: count for kind, count in found.counts().items() if kind != "pictures"}


@dataclass(frozen=True)
class _Drawn:
    """What a maker is given beside the picture."""

    rng: np.random.Generator
    options: MakerOptions
    params: str
    """The options as JSON."""


def start_worker(counters: SynchronizedArray[int]) -> None:
    """Prepare a fresh pool process."""
    global _counters
    import cv2

    _counters = counters
    _add(1, items=0)
    # One thread a worker: the pool is the parallelism, and float sums stay in one order.
    cv2.setNumThreads(1)
    # Decoders in C write their warnings straight to the terminal, into the middle of the progress line.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    # Ctrl-C goes to the whole foreground group; the job decides, workers finish their shard.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_now())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed job must not leave workers that wait for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        _end_now()


def _end_now() -> None:
    remove_unfinished()
    os._exit(1)


def make_shard(
    shard: Shard,
    settings: PairSettings,
    output: str,
    *,
    advance: Callable[[int], None] | None = None,
    deadly: frozenset[str] = frozenset(),
) -> ShardRecord:
    """Write one shard and then its record; failures are rows of the record.

    Neither is flushed to the disk: a record holds the shard's hash, so what a power cut takes is made again.
    `advance` is told of each finished item; `deadly` are keys that killed a worker before and are not
    touched again. Raises `EnvironmentFaultError` where the disk is full.
    """
    root = Path(output)
    path = root / DATA_FOLDER / f"{shard.name}.parquet"
    failures = [_failure(item, "read", _DEADLY) for item in shard.items if item.key in deadly]
    alive = replace(shard, items=tuple(item for item in shard.items if item.key not in deadly))
    footer = {"tool": _tool(), "settings": {**asdict(settings), "options": settings.options}}
    with atomic_path(path, flush=False) as temporary:
        beside = _Beside()
        rows = _rows(alive, settings, failures, advance or _count, beside)
        count = write_shard(temporary, rows, footer=footer)
        content_hash = _file_sha256(temporary)
        size = temporary.stat().st_size
    name = path.relative_to(root).as_posix()
    record = ShardRecord(
        name,
        shard.split,
        len(shard.items),
        count,
        size,
        content_hash,
        tuple(failures),
        beside.left_out.pictures,
        _kinds(beside.left_out),
        _kinds(beside.kept),
        tuple(beside.films),
    )
    write_record(root, shard.name, record)
    return record


def encoded_sizes(shard: Shard, settings: PairSettings) -> list[int]:
    """Bytes of each pair of the shard that can be made; nothing is written."""
    rows = _rows(shard, settings, [], lambda _: None, _Beside())
    return [len(row.input_bytes) + len(row.target_bytes) for row in rows]


def write_record(root: Path, shard_name: str, record: ShardRecord) -> None:
    """Store the record of a shard."""
    text = json.dumps(record.as_json(), indent=1, ensure_ascii=False)
    path = root / RECORD_FOLDER / f"{shard_name}.json"
    write_bytes(path, text.encode("utf-8", "surrogateescape"), flush=False)


def read_record(root: Path, shard: Shard) -> ShardRecord | None:
    """The record of a shard whose file is there in full and unchanged, else None."""
    path = root / RECORD_FOLDER / f"{shard.name}.json"
    try:
        values = read_json(path)
        require_kinds(values, _RECORD, needed=True)
        failures = tuple(Failure(**row) for row in values.pop("failures"))
        record = ShardRecord(**values, failures=failures)
        if record.name != f"{DATA_FOLDER}/{shard.name}.parquet":
            return None
        file = root / record.name
        if file.stat().st_size != record.bytes or _file_sha256(file) != record.sha256:
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if record.planned == len(shard.items) else None


def _count(items: int) -> None:
    _add(0, items=items)


def _add(workers: int, *, items: int) -> None:
    if _counters is not None:
        with _counters.get_lock():
            _counters[0] += items
            _counters[1] += workers


def _rows(
    shard: Shard,
    settings: PairSettings,
    failures: list[Failure],
    advance: Callable[[int], None],
    beside: _Beside,
) -> Iterator[Row]:
    drawn = _drawn_for_all(settings)
    for read in _pictures(shard, settings, beside):
        if isinstance(read, _Read):
            made = make_row(read, settings, drawn)
            if isinstance(made, Row):
                beside.add(read, made)
                yield made
            else:
                failures.append(made)
        else:
            failures.append(read)
        advance(1)


def _pictures(shard: Shard, settings: PairSettings, beside: _Beside) -> Iterator[_Read | Failure]:
    """Each item of the shard, read or failed, in order; the frames of one film in one pass."""
    position = 0
    while position < len(shard.items):
        item = shard.items[position]
        if item.frame_index is None:
            yield _read_file(item, settings)
            position += 1
            continue
        frames = [one for one in shard.items[position:] if one.path == item.path]
        yield from _read_frames(frames, beside)
        position += len(frames)


def _read_file(item: Item, settings: PairSettings) -> _Read | Failure:
    try:
        content = _content_of(item.path)
        decoded = read_image(content, max_pixels=settings.max_pixels)
        suffix = _PLAIN_SUFFIXES.get(decoded.meta.format)
        untouched = (content, suffix) if decoded.meta.is_plain and suffix else None
        image = as_rgb8(decoded.image, background=settings.background)
        return _Read(item, image, hashlib.sha256(content).hexdigest(), untouched, decoded.meta)
    except Exception as error:  # the per-image border: the failure becomes a row
        return _failure(item, "read", error)


def _content_of(path: str) -> bytes:
    """The bytes of a plain file, looked at and read in one opening: calls to the system add up."""
    try:
        # A pipe that took the file's place since would keep us waiting for ever.
        with open(path, "rb", opener=_open_at_once, buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ItemError("no plain file any more. Check the path.")
            return file.read()
    except FileNotFoundError:
        raise ItemError("no longer there. Check the path.") from None
    except OSError as error:
        raise ItemError(f"cannot be read ({error.strerror or error}). Check its permissions.") from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_frames(items: list[Item], beside: _Beside) -> Iterator[_Read | Failure]:
    from p2pcli.io.video import read_frames

    path = items[0].path
    waiting = {item.frame_pts: item for item in items}
    error: Exception = ItemError(f"{path}: the frame cannot be decoded")
    try:
        content_hash = _film_sha256(path)
        with read_frames(path, pts=[pts for pts in waiting if pts is not None]) as frames:
            for frame in frames:
                item = waiting.pop(frame.pts)
                if frame.is_damaged:
                    yield _failure(item, "read", ItemError(f"{path}: the frame is damaged"))
                else:
                    yield _Read(item, as_rgb8(frame.image), content_hash)
            beside.films.update(dict.fromkeys(frames.notes_on_pictures))
    except Exception as caught:  # the per-image border: the failure becomes a row
        error = caught
    for item in waiting.values():
        yield _failure(item, "read", error)


def _drawn_for_all(settings: PairSettings) -> _Drawn | None:
    """What all pairs share, where none depends on chance; drawing it for each costs a percent of the time."""
    if settings.jitter or maker_named(settings.maker).is_random:
        return None
    return _draw(settings, "")


def _draw(settings: PairSettings, key: str) -> _Drawn:
    maker = maker_named(settings.maker)
    rng = rng_for(settings.seed, key, maker.name)
    options = draw_options(maker, settings.options, rng, jitter=settings.jitter)
    return _Drawn(rng, options, options.model_dump_json())


def make_row(read: _Read, settings: PairSettings, drawn: _Drawn | None = None) -> Row | Failure:
    """The finished pair of a picture, or why there is none. `drawn` None: drawn for its key."""
    item, stage = read.item, "make"
    try:
        height, width = read.image.shape[:2]
        geometry = fit_geometry(width, height, size=settings.size, fit=settings.fit)
        unchanged = geometry.is_identity_for(width, height)
        target = read.image if unchanged else apply_geometry(read.image, geometry, kernel=settings.kernel)
        maker = maker_named(settings.maker)
        drawn = drawn or _draw(settings, item.key)
        made = maker.make(target, rng=drawn.rng, options=drawn.options)
        stage = "write"
        if unchanged and read.untouched is not None:
            target_bytes, target_suffix = read.untouched
        else:
            target_suffix = f".{settings.encoding}"
            target_bytes = _encoded(target, target_suffix, settings.quality)
        input_suffix = ".png" if maker.lossless else f".{settings.encoding}"
        input_bytes = _encoded(made, input_suffix, settings.quality)
    except Exception as error:  # the per-image border: the failure becomes a row
        return _failure(item, stage, error)
    stem = PurePosixPath(item.key).name
    return Row(
        key=item.key,
        input_bytes=input_bytes,
        input_name=f"{stem}.input{input_suffix}",
        target_bytes=target_bytes,
        target_name=f"{stem}.target{target_suffix}",
        source=item.relative,
        source_sha256=read.sha256,
        frame_index=item.frame_index,
        frame_pts=item.frame_pts,
        op=maker.name,
        op_params=drawn.params,
        seed=settings.seed,
        crop_xywh=geometry.crop_xywh,
        width=target.shape[1],
        height=target.shape[0],
        orig_width=width,
        orig_height=height,
    )


def _encoded(image: Image, suffix: str, quality: int) -> bytes:
    # OpenCV's own PNG setting takes half the time of level 1 for files as small.
    return encode(image, suffix, quality=quality, png_compression=None, webp_lossless=quality == 100)


def _failure(item: Item, stage: str, error: Exception) -> Failure:
    text = str(error).removeprefix("the image: ").removeprefix(f"{item.path}: ")
    message = " ".join(text.split()) or type(error).__name__
    return Failure(item.key, item.relative, stage, type(error).__name__, message[:1000])


def _tool() -> str:
    from p2pcli import __version__

    return f"p2pcli {__version__}"


@functools.lru_cache(maxsize=64)
def _film_sha256(path: str) -> str:
    return _file_sha256(Path(path))


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
