"""The overlap of decode, network and encode, tried with numbers instead of pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from p2pcli.errors import EnvironmentFaultError
from p2pcli.events import Note
from p2pcli.inference.pipeline import BatchSize, Outcome, Stages, run_pipeline


class Recorder:
    """Stages that double numbers; what was finished and how it was batched is remembered."""

    def __init__(self) -> None:
        self.finished: dict[int, Outcome[int, int]] = {}
        self.order: list[int] = []
        self.batches: list[list[int]] = []

    def finish(self, item: int, outcome: Outcome[int, int]) -> None:
        self.finished[item] = outcome
        self.order.append(item)

    def translate(self, items: list[int], loaded: list[int]) -> list[int]:
        self.batches.append(list(items))
        return [2 * value for value in loaded]

    def stages(
        self,
        *,
        decode: Callable[[int], int] = lambda item: item,
        bucket: Callable[[int], object] = lambda value: 0,
        translate: Callable[[list[int], list[int]], list[int]] | None = None,
        weigh: int = 1,
    ) -> Stages[int, int, int]:
        return Stages(decode, bucket, translate or self.translate, self.finish, lambda value: weigh)


def run(
    stages: Stages[int, int, int],
    items: object,
    *,
    size: int = 4,
    in_order: bool = False,
    stop: threading.Event | None = None,
    **sizes: int,
) -> bool:
    return run_pipeline(
        items,
        stages,
        batch_size=BatchSize(lambda bucket: size),
        in_order=in_order,
        stop=stop or threading.Event(),
        **sizes,
    )


@pytest.mark.parametrize("in_order", [False, True])
def test_every_item_is_finished_once_with_its_own_result(in_order: bool) -> None:
    recorder = Recorder()
    assert run(recorder.stages(), range(50), in_order=in_order)
    assert sorted(recorder.order) == list(range(50))
    assert all(recorder.finished[item].result == 2 * item for item in range(50))


def test_films_finish_in_order_though_decoding_takes_uneven_time() -> None:
    recorder = Recorder()

    def decode(item: int) -> int:
        time.sleep(0.01 if item % 3 == 0 else 0)
        return item

    run(recorder.stages(decode=decode, bucket=lambda value: value // 5), range(30), in_order=True, decoders=4)
    assert recorder.order == list(range(30))


def test_only_equal_sizes_share_a_batch() -> None:
    recorder = Recorder()
    run(recorder.stages(bucket=lambda value: value % 3), range(30))
    assert all(len({item % 3 for item in batch}) == 1 for batch in recorder.batches)
    assert max(map(len, recorder.batches)) == 4


def test_many_different_sizes_do_not_pile_up() -> None:
    recorder = Recorder()
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for item in range(200):
            pulled = item
            assert item - len(recorder.order) < 80
            yield item

    run(recorder.stages(bucket=lambda value: value), items(), ahead=4)
    assert pulled == 199


def test_a_failed_decode_is_an_outcome_of_its_item_alone() -> None:
    recorder = Recorder()

    def decode(item: int) -> int:
        if item == 7:
            raise ValueError("broken")
        return item

    assert run(recorder.stages(decode=decode), range(10), in_order=True)
    assert str(recorder.finished[7].error) == "broken"
    assert [item for item in range(10) if recorder.finished[item].error] == [7]
    assert recorder.order == list(range(10))


def test_a_failing_picture_does_not_take_its_batch_with_it() -> None:
    recorder = Recorder()

    def translate(items: list[int], loaded: list[int]) -> list[int]:
        if 5 in items:
            raise ValueError("cannot")
        return recorder.translate(items, loaded)

    run(recorder.stages(translate=translate), range(8))
    assert [item for item in range(8) if recorder.finished[item].error] == [5]


def test_out_of_memory_halves_the_batch_and_drops_nothing() -> None:
    recorder = Recorder()
    notes: list[str] = []

    def translate(items: list[int], loaded: list[int]) -> list[int]:
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return recorder.translate(items, loaded)

    def observe(event: object) -> None:
        assert isinstance(event, Note)
        notes.append(event.text)

    sizes = BatchSize(lambda bucket: 8, observe)
    run_pipeline(
        range(20),
        recorder.stages(translate=translate),
        batch_size=sizes,
        in_order=True,
        stop=threading.Event(),
    )
    assert recorder.order == list(range(20))
    assert sizes.for_bucket(0) == 2
    assert len(notes) == 2


def test_out_of_memory_on_one_picture_fails_that_picture() -> None:
    recorder = Recorder()

    def translate(items: list[int], loaded: list[int]) -> list[int]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert run(recorder.stages(translate=translate), range(3))
    assert all("alone" in str(recorder.finished[item].error) for item in range(3))


def test_an_error_of_finish_ends_the_run() -> None:
    recorder = Recorder()

    def finish(item: int, outcome: Outcome[int, int]) -> None:
        recorder.order.append(item)
        raise EnvironmentFaultError("disk full")

    stages = Stages(lambda item: item, lambda value: 0, recorder.translate, finish, lambda value: 1)
    with pytest.raises(EnvironmentFaultError, match="disk full"):
        run(stages, range(1000), in_order=True)
    assert recorder.order == [0]


def test_an_error_of_the_iterator_comes_after_what_was_before_it() -> None:
    recorder = Recorder()

    def items() -> Iterator[int]:
        yield from range(5)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        run(recorder.stages(), items())
    assert sorted(recorder.order) == list(range(5))


def test_stop_ends_early_and_says_so() -> None:
    recorder = Recorder()
    stop = threading.Event()

    def decode(item: int) -> int:
        if item == 20:
            stop.set()
        return item

    assert not run(recorder.stages(decode=decode), range(10_000), stop=stop)
    assert len(recorder.order) < 100


def test_a_generator_is_closed_where_the_run_ends_early() -> None:
    recorder = Recorder()
    stop = threading.Event()
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            for item in range(10_000):
                if item == 5:
                    stop.set()
                yield item
        finally:
            closed.set()

    run(recorder.stages(), items(), stop=stop)
    assert closed.is_set()


def test_pictures_heavier_than_the_limit_pass_one_by_one() -> None:
    recorder = Recorder()
    assert run(recorder.stages(weigh=100), range(40), size=8, held_bytes=10)
    assert sorted(recorder.order) == list(range(40))


def test_decoded_bytes_stay_near_the_limit() -> None:
    recorder = Recorder()
    lock = threading.Lock()
    alive, most = 0, 0

    def decode(item: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return item

    def finish(item: int, outcome: Outcome[int, int]) -> None:
        nonlocal alive
        time.sleep(0.001)
        with lock:
            alive -= 1

    stages = Stages(decode, lambda value: 0, recorder.translate, finish, lambda value: 10)
    run(stages, range(200), size=2, held_bytes=60, ahead=64)
    # Six are let in by weight; those that two threads had begun or were given by then come on top.
    assert most <= 6 + 3


def test_stages_overlap() -> None:
    """Three stages of 10 ms an item take far less than 30 ms an item together."""
    recorder = Recorder()

    def slow(value: int) -> int:
        time.sleep(0.01)
        return value

    def translate(items: list[int], loaded: list[int]) -> list[int]:
        time.sleep(0.01 * len(items))
        return recorder.translate(items, loaded)

    def finish(item: int, outcome: Outcome[int, int]) -> None:
        time.sleep(0.01)
        recorder.order.append(item)

    stages = Stages(slow, lambda value: 0, translate, finish, lambda value: 1)
    started = time.perf_counter()
    run(stages, range(60), size=2, in_order=True)
    assert time.perf_counter() - started < 60 * 0.03 * 0.75
