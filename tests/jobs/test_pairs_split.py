"""Which pairs go where: stable, leak-free, and never an empty validation split without need."""

from __future__ import annotations

import pytest

from p2pcli.errors import UsageError
from p2pcli.jobs.pairs_split import Group, assign_splits, check_split

SHARES = (0.9, 0.05, 0.05)


def photos(count: int) -> list[Group[str]]:
    return [Group(f"p{number:04d}", (f"p{number:04d}",)) for number in range(count)]


def film(name: str, frames: int) -> Group[str]:
    return Group(name, tuple(f"{name}/{number:06d}" for number in range(frames)), is_film=True)


def test_shares_are_met_on_average():
    assigned = assign_splits(photos(4000), SHARES, seed=0)
    assert len(assigned["validation"]) == pytest.approx(200, abs=45)
    assert len(assigned["test"]) == pytest.approx(200, abs=45)


def test_no_item_is_lost_or_doubled():
    groups = [*photos(30), film("f", 40), film("g", 3)]
    assigned = assign_splits(groups, SHARES, seed=1)
    assert sorted(item for items in assigned.values() for item in items) == sorted(
        item for group in groups for item in group.items
    )


def test_more_inputs_move_nothing():
    before = assign_splits(photos(500), SHARES, seed=0)
    after = assign_splits(photos(600), SHARES, seed=0)
    assert all(set(before[name]) <= set(after[name]) for name in before)


def test_another_seed_splits_otherwise():
    first, second = (assign_splits(photos(200), SHARES, seed=seed)["test"] for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize(
    ("count", "validation", "test"), [(2, 0, 0), (3, 1, 0), (9, 1, 0), (10, 1, 1), (24, 1, 1)]
)
@pytest.mark.parametrize("seed", range(5))
def test_small_sets_keep_something_to_validate_and_test_on(count, validation, test, seed):
    assigned = assign_splits(photos(count), SHARES, seed=seed)
    assert len(assigned["validation"]) >= validation
    assert len(assigned["test"]) >= test
    assert assigned["train"]


@pytest.mark.parametrize("seed", range(5))
def test_frames_of_one_film_among_many_stay_together(seed):
    groups = [*photos(300), film("f", 12)]
    assigned = assign_splits(groups, SHARES, seed=seed)
    assert sum(any(item.startswith("f/") for item in items) for items in assigned.values()) == 1


def test_a_single_film_is_cut_into_blocks_of_time():
    assigned = assign_splits([film("f", 100)], SHARES, seed=0)
    assert assigned["train"] == [f"f/{number:06d}" for number in range(90)]
    assert assigned["validation"] == [f"f/{number:06d}" for number in range(90, 95)]
    assert assigned["test"] == [f"f/{number:06d}" for number in range(95, 100)]


def test_a_share_of_nothing_gets_nothing():
    assigned = assign_splits(photos(50), (0.9, 0.1, 0.0), seed=0)
    assert assigned["test"] == []
    assert assigned["validation"]


@pytest.mark.parametrize("split", [(0.5, 0.2), (0.9, 0.2, 0.2), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5)])
def test_shares_that_make_no_sense_are_refused(split):
    with pytest.raises(UsageError, match="expected three shares for train, validation and test"):
        check_split(split)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_however_few_there_are_some_are_trained_on(count: int) -> None:
    for seed in range(40):
        assert assign_splits(photos(count), SHARES, seed=seed)["train"]


def test_a_share_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="split nan/0/1: expected three shares"):
        check_split([float("nan"), 0, 1])


def clip(name: str, frames: int) -> Group[str]:
    return Group(name, tuple(f"{name}/{number:06d}" for number in range(frames)), is_clip=True)


def clips_of(items: list[str]) -> set[str]:
    return {item.partition("/")[0] for item in items}


@pytest.mark.parametrize("count", [2, 3, 4, 10, 30])
@pytest.mark.parametrize("seed", range(4))
def test_a_clip_is_never_divided_however_few_there_are(count: int, seed: int) -> None:
    assigned = assign_splits([clip(f"c{number}", 20) for number in range(count)], SHARES, seed=seed)
    places = [clips_of(assigned[name]) for name in ("train", "validation", "test")]
    assert sum(map(len, places)) == count
    assert all(places[: min(count, 3)])


def test_one_clip_alone_is_cut_into_blocks_of_time() -> None:
    assigned = assign_splits([clip("c", 100)], SHARES, seed=0)
    assert assigned["validation"] == [f"c/{number:06d}" for number in range(90, 95)]


def test_clips_beside_photos_are_not_divided() -> None:
    for seed in range(20):
        assigned = assign_splits([clip("c", 50), *photos(30)], SHARES, seed=seed)
        assert sum("c" in clips_of(items) for items in assigned.values()) == 1
