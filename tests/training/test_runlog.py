"""log.jsonl."""

from __future__ import annotations

from pathlib import Path

from p2pcli.training.runlog import RunLog, read_log


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.write("step", 1, {"losses": {"l1": 2.0}})
    log.write("validation", 2, {"ssim": 0.5})
    assert [(row["kind"], row["step"]) for row in read_log(log.path)] == [("step", 1), ("validation", 2)]


def test_rows_after_the_checkpoint_and_half_lines_are_cut(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    for step in range(1, 5):
        log.write("step", step, {})
    with log.path.open("a") as file:
        file.write('{"kind": "st')
    log.cut_after(2)
    log.write("step", 3, {"again": True})
    assert [row["step"] for row in read_log(log.path)] == [1, 2, 3]
