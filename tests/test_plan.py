"""Fingerprints, resume refusals and the accounting invariant."""

from __future__ import annotations

import pytest

from p2pcli.errors import ExitCode, ResumeMismatchError
from p2pcli.plan import Failure, Tally, differences, fingerprint, require_same


def test_fingerprint_ignores_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})


def test_differences_name_what_changed_came_and_went():
    assert differences({"size": 256, "old": 1}, {"size": 512, "new": 2}) == [
        "new: (absent) → 2",
        "old: 1 → (absent)",
        "size: 256 → 512",
    ]


def test_a_changed_option_refuses_to_resume_and_says_which():
    with pytest.raises(ResumeMismatchError) as caught:
        require_same({"size": 256}, {"size": 512}, what="pairs/", remedy="Use --overwrite.")
    assert str(caught.value) == (
        "pairs/ was made with other inputs or options (size: 256 → 512). Use --overwrite."
    )
    assert caught.value.exit_code == ExitCode.RESUME_MISMATCH


def test_a_tally_that_does_not_add_up_is_a_bug():
    tally = Tally(planned=2, written=1)
    with pytest.raises(AssertionError, match="planned 2 items"):
        tally.close()


def test_an_interruption_counts_the_rest_as_skipped():
    tally = Tally(planned=5, written=2, failed=[Failure("a", "a.jpg", "read", "ItemError", "broken")])
    tally.close(interrupted=True)
    assert tally.as_json()["skipped_reasons"] == {"interrupted": 2}
