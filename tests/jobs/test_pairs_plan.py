"""The plan: which frames of a film, and how items become shards."""

from __future__ import annotations

from fractions import Fraction

import pytest

from p2pcli.errors import UsageError
from p2pcli.jobs.pairs_plan import Item, Sampling, cut_shards, parse_sampling, pick_frames

TIMES = list(range(0, 4000, 40))
"""Four seconds of 25 frames a second, in ms."""


@pytest.mark.parametrize(
    ("every", "fps", "expected"),
    [
        (None, None, Sampling()),
        ("2s", None, Sampling(every_seconds=Fraction(2))),
        ("0.5s", None, Sampling(every_seconds=Fraction(1, 2))),
        (0.25, None, Sampling(every_seconds=Fraction(1, 4))),
        ("12", None, Sampling(every_frames=12)),
        (None, 4, Sampling(every_seconds=Fraction(1, 4))),
    ],
)
def test_every_and_fps_are_understood(every, fps, expected):
    assert parse_sampling(every, fps) == expected


@pytest.mark.parametrize("every", ["", "0", "-3", "2m", "1/0s", "0s", -1.0])
def test_a_distance_that_makes_no_sense_is_refused(every):
    with pytest.raises(UsageError, match=r"expected a time such as 2s or 0\.5s, or a count of frames"):
        parse_sampling(every, None)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(fps):
    with pytest.raises(UsageError, match="expected frames per second above 0"):
        parse_sampling(None, fps)


def test_distance_and_rate_exclude_each_other():
    with pytest.raises(UsageError, match="every and fps exclude each other"):
        parse_sampling("2s", 2)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0, 25, 50, 75]),
        (Sampling(every_frames=40), [0, 40, 80]),
        (Sampling(every_seconds=Fraction(3, 2)), [0, 38, 75]),
        (Sampling(every_seconds=Fraction(1, 1000)), list(range(100))),
    ],
)
def test_frames_are_taken_at_the_asked_distance(sampling, expected):
    assert pick_frames(TIMES, sampling, Fraction(1, 1000)) == expected


def test_time_is_counted_from_the_first_frame():
    late = [time + 90_000 for time in TIMES]
    assert pick_frames(late, Sampling(), Fraction(1, 1000)) == [0, 25, 50, 75]


@pytest.mark.parametrize(
    ("count", "shards"), [(1, 1), (32, 1), (33, 2), (164, 6), (5000, 64), (200_000, 200)]
)
def test_shards_hold_32_to_1000_rows_and_aim_at_64(count, shards):
    cut = cut_shards({"train": [Item(str(n), "", "") for n in range(count)]})
    assert len(cut) == shards
    assert sum(len(shard.items) for shard in cut) == count
    assert cut[-1].name == f"train-{shards - 1:05d}-of-{shards:05d}"


def test_an_empty_split_has_no_shard():
    assert cut_shards({"train": [], "test": []}) == ()
