"""Splits, failures and the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import ItemError, NothingMatchedError, UsageError
from p2pcli.events import Note, ignore
from p2pcli.image import Sample
from p2pcli.recipe import Data, load_recipe
from p2pcli.training.batches import prefetch
from p2pcli.training.cache import LoadedCache
from p2pcli.training.dataset import PairData, Split, open_pairs, split_keys
from p2pcli.training.failures import FailureLog, read_failures
from p2pcli.training.sampler import Position, Slot, batches_from


class Keyed:
    """A source whose pictures tell their key; keys in `broken` raise."""

    is_paired = True

    def __init__(self, splits: dict[str, Sequence[str]], broken: Sequence[str] = ()) -> None:
        self._splits, self._broken = splits, broken
        self.reads: list[str] = []

    def splits(self) -> dict[str, Sequence[str]]:
        return self._splits

    def read(self, key: str) -> Sample:
        self.reads.append(key)
        if key in self._broken:
            raise ItemError(f"{key}: broken")
        image = np.full((16, 16, 3), int(key), np.uint8)
        return Sample(key, image, image)


def keyed_pairs(count: int, broken: Sequence[str] = (), *, cache_bytes: int = 1 << 20) -> PairData:
    keys = tuple(str(index) for index in range(count))
    source = Keyed({"all": keys}, broken)
    data = Data(size=16, load_size=16)
    split = Split(keys, (), "none")
    return PairData(Path("x"), source, split, data, None, 0, LoadedCache(cache_bytes))


def first_values(pairs: PairData, failures: FailureLog, steps: int, workers: int) -> list[int]:
    slots = batches_from(pairs.split.train, Position(), seed=1, batch_size=1)
    load = partial(pairs.training_square, failures=failures)
    stream = prefetch(((some, load) for some in slots), workers=workers)
    values = [int(next(stream).squares[0].target[0, 0, 0]) for _ in range(steps)]
    stream.close()
    return values


def test_an_empty_training_split_is_refused_where_others_have_pairs() -> None:
    with pytest.raises(NothingMatchedError, match="'train' is empty; there are pairs in validation only"):
        split_keys(Keyed({"validation": ["1", "2"]}), share=0.5, limit=None)


def test_a_source_with_its_own_validation_keeps_it() -> None:
    split = split_keys(
        Keyed({"train": ["1", "2"], "validation": ["3"], "test": ["4"]}), share=0.5, limit=None
    )
    assert (split.train, split.validation) == (("1", "2"), ("3",))


def test_held_out_keys_stay_held_out_when_others_are_added() -> None:
    few = split_keys(Keyed({"all": [str(n) for n in range(50)]}), share=0.2, limit=None)
    many = split_keys(Keyed({"all": [str(n) for n in range(200)]}), share=0.2, limit=None)
    assert set(few.validation) == {key for key in many.validation if int(key) < 50}
    assert 20 <= len(many.validation) <= 60


def test_two_pairs_give_one_to_each_side() -> None:
    split = split_keys(Keyed({"all": ["1", "2"]}), share=0.1, limit=None)
    assert len(split.train) == len(split.validation) == 1


def test_limit_keeps_the_first_training_pairs() -> None:
    split = split_keys(Keyed({"train": ["1", "2", "3"], "validation": ["4"]}), share=0.1, limit=2)
    assert split.train == ("1", "2")


@pytest.mark.parametrize("workers", [1, 4])
def test_order_does_not_depend_on_the_number_of_threads(workers: int) -> None:
    pairs = keyed_pairs(9)
    failures = FailureLog(None, source="x", observe=ignore)
    assert first_values(pairs, failures, 18, workers) == first_values(keyed_pairs(9), failures, 18, 2)


def test_a_broken_pair_is_replaced_by_the_next_and_recorded_once(tmp_path: Path) -> None:
    notes: list[object] = []
    failures = FailureLog(tmp_path / "failures.jsonl", source="x", observe=notes.append)
    pairs = keyed_pairs(4, broken=["2"])
    values = first_values(pairs, failures, 12, workers=3)
    order = [
        int(slot[0].key)
        for slot, _ in zip(
            batches_from(pairs.split.train, Position(), seed=1, batch_size=1), range(12), strict=False
        )
    ]
    spot = order.index(2)
    assert values[spot] == order[(spot + 1) % 4 if spot < 3 else 0] and 2 not in values
    assert [row.key for row in read_failures(tmp_path / "failures.jsonl")] == ["2"]
    assert len([note for note in notes if isinstance(note, Note) and note.level == "warning"]) == 1


def test_a_resumed_run_does_not_record_a_failure_again(tmp_path: Path) -> None:
    for _ in range(2):
        failures = FailureLog(tmp_path / "failures.jsonl", source="x", observe=ignore)
        first_values(keyed_pairs(4, broken=["2"]), failures, 4, workers=1)
    assert len(read_failures(tmp_path / "failures.jsonl")) == 1


def test_a_run_without_a_readable_pair_ends_with_an_error() -> None:
    failures = FailureLog(None, source="x", observe=ignore)
    with pytest.raises(NothingMatchedError, match="none of its 3 training pairs can be read"):
        first_values(keyed_pairs(3, broken=["0", "1", "2"]), failures, 1, workers=2)


def test_the_cache_reads_each_pair_once_and_a_full_one_reads_again() -> None:
    failures = FailureLog(None, source="x", observe=ignore)
    for cache_bytes, reads in ((1 << 20, 3), (0, 9)):
        pairs = keyed_pairs(3, cache_bytes=cache_bytes)
        for epoch in range(3):
            for index in range(3):
                pairs.training_square(Slot(epoch, index, pairs.split.train), failures)
        source = pairs.source
        assert isinstance(source, Keyed) and len(source.reads) == reads


def test_single_photos_without_a_maker_say_how_to_make_pairs(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"--set pairs\.maker=edges"):
        open_pairs(photos, load_recipe("quick"))


def test_an_unknown_maker_option_is_refused_before_training(photos: Path) -> None:
    with pytest.raises(UsageError, match="edges has no option 'sigmaa'"):
        open_pairs(photos, load_recipe("quick", ["pairs.maker=edges", "pairs.options.sigmaa=1"]))


def test_pairs_made_on_the_fly_change_from_epoch_to_epoch_and_repeat_for_the_same(photos: Path) -> None:
    recipe = load_recipe("quick", ["pairs.maker=edges", "data.size=32", "data.load_size=40"])
    failures = FailureLog(None, source="x", observe=ignore)
    pairs = open_pairs(photos, recipe)
    order = pairs.split.train
    first, again, later = (pairs.training_square(Slot(epoch, 0, order), failures) for epoch in (0, 0, 1))
    assert np.array_equal(first.input, again.input)
    assert not np.array_equal(first.input, later.input)


def test_a_paired_source_can_give_targets_to_a_maker(side_by_side: Callable[..., Path]) -> None:
    recipe = load_recipe(
        "quick", ["pairs.maker=gray", "data.size=32", "data.load_size=32", "data.direction=BtoA"]
    )
    pairs = open_pairs(side_by_side(3), recipe)
    square = pairs.validation_square(pairs.split.train[0])
    left = pairs.source.read(pairs.split.train[0]).input
    assert abs(float(square.target.mean()) - float(left.mean())) < 3
    assert np.array_equal(square.input[..., 0], square.input[..., 1])


def test_rows_without_names_are_no_frames() -> None:
    keys = [f"{file:04d}/{row:06d}" for file in range(2) for row in range(20)]
    source = Keyed({"all": keys})
    source.has_names = False  # type: ignore[attr-defined]
    assert split_keys(source, share=0.1, limit=None, group="auto").groups == ""
    assert not source.reads
