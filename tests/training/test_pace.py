"""A speed that halves is said, once."""

from __future__ import annotations

from p2pcli.training.pace import Pace


def said(speeds: list[float], *, seconds: float = 1.0, of: str = "") -> list[str]:
    pace = Pace()
    sentences = [pace.update(speed, number * seconds, of=of) for number, speed in enumerate(speeds)]
    return [sentence for sentence in sentences if sentence]


def test_a_speed_that_halves_is_said_once_with_both_numbers() -> None:
    (sentence,) = said([16.8] * 10 + [0.3] * 20)
    assert sentence.startswith("0.3 pictures a second, 17 before")


def test_each_further_halving_is_said() -> None:
    assert len(said([16.0] * 10 + [6.0] * 20 + [2.0] * 20)) == 2


def test_a_pause_is_no_slowness() -> None:
    assert said([16.8] * 10 + [0.3] + [16.8] * 10) == []


def test_a_slow_start_and_small_changes_are_not_said() -> None:
    assert said([1.0, 16.0, 15.0, 14.0, 9.0, 15.0] * 6) == []


def test_larger_pictures_are_no_slowness() -> None:
    pace = Pace()
    for number in range(40):
        size, speed = ("32", 16.0) if number < 20 else ("64", 4.0)
        assert pace.update(speed, float(number), of=size) == ""
