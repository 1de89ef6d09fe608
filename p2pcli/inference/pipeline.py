"""Decode → batch → network → encode, overlapped, with bounded memory.

The same lines carry a folder and a film: they differ in what the stages do and in whether order matters.
Neither files nor networks are known here.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from p2pcli.errors import EnvironmentFaultError, ItemError
from p2pcli.events import Note, Observer, Stop, ignore
from p2pcli.inference.device import is_out_of_memory

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_HELD_BYTES = 512 << 20
"""Decoded pictures that may wait at once; one picture larger than that still passes, alone."""


@dataclass(frozen=True)
class Outcome(Generic[Loaded, Result]):
    """What became of one item: a `result`, or the `error`; `loaded` is None where decoding failed."""

    loaded: Loaded | None = None
    result: Result | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Stages(Generic[Item, Loaded, Result]):
    """What is done to each item.

    An exception of `decode` or `translate` belongs to its item and reaches `finish` as an outcome, but
    `EnvironmentFaultError` and whatever `finish` raises end the run.
    """

    decode: Callable[[Item], Loaded]
    """Called in a decode thread."""
    bucket: Callable[[Loaded], Hashable]
    """Only items with equal buckets are batched together; the first two numbers are height and width."""
    translate: Callable[[list[Item], list[Loaded]], Sequence[Result]]
    """Called in the caller's thread with equals; gives one result per item, in order."""
    finish: Callable[[Item, Outcome[Loaded, Result]], None]
    """Called in an encode thread once for every item."""
    weigh: Callable[[Loaded], int]
    """Bytes that a loaded item holds."""


@dataclass
class BatchSize:
    """How many items go through the network at once; shrinks when memory runs out, and remembers it."""

    fits: Callable[[Hashable], int]
    """Bucket → the size to try first."""
    observe: Observer = ignore
    known: dict[Hashable, int] = field(default_factory=dict)

    def for_bucket(self, bucket: Hashable) -> int:
        """The size for items of this bucket, at least 1."""
        if bucket not in self.known:
            self.known[bucket] = max(1, self.fits(bucket))
        return self.known[bucket]

    def halve(self, bucket: Hashable, tried: int) -> int:
        """Half of what was tried, remembered for this bucket and noted."""
        self.known[bucket] = max(1, tried // 2)
        text = f"memory ran out with {tried} pictures at once; going on with {self.known[bucket]}"
        self.observe(Note(text, level="warning"))
        return self.known[bucket]


@dataclass
class _Held:
    """Bytes of decoded pictures between decode and finish, and how many are being decoded."""

    limit: int
    most_decoding: int
    now: int = 0
    decoding: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, amount: int) -> None:
        with self.changed:
            self.now += amount
            self.changed.notify_all()

    def decoded(self) -> None:
        with self.changed:
            self.decoding -= 1
            self.changed.notify_all()

    def is_full(self) -> bool:
        with self.changed:
            return self.now >= self.limit

    def wait_for_room(self, cancelled: Callable[[], bool]) -> None:
        """Wait until one more may be decoded. Nobody knows its weight before, so only few are at a time."""
        with self.changed:
            while (self.now >= self.limit or self.decoding >= self.most_decoding) and not cancelled():
                self.changed.wait(_POLL_SECONDS)
            self.decoding += 1


