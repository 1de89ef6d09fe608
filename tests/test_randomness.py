"""Randomness is fixed by what it is for."""

from __future__ import annotations

from p2pcli.randomness import fraction_for, rng_for


def test_the_same_names_give_the_same_numbers_and_others_give_others():
    first, again, other = (rng_for(0, key, "edges").integers(1 << 60) for key in ("a", "a", "b"))
    assert first == again != other


def test_names_are_separated_so_that_they_do_not_run_together():
    assert rng_for(0, "ab", "c").integers(1 << 60) != rng_for(0, "a", "bc").integers(1 << 60)


def test_fractions_spread_evenly():
    values = [fraction_for(0, f"key{i}") for i in range(2000)]
    assert all(0 <= value < 1 for value in values)
    assert abs(sum(value < 0.1 for value in values) - 200) < 50
