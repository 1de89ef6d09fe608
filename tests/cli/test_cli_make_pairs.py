"""`p2p make-pairs`: each maker's options are those of the maker, and reach the job as typed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from p2pcli.cli.making import Shared
from p2pcli.cli.verbs import command_of
from p2pcli.jobs.make_pairs import make_pairs
from p2pcli.pairs import MAKERS


def maker_options(maker: str) -> dict[str, str]:
    """Option name → help of what the command of a maker has beyond the shared options."""
    command = command_of("make-pairs").commands[maker]
    shared = {*Shared.__dataclass_fields__, "help"}
    return {param.name: param.help for param in command.params if param.name not in shared}


def test_every_maker_has_its_command():
    assert sorted(command_of("make-pairs").commands) == sorted(MAKERS)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_command_has_the_makers_options_and_no_others(maker):
    assert sorted(maker_options(maker)) == sorted(MAKERS[maker].options.model_fields)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_defaults_that_help_shows_are_the_makers(maker):
    shown = {name: re.search(r"default: (.+?)\]", text)[1] for name, text in maker_options(maker).items()}
    expected = {
        name: _shown(name, field.default) for name, field in MAKERS[maker].options.model_fields.items()
    }
    differ = {
        name: (shown[name], expected[name]) for name in shown if expected[name] not in (None, shown[name])
    }
    assert differ == {}


def _shown(name: str, default: object) -> str | None:
    """How help shows a default; None where the maker finds the value itself and help says so in words."""
    if isinstance(default, bool):
        words = {"l2": ("l1", "l2"), "restore_size": ("keep-small", "restore-size")}
        return words.get(name, (f"no-{name}", name))[default]
    return None if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def test_the_job_gets_what_was_typed(run, fake_job):
    job = fake_job("make_pairs")
    run(
        "make-pairs", "edges", "photos", "a.mp4", "-o", "out", "--method", "xdog", "--sigma", 0.9,
        "--no-thin", "--size", 128, "--resample", "lanczos", "--background", 0, "--fit", "pad",
        "--fps", 2, "--jitter", "--preview", "p.png", "-j", 1, "--encoding", "jpg", "--quality", 70,
        "--split", "0.8/0.2/0", "--seed", 4, "--limit", 6, "--max-pixels", 1000, "--overwrite",
        "--dry-run",
    )  # fmt: skip
    assert job.args == ("edges", [Path("photos"), Path("a.mp4")], Path("out"))
    expected = {
        "options": {"method": "xdog", "sigma": 0.9, "thin": False},
        "size": 128,
        "fit": "pad",
        "every": None,
        "fps": 2.0,
        "jitter": True,
        "preview": Path("p.png"),
        "workers": 1,
        "kernel": "lanczos",
        "background": 0,
        "encoding": "jpg",
        "quality": 70,
        "split": [0.8, 0.2, 0.0],
        "seed": 4,
        "limit": 6,
        "max_pixels": 1000,
        "overwrite": True,
        "dry_run": True,
    }
    assert {name: job.options[name] for name in expected} == expected


@pytest.mark.parametrize("maker", MAKERS)
def test_with_nothing_given_the_current_folder_becomes_pairs_of_the_maker(run, fake_job, maker):
    job = fake_job("make_pairs")
    ended = run("make-pairs", maker)
    assert (job.args, job.options["options"]) == ((maker, [Path()], Path("pairs") / maker), {})
    assert ended.err.splitlines()[0] == f"The same as: p2p make-pairs {maker} . -o pairs/{maker}"


def test_with_defaults_alone_the_job_gets_its_own_defaults(run, fake_job):
    own = {
        name: parameter.default
        for name, parameter in inspect.signature(make_pairs).parameters.items()
        if name not in ("maker", "sources", "output", "options", "observe", "stop")
    }
    job = fake_job("make_pairs")
    run("make-pairs", "edges", "photos")
    given = {name: tuple(value) if name == "split" else value for name, value in job.options.items()}
    assert {name: given[name] for name in own} == own


def test_a_split_that_is_no_numbers_is_refused(run):
    ended = run("make-pairs", "gray", ".", "-o", "out", "--split", "most")
    assert (ended.code, ended.err) == (
        2,
        "p2p: --split most: expected three shares for train, validation and test that sum to 1, such as "
        "0.9/0.05/0.05.\n",
    )


def test_a_dry_run_prints_the_plan_as_data(run, fake_job):
    fake_job("make_pairs")
    ended = run("make-pairs", "gray", "photos", "--dry-run")
    assert ended.out == "Would write 3 pairs (train 2, validation 1) to made: 2 shards, about 1.5 MB.\n"


def test_a_dataset_that_was_whole_before_is_said_to_be(run, fake_job):
    fake_job("make_pairs").report.nothing_to_do = True
    first = run("make-pairs", "edges", "photos", "-o", "made").err.splitlines()[0]
    assert first == "Nothing to do: made is whole already. When it was made:"


def test_what_is_taken_and_what_stays_together_can_be_said(run, fake_job):
    job = fake_job("make_pairs")
    run(
        "make-pairs",
        "gray",
        "data",
        "--input",
        "left",
        "--target",
        "right",
        "--layout",
        "folders",
        "--group",
        "stem",
    )
    names = ("input_folder", "target_folder", "layout", "group")
    assert [job.options[name] for name in names] == ["left", "right", "folders", "stem"]
