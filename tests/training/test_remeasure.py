"""Runs that an older version measured with other formulas go on without comparing unlike figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from p2pcli.events import Event, Note
from p2pcli.jobs.train import train
from p2pcli.training.checkpoint import newest_state
from p2pcli.training.report_page import render_report
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog, read_log

Folder = Callable[..., Path]
OLD_BEST = 0.999
"""An SSIM that no model of these tests reaches: what the older formula may well have given."""


@pytest.fixture
def old_run(tiny: list[str], side_by_side: Folder, tmp_path: Path) -> Callable[..., Path]:
    """Trains and leaves the run as an older version would have: ended after an epoch, measured otherwise."""

    def make(*changes: str, finished: bool = False) -> Path:
        data, out = side_by_side(6), tmp_path / "run"
        every = ["train.checkpoint_minutes=1e-9", "train.keep_last=99", *changes]
        train(data, output=out, overrides=[*tiny, *every])
        paths = sorted((out / "state").glob("*.pt"))
        for path in paths[: None if finished else -1]:
            state = torch.load(path, weights_only=True)
            del state["formulas"]
            for kind in ("best", "measured"):
                if state[kind] is not None:
                    state[kind]["metrics"]["ssim"] = OLD_BEST
            state["plateau"]["best"] = OLD_BEST
            torch.save(state, path)
        if not finished:
            paths[-1].unlink()
        return out

    return make


def resumed(out: Path) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Note):
            said.append(event.text)

    train(output=out, resume=True, observe=observe)
    found = newest_state(out / "state")
    assert found is not None
    return found[1], said


def test_the_best_model_of_an_older_version_is_measured_again(old_run: Callable[..., Path]) -> None:
    state, said = resumed(old_run())
    assert state["best"]["metrics"]["ssim"] < OLD_BEST
    assert any("best.safetensors was measured by an older version" in text for text in said)


def test_a_better_model_wins_over_a_figure_of_the_older_formula(
    old_run: Callable[..., Path], tiny: list[str], side_by_side: Folder, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    train(side_by_side(6, name="again"), output=whole, overrides=[*tiny, "train.checkpoint_minutes=1e-9"])
    expected = newest_state(whole / "state")
    state, _ = resumed(old_run())
    assert expected is not None
    assert state["best"]["step"] == expected[1]["best"]["step"]
    assert state["best"]["metrics"] == pytest.approx(expected[1]["best"]["metrics"], abs=1e-6)


def test_a_finished_run_of_an_older_version_tells_figures_of_today(old_run: Callable[..., Path]) -> None:
    out = old_run(finished=True)
    before = (out / "log.jsonl").read_bytes()
    report = train(output=out, resume=True)
    assert report.best is not None and report.best.metrics["ssim"] < OLD_BEST
    assert report.metrics["ssim"] < OLD_BEST
    assert (out / "log.jsonl").read_bytes() == before


def test_without_its_file_the_search_for_the_best_starts_anew(old_run: Callable[..., Path]) -> None:
    out = old_run()
    (out / "best.safetensors").unlink()
    state, said = resumed(out)
    assert 0 < state["best"]["metrics"]["ssim"] < OLD_BEST
    assert any("starts anew" in text for text in said)
    assert (out / "best.safetensors").is_file()


def test_a_plateau_of_the_older_formula_is_not_waited_for(old_run: Callable[..., Path]) -> None:
    state, _ = resumed(old_run("train.decay=plateau", "train.decay_patience=0", "train.epochs=3"))
    assert state["plateau"]["best"] < OLD_BEST


def test_a_run_of_today_is_not_measured_again(tiny: list[str], side_by_side: Folder, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(side_by_side(6), output=out, overrides=[*tiny, "train.checkpoint_minutes=1e-9"])
    _, said = resumed(out)
    assert not any("older version" in text for text in said)
    assert all(row["kind"] != "formulas" for row in read_log(out / "log.jsonl"))


def test_the_report_leaves_out_what_was_measured_otherwise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_about({"headline": "grown"})
    log = RunLog(folder.log)
    baseline = {"l1": 0.9, "psnr": 6.0, "ssim": -0.345}
    log.write("validation", 4, {"l1": 0.5, "psnr": 9.0, "ssim": -0.234, "baseline": baseline})
    assert "-0.234" in render_report(folder)
    log.write("formulas", 4, {})
    page = render_report(folder)
    assert "-0.234" not in page and "-0.345" not in page
    assert "SSIM up to step 4 was taken with another formula" in page
    log.write("validation", 8, {"l1": 0.4, "psnr": 9.5, "ssim": 0.567, "baseline": {**baseline, "ssim": 0.2}})
    assert "0.567" in render_report(folder)