@dataclass
class _Reader(Generic[Item, Loaded]):
    """Pulls items, starts decoding each, and hands (item, future) on in the items' order."""

    items: Iterable[Item]
    start: Callable[[Item], Future[Loaded]]
    held: _Held
    stop: Stop
    waiting: queue.Queue[tuple[Item, Future[Loaded]] | None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    exhausted: bool = False

    def run(self) -> None:
        """The reader thread's body; an exception of the iterator is kept for the caller's thread."""
        iterator = iter(self.items)
        try:
            while not self.ended():
                self.held.wait_for_room(self.ended)
                try:
                    item = next(iterator)
                except StopIteration:
                    self.exhausted = True
                    break
                if not self.put((item, self.start(item))):
                    break
        except BaseException as error:  # raised again in the caller's thread
            self.error = error
        finally:
            # A generator must end in the thread that ran it: it may hold a decoder or a file.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            self.put(None)

    def ended(self) -> bool:
        return self.cancelled.is_set() or self.stop.is_set()

    def put(self, value: tuple[Item, Future[Loaded]] | None) -> bool:
        while not self.cancelled.is_set():
            try:
                self.waiting.put(value, timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False


def run_pipeline(
    items: Iterable[Item],
    stages: Stages[Item, Loaded, Result],
    *,
    batch_size: BatchSize,
    in_order: bool,
    stop: Stop,
    decoders: int = 2,
    encoders: int = 2,
    ahead: int = 8,
    held_bytes: int = _HELD_BYTES,
) -> bool:
    """Carry every item through the stages; True where all were, False where `stop` came first.

    With `in_order`, `finish` is called one item at a time in the items' order. Otherwise items of different
    buckets may overtake each other within a small window, and `encoders` threads finish at once. At most
    `ahead` items wait for the network and about `held_bytes` of pictures are in memory. An exception of the
    iterator is raised after everything before it is finished.
    """
    held = _Held(held_bytes, most_decoding=decoders + 1)
    # At the network's own priority. On a CPU its threads wait for each other at every layer: what takes a
    # little of each core all the time costs it more than what takes them whole, but briefly.
    with (
        ThreadPoolExecutor(decoders, "decode") as decode_pool,
        ThreadPoolExecutor(1 if in_order else encoders, "encode") as encode_pool,
    ):

        def decode(item: Item) -> Loaded:
            try:
                loaded = stages.decode(item)
                held.add(stages.weigh(loaded))
                return loaded
            finally:
                held.decoded()

        reader = _Reader(items, lambda item: decode_pool.submit(decode, item), held, stop, queue.Queue(ahead))
        finisher = _Finisher(stages, encode_pool, held, most=ahead + 2 * encoders)
        thread = threading.Thread(target=reader.run, name="read", daemon=True)
        thread.start()
        try:
            _feed(reader, finisher, stages, batch_size, in_order=in_order)
            finisher.drain()
        finally:
            reader.cancelled.set()
            thread.join()
            for pool in (decode_pool, encode_pool):
                pool.shutdown(cancel_futures=True)
    if reader.error is not None:
        raise reader.error
    return reader.exhausted and not finisher.left_out


def _feed(
    reader: _Reader[Item, Loaded],
    finisher: _Finisher[Item, Loaded, Result],
    stages: Stages[Item, Loaded, Result],
    batch_size: BatchSize,
    *,
    in_order: bool,
) -> None:
    """Collect loaded items into buckets and run the network on them until the reader ends."""
    pending: dict[Hashable, list[tuple[Item, Loaded]]] = {}

    def flush(bucket: Hashable) -> None:
        _translate(bucket, pending.pop(bucket), finisher, stages, batch_size)

    while (entry := reader.waiting.get()) is not None:
        if reader.stop.is_set():
            finisher.left_out = True
            return
        item, future = entry
        try:
            loaded = future.result()
            bucket = stages.bucket(loaded)
        except EnvironmentFaultError:
            raise
        except Exception as error:
            if in_order:
                for waiting in list(pending):
                    flush(waiting)
            finisher.put(item, Outcome(error=error))
            continue
        if in_order:
            for waiting in [name for name in pending if name != bucket]:
                flush(waiting)
        pending.setdefault(bucket, []).append((item, loaded))
        size = batch_size.for_bucket(bucket)
        if len(pending[bucket]) >= size:
            flush(bucket)
        elif reader.held.is_full():
            # The reader waits for room, so nothing more may come to fill these.
            for waiting in list(pending):
                flush(waiting)
        elif sum(map(len, pending.values())) >= 4 * size:
            flush(max(pending, key=lambda name: len(pending[name])))
    if reader.stop.is_set() and not reader.exhausted:
        finisher.left_out = True
        return
    for bucket in list(pending):
        flush(bucket)


def _translate(
    bucket: Hashable,
    batch: list[tuple[Item, Loaded]],
    finisher: _Finisher[Item, Loaded, Result],
    stages: Stages[Item, Loaded, Result],
    batch_size: BatchSize,
) -> None:
    """Run the network on one batch and hand its results on; halve on out-of-memory, isolate a bad item."""
    size = len(batch)
    while batch:
        part = batch[:size]
        items, loaded = [item for item, _ in part], [value for _, value in part]
        try:
            results = stages.translate(items, loaded)
        except EnvironmentFaultError:
            raise
        except Exception as error:
            if len(part) > 1:
                size = batch_size.halve(bucket, len(part)) if is_out_of_memory(error) else 1
                continue
            finisher.put(part[0][0], Outcome(loaded[0], error=_explain(error)))
        else:
            for item, value, result in zip(items, loaded, results, strict=True):
                finisher.put(item, Outcome(value, result))
        batch = batch[len(part) :]


@dataclass
class _Finisher(Generic[Item, Loaded, Result]):
    """Hands outcomes to the encode threads, at most `most` at a time, and carries their errors back."""

    stages: Stages[Item, Loaded, Result]
    pool: ThreadPoolExecutor
    held: _Held
    most: int
    running: deque[Future[None]] = field(default_factory=deque)
    left_out: bool = False
    broken: bool = False

    def put(self, item: Item, outcome: Outcome[Loaded, Result]) -> None:
        while self.running and (len(self.running) >= self.most or self.running[0].done()):
            self.running.popleft().result()
        self.running.append(self.pool.submit(self.finish, item, outcome))

    def finish(self, item: Item, outcome: Outcome[Loaded, Result]) -> None:
        try:
            if not self.broken:
                self.stages.finish(item, outcome)
        except BaseException:
            # What is queued behind must not be finished as if nothing had happened.
            self.broken = True
            raise
        finally:
            if outcome.loaded is not None:
                self.held.add(-self.stages.weigh(outcome.loaded))

    def drain(self) -> None:
        while self.running:
            self.running.popleft().result()


def _explain(error: Exception) -> Exception:
    if is_out_of_memory(error):
        return ItemError(
            f"memory ran out on this picture alone ({error}). The network needs it whole: make the picture "
            "smaller, or use a device with more memory.",
            stage="translate",
        )
    return error
