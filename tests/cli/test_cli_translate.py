"""`p2p translate`: what the job is called with, what is chosen where nothing is given, how it goes on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from p2pcli.jobs.translate_report import FOREIGN
from p2pcli.plan import Failure


def test_the_job_gets_what_was_typed(run, fake_job):
    job = fake_job("translate")
    run(
        "translate", "a.mp4", "photos", "-m", "runs/a", "-o", "out", "--statistics", "running",
        "--dropout", "--precision", "float32", "--prepare", "none", "--encoding", "png",
        "--direction", "BtoA", "--look", "2", "--background", "black",
        "--quality", 80, "--max-pixels", 99, "-b", 4, "--device", "cpu", "-j", 1, "--seed", 3,
        "--limit", 5, "--overwrite", "--dry-run",
    )  # fmt: skip
    observed = {name: value for name, value in job.options.items() if name not in ("observe", "stop")}
    assert job.args == ([Path("a.mp4"), Path("photos")],)
    assert observed == {
        "model": Path("runs/a"),
        "output": Path("out"),
        "device": "cpu",
        "precision": "float32",
        "batch_size": 4,
        "statistics": "running",
        "dropout": True,
        "prepare": "none",
        "direction": "BtoA",
        "look": "2",
        "background": "black",
        "encoding": "png",
        "quality": 80,
        "max_pixels": 99,
        "seed": 3,
        "workers": 1,
        "limit": 5,
        "overwrite": True,
        "dry_run": True,
    }


def test_modes_that_are_not_given_are_left_to_the_model(run, fake_job):
    job = fake_job("translate")
    run("translate", "a.mp4", "-m", "runs/a")
    assert (job.options["statistics"], job.options["dropout"]) == (None, None)


def test_the_current_folder_and_the_newest_run_are_taken_and_named(run, fake_job, tmp_path):
    job = fake_job("translate")
    (tmp_path / "runs" / "only").mkdir(parents=True)
    (tmp_path / "runs" / "only" / "model.safetensors").touch()
    ended = run("translate")
    assert (job.args, job.options["model"]) == (([Path()],), Path("runs/only"))
    assert ended.err.splitlines()[0] == "The same as: p2p translate . -m runs/only"


@pytest.mark.parametrize(
    ("words", "is_terminal", "answer", "photos", "is_done"),
    [
        ([], True, "n\n", 21, False),
        ([], True, "y\n", 21, True),
        ([], True, "", 20, True),
        (["-y"], True, "", 21, True),
        (["."], True, "", 21, True),
        ([], False, "", 21, True),
    ],
)
def test_a_bare_command_asks_on_a_terminal_before_many_items(
    run, fake_job, tmp_path, monkeypatch, words, is_terminal, answer, photos, is_done
):
    job = fake_job("translate")
    (tmp_path / "runs" / "only").mkdir(parents=True)
    (tmp_path / "runs" / "only" / "model.safetensors").touch()
    for number in range(photos):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    typed = io.StringIO(answer)
    monkeypatch.setattr(typed, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdin", typed)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    ended = run("translate", *words)
    assert (ended.code, bool(job.args)) == ((0, True) if is_done else (130, False))
    assert ("Translate 21 pictures and films below" in ended.err) == (answer != "")


def test_the_same_command_goes_on_after_an_interruption(run, fake_job):
    job = fake_job("translate")
    job.report.interrupted = True
    ended = run("translate", "a.mp4", "-m", "runs/a")
    assert ended.code == 130
    assert ended.err.endswith("Stopped after 1 s. To go on from here:\np2p translate a.mp4 -m runs/a\n")


@pytest.mark.parametrize(
    ("planned", "said"),
    [(1, "To begin anew:"), (3, "To go on from here (b.mp4 was not finished and starts anew):")],
)
def test_an_unfinished_film_is_not_said_to_go_on(run, fake_job, planned, said):
    job = fake_job("translate")
    job.report.interrupted, job.report.unfinished_film = True, "b.mp4"
    job.report.tally.planned = planned
    ended = run("translate", "films", "-m", "runs/a")
    assert ended.err.endswith(f"Stopped after 1 s. {said}\np2p translate films -m runs/a\n")


def test_a_dry_run_prints_what_would_be_written_as_data(run, fake_job):
    fake_job("translate")
    assert run("translate", "a", "-m", "m", "--dry-run").out == "made/a.png\n"


def test_failures_beyond_the_first_five_are_counted_and_their_place_is_named(run, fake_job):
    job = fake_job("translate")
    job.report.tally.failed = [
        Failure(f"{number}", f"in/{number}.mp4", "read", "ItemError", f"in/{number}.mp4: empty.")
        for number in range(7)
    ]
    ended = run("translate", "a", "-m", "m")
    assert "failed: in/4.mp4: empty.\nand 2 more; all are in made/.p2p/failures.jsonl\n" in ended.err


def test_what_replaces_a_file_that_p2p_did_not_write_is_said(run, fake_job):
    job = fake_job("translate")
    job.report.tally.skipped[FOREIGN] = 1
    ended = run("translate", "a", "-m", "m")
    assert "what p2p did not write is left as it is; --overwrite replaces it\n" in ended.err
