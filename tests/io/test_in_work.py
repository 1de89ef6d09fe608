"""What a killed process leaves on record of what it was at."""

from __future__ import annotations

import signal
from pathlib import Path

from p2pcli.io.in_work import InWork, died_text


def test_what_was_begun_and_not_ended_is_suspected(tmp_path: Path) -> None:
    before = InWork(tmp_path / "in-work.jsonl")
    for name in ("a", "b", "c"):
        before.begin(name, mark="1")
    before.end("b")
    after = InWork(tmp_path / "in-work.jsonl")
    assert after.suspects() == {"a", "c"}
    assert after.reason_against("a", mark="1") is None


def test_nothing_is_left_of_a_run_that_ends_in_order(tmp_path: Path) -> None:
    run = InWork(tmp_path / "in-work.jsonl")
    run.begin("a", mark="1")
    run.end("a")
    run.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_died_at_alone_is_given_up_until_it_changes(tmp_path: Path) -> None:
    InWork(tmp_path / "in-work.jsonl").begin("a", mark="1", alone=True)
    after = InWork(tmp_path / "in-work.jsonl")
    assert "twice" in (after.reason_against("a", mark="1") or "")
    assert after.reason_against("a", mark="2") is None
    after.close()
    assert InWork(tmp_path / "in-work.jsonl").reason_against("a", mark="1")


def test_the_reason_names_the_signal(tmp_path: Path) -> None:
    run = InWork(tmp_path / "in-work.jsonl")
    run.died("a", mark="1", reason=died_text(-signal.SIGSEGV))
    run.close()
    assert "SIGSEGV" in (InWork(run.path).reason_against("a", mark="1") or "")
    assert "memory runs out" in died_text(-signal.SIGKILL)


def test_suspects_that_nobody_came_to_stay_suspected(tmp_path: Path) -> None:
    InWork(tmp_path / "in-work.jsonl").begin("a", mark="1")
    InWork(tmp_path / "in-work.jsonl").close()
    assert InWork(tmp_path / "in-work.jsonl").suspects() == {"a"}


def test_a_cut_line_is_passed_over(tmp_path: Path) -> None:
    run = InWork(tmp_path / "in-work.jsonl")
    run.begin("a", mark="1")
    with run.path.open("a") as file:
        file.write('{"name": "b", "ma')
    assert InWork(run.path).suspects() == {"a"}
