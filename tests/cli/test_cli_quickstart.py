"""`p2p quickstart`: what it prints and refuses; tests/jobs/test_quickstart.py runs the whole of it."""

from __future__ import annotations

import json

import pytest

from p2pcli.jobs.quickstart import QuickstartReport
from p2pcli.plan import Tally


@pytest.fixture
def report(tmp_path):
    """A quickstart that went well."""
    return QuickstartReport(
        output=tmp_path,
        tally=Tally(planned=2, written=2),
        dataset=tmp_path / "pairs",
        contact_sheet=tmp_path / "pairs/preview.png",
        run=tmp_path / "run",
        model=tmp_path / "run/best.safetensors",
        report_page=tmp_path / "run/report.html",
        translated=tmp_path / "translated/clip.mp4",
        comparison=tmp_path / "comparison.png",
        metrics={"l1": 0.25, "psnr": 15.0, "ssim": 0.4},
        baseline={"l1": 0.75, "psnr": 7.0, "ssim": 0.1},
    )


def test_it_ends_with_where_everything_is_and_the_commands_for_own_files(run, fake_job, report):
    fake_job("quickstart").report = report
    ended = run("quickstart")
    assert ended.code == 0
    for path in (report.dataset, report.contact_sheet, report.model, report.report_page, report.translated):
        assert f"  {path}" in ended.out
    commands = [line.split()[:2] for line in ended.out.splitlines()[-3:]]
    assert commands == [["p2p", "make-pairs"], ["p2p", "train"], ["p2p", "translate"]]


def test_both_numbers_are_said(run, fake_job, report):
    fake_job("quickstart").report = report
    out = run("quickstart").out
    assert "On held-out pairs the model is better than its untranslated input:" in out
    assert "L1    0.250     input 0.750" in out


def test_a_model_that_does_not_beat_its_input_ends_with_1_and_says_so(run, fake_job, report):
    report.metrics = {"l1": 0.8, "psnr": 15.0, "ssim": 0.4}
    fake_job("quickstart").report = report
    ended = run("quickstart")
    assert ended.code == 1
    assert "On held-out pairs the model is NOT better than its untranslated input:" in ended.out


def test_json_is_the_report_alone(run, fake_job, report):
    fake_job("quickstart").report = report
    assert json.loads(run("quickstart", "--json").out)["beats_input"] is True


def test_a_folder_that_holds_something_is_left_alone(run, tmp_path):
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "mine.txt").write_text("mine")
    ended = run("quickstart", "-o", "q")
    assert (ended.code, ended.out, ended.err) == (
        2,
        "",
        "p2p: q is not empty. Add --overwrite to make everything in it anew, or name another folder "
        "with -o.\n",
    )


def test_an_interrupted_one_says_how_to_begin_anew(run, fake_job, report):
    report.interrupted = True
    fake_job("quickstart").report = report
    assert "To begin anew:\np2p quickstart --overwrite\n" in run("quickstart", "--overwrite").err


def test_a_device_that_is_not_there_ends_it_before_anything_is_made(run, tmp_path):
    ended = run("quickstart", "--device", "cud", "-o", "q")
    assert (ended.code, (tmp_path / "q").exists()) == (2, False)
    assert ended.err.startswith("p2p: --device cud: expected auto, cpu,")
