"""`p2p train`: what the job is called with, what is chosen where nothing is given, how it resumes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from p2pcli.events import Stop


def test_the_job_gets_what_was_typed(run, fake_job):
    job = fake_job("train")
    run(
        "train", "pairs", "-r", "quick", "-o", "runs/a", "--set", "train.epochs=2", "--set", "losses.l1=10",
        "--init", "runs/b", "--init", "g.safetensors", "--device", "cpu", "--seed", 7, "--limit", 9, "-j", 2,
        "--weights", "vgg.pth", "--resume", "--overwrite", "--dry-run",
    )  # fmt: skip
    observed = {name: value for name, value in job.options.items() if name not in ("observe", "stop")}
    assert job.args == (Path("pairs"),)
    assert observed == {
        "recipe": "quick",
        "output": Path("runs/a"),
        "overrides": ["train.epochs=2", "losses.l1=10"],
        "init": [Path("runs/b"), Path("g.safetensors")],
        "weights": Path("vgg.pth"),
        "device": "cpu",
        "seed": 7,
        "limit": 9,
        "workers": 2,
        "resume": True,
        "overwrite": True,
        "dry_run": True,
    }


def test_sides_and_groups_are_keys_of_the_recipe(run, fake_job):
    job = fake_job("train")
    run("train", "data", "--input", "left", "--target", "*.png", "--group", "none", "--set", "data.size=64")
    assert job.options["overrides"] == [
        'data.input_folder="left"',
        'data.target_folder="*.png"',
        'data.group="none"',
        "data.size=64",
    ]


def test_the_newest_dataset_is_taken_and_named(run, fake_job, tmp_path):
    job = fake_job("train")
    for age, name in enumerate(["new", "old"]):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        os.utime(tmp_path / "pairs" / name, (1000 - age, 1000 - age))
    ended = run("train", "-r", "quick")
    assert job.args == (Path("pairs/new"),)
    assert ended.err.splitlines()[0] == "The same as: p2p train -r quick pairs/new"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent with os.kill")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_stops_at_a_safe_point_and_says_how_to_go_on(run, fake_job, number, code):
    job = fake_job("train")

    def until_stopped(options: dict[str, object]) -> None:
        os.kill(os.getpid(), number)
        stop = options["stop"]
        assert isinstance(stop, Stop)
        assert stop.wait(10)

    job.during = until_stopped
    job.report.interrupted = True
    job.report.output = Path("runs/auto")
    ended = run("train", "my pairs")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.splitlines()[-2:] == [
        "Stopped after 1 s. To go on from here:",
        "p2p train --resume -o runs/auto",
    ]


def test_the_command_that_goes_on_never_overwrites(run, fake_job):
    job = fake_job("train")
    job.report.interrupted = True
    ended = run("train", "pairs", "-o", "made", "--overwrite")
    assert ended.err.endswith("\np2p train --resume -o made\n")


def test_the_command_that_goes_on_is_short_but_keeps_the_device(run, fake_job):
    job = fake_job("train")
    job.report.interrupted = True
    ended = run("train", "pairs", "-r", "quick", "--set", "train.steps=9", "--device", "cpu", "-j", 1)
    assert ended.err.endswith("\np2p train --resume -o made --device cpu -j 1\n")


def test_the_end_names_the_next_verb(run, fake_job):
    fake_job("train")
    assert run("train", "pairs").err.endswith("\nNext: p2p translate FILM.mp4 -m made\n")


def test_resume_alone_leaves_data_recipe_and_folder_to_the_run(run, fake_job):
    job = fake_job("train")
    run("train", "--resume")
    assert job.args == (None,)
    assert (job.options["recipe"], job.options["output"]) == (None, None)


def test_a_dry_run_prints_the_plan_as_data(run, fake_job):
    fake_job("train")
    ended = run("train", "pairs", "--dry-run")
    assert ended.out == (
        "Would train 10 steps on 2 pairs (1 for validation) on cpu, about 1 min 30 s, into made.\n"
    )


def test_signals_are_as_before_once_the_job_is_over(run, fake_job):
    fake_job("train")
    before = signal.getsignal(signal.SIGINT)
    run("train", "pairs")
    assert signal.getsignal(signal.SIGINT) is before
