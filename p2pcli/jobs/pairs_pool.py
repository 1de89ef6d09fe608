"""Runs the shards of a plan: in this process, or in a pool that survives a killed worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from p2pcli.errors import UsageError
from p2pcli.events import Stop
from p2pcli.io.in_work import InWork
from p2pcli.jobs.pairs_plan import PairSettings, Shard
from p2pcli.jobs.pairs_worker import ShardRecord, make_shard, start_worker

_IN_WORK = ".p2p/in-work.jsonl"
_POLL_SECONDS = 0.2
_DEADLY_ITEMS = 64
"""So many items of one shard may kill a worker, which then begins it anew; then all of it is given up."""

_KEPT: deque[object] = deque(maxlen=8)
"""Counters of the last pools: a worker that is still starting when all is done opens them, or dies loudly."""

Advance = Callable[[int], None]


@dataclass
class _Left:
    """What a pool did not do, and how far it came."""

    waiting: list[Shard]
    suspects: list[Shard] = field(default_factory=list)
    """They were running when a worker died."""
    items_done: int = 0


def run_shards(
    shards: Sequence[Shard],
    settings: PairSettings,
    output: Path,
    *,
    workers: int,
    stop: Stop,
    advance: Advance,
) -> Iterator[ShardRecord]:
    """Records of the shards as they finish, in any order. After `stop` is set no new shard begins.

    `advance` is told how many items were done since it was last told. A shard whose worker dies is tried
    again, alone, and so is one at which an earlier run died in the job's own process; an item that kills a
    worker twice counts as failed. Raises `EnvironmentFaultError` where the disk is full; what is made stays.
    """
    # A process that died making a shard by itself would die of it again.
    in_work = InWork(output / _IN_WORK)
    suspects = [shard for shard in shards if shard.name in in_work.suspects()]
    shards = [shard for shard in shards if shard not in suspects]
    if workers == 1 or len(shards) <= 1:
        for shard in shards:
            if stop.is_set():
                break
            in_work.begin(shard.name, mark="")
            try:
                record = make_shard(shard, settings, str(output), advance=advance)
            finally:
                in_work.end(shard.name)
            yield record
        shards = []
    if shards or suspects:
        _require_importable_main()
    left = _Left(list(shards))
    while left.waiting and not stop.is_set():
        left = yield from _run_pool(
            left.waiting, settings, output, workers=workers, stop=stop, advance=advance
        )
        suspects += left.suspects
    for shard in suspects:
        # Nobody knows which of the shards that were running killed the worker: each is retried alone.
        yield from _run_alone(shard, settings, output, stop=stop, advance=advance)
        if not stop.is_set():
            in_work.end(shard.name)
    in_work.close()


def _run_alone(
    shard: Shard, settings: PairSettings, output: Path, *, stop: Stop, advance: Advance
) -> Iterator[ShardRecord]:
    deadly: set[str] = set()
    while len(deadly) < _DEADLY_ITEMS and not stop.is_set():
        left = yield from _run_pool(
            [shard], settings, output, workers=1, stop=stop, advance=advance, deadly=frozenset(deadly)
        )
        if not left.suspects:
            return
        # One worker goes through the items in order, so the one that it was at is known.
        alive = [item.key for item in shard.items if item.key not in deadly]
        if not alive:
            break
        deadly.add(alive[min(left.items_done, len(alive) - 1)])
    if not stop.is_set():
        everything = frozenset(item.key for item in shard.items)
        yield make_shard(shard, settings, str(output), advance=advance, deadly=everything)


def _run_pool(
    shards: Sequence[Shard],
    settings: PairSettings,
    output: Path,
    *,
    workers: int,
    stop: Stop,
    advance: Advance,
    deadly: frozenset[str] = frozenset(),
) -> Generator[ShardRecord, None, _Left]:
    """Run until all is done, `stop` is set or a worker dies; gives what is left."""
    context = multiprocessing.get_context("spawn")
    counters = context.Array("q", 2)
    _KEPT.append(counters)
    left = _Left(list(shards))
    running: dict[Future[ShardRecord], Shard] = {}
    pool = ProcessPoolExecutor(
        min(workers, len(shards)), mp_context=context, initializer=start_worker, initargs=(counters,)
    )
    try:
        while True:
            while left.waiting and len(running) <= workers and not (stop.is_set() or left.suspects):
                with contextlib.suppress(BrokenProcessPool):
                    shard = left.waiting[0]
                    with _ctrl_c_kept_from_workers():
                        future = pool.submit(make_shard, shard, settings, str(output), deadly=deadly)
                    running[future] = left.waiting.pop(0)
                    continue
                left.suspects.append(left.waiting.pop(0))
            if not running:
                break
            finished, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            done, left.items_done = left.items_done, counters[0]
            advance(left.items_done - done)
            for future in finished:
                shard = running.pop(future)
                try:
                    record = future.result()
                except BrokenProcessPool:
                    left.suspects.append(shard)
                else:
                    yield record
    finally:
        # Idle workers end by themselves, while the job goes on.
        pool.shutdown(wait=bool(running), cancel_futures=True)
    if not stop.is_set():
        _require_started(left, counters[1])
    return left


@contextlib.contextmanager
def _ctrl_c_kept_from_workers() -> Iterator[None]:
    """Processes started inside never get the SIGINT that a terminal sends to all; a blocked one waits for us.

    A worker ignores it too, but only once it runs: a Ctrl-C while workers start would break the pool.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _require_started(left: _Left, started: int) -> None:
    if left.suspects and not started:
        raise UsageError(
            "the worker processes could not start. In a script, call make_pairs below "
            "`if __name__ == '__main__':`, or pass workers=1."
        )


def _require_importable_main() -> None:
    """A worker that imports an unguarded script runs it again: say so instead of starting more workers."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError("call make_pairs below `if __name__ == '__main__':`, or pass workers=1.")
