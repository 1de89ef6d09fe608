"""Every way to fail ends with one line on stderr and the documented exit code."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from p2pcli.cli.invocation import Invocation
from p2pcli.cli.json_line import json_line
from p2pcli.errors import (
    EnvironmentFaultError,
    ExitCode,
    NothingMatchedError,
    OutputInUseError,
    P2PError,
    RecipeError,
    ResumeMismatchError,
    UsageError,
)
from p2pcli.plan import Failure, Tally


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["trian"], "p2p has no command 'trian'. Did you mean 'train'? See p2p --help."),
        (
            ["zzz"],
            "p2p has no command 'zzz'. Known: cluster, export, import, make-pairs, quickstart, recipes, "
            "train, translate. See p2p --help.",
        ),
        (["predict"], "p2p has no command 'predict'. Did you mean 'translate'? See p2p --help."),
        (["help", "trian"], "p2p has no command 'trian'. Did you mean 'train'? See p2p --help."),
        (
            ["make-pairs", "sketch"],
            "p2p make-pairs has no command 'sketch'. Did you mean 'edges'? See p2p make-pairs --help.",
        ),
        (
            ["train", "--validate-every", "5"],
            "p2p train has no option '--validate-every'. Did you mean '--set train.validate_every=VALUE'? "
            "See p2p train --help.",
        ),
        (
            ["translate", "--size", "5"],
            "p2p translate has no option '--size'. See p2p translate --help.",
        ),
        (
            ["translate", "", "-m", "runs/a"],
            "an empty argument after 'p2p translate': perhaps a variable without a value. Give a value; the "
            "current folder is '.'.",
        ),
        (["--vresion"], "p2p has no option '--vresion'. Did you mean '--version'? See p2p --help."),
        (
            ["train", "--ouptut", "x"],
            "p2p train has no option '--ouptut'. Did you mean '--output'? See p2p train --help.",
        ),
        (
            ["make-pairs"],
            "p2p make-pairs needs one of its commands: edges, gray, downsample, mask, restore. See p2p "
            "make-pairs --help.",
        ),
        (
            ["make-pairs", "egdes"],
            "p2p make-pairs has no command 'egdes'. Did you mean 'edges'? See p2p make-pairs --help.",
        ),
        (
            ["make-pairs", "edges", "--method", "hed"],
            "p2p make-pairs edges --method hed: 'hed' is not one of 'canny', 'sobel', "
            "'dog', 'xdog'. See p2p make-pairs edges --help.",
        ),
        (
            ["make-pairs", "edges", "--fit", "croop"],
            "p2p make-pairs edges --fit croop: 'croop' is not one of 'crop', 'pad', 'stretch', 'inside', "
            "'source'. Did you mean 'crop'? See p2p make-pairs edges --help.",
        ),
        (["import"], "p2p import needs FILES. See p2p import --help."),
        (["cluster"], "p2p cluster needs DATA. See p2p cluster --help."),
        (
            ["translate", "--batch-size", "0"],
            "p2p translate --batch-size 0: input should be greater than or equal to 1. "
            "See p2p translate --help.",
        ),
        (
            ["train", "a", "b"],
            "p2p train: got unexpected extra argument(s) (b). See p2p train --help.",
        ),
        (["recipes", "show"], "p2p recipes show needs NAME. See p2p recipes show --help."),
        (
            ["train", "--seed", "9223372036854775808"],
            "p2p train --seed 9223372036854775808: input should be less than or equal to "
            "9223372036854775807. See p2p train --help.",
        ),
        (
            ["train", "--set"],
            "p2p train: option '--set' requires an argument. See p2p train --help.",
        ),
        (
            ["recipes", "show", "pix2pxi"],
            "no shipped recipe 'pix2pxi'. Did you mean 'pix2pix'?",
        ),
    ],
)
def test_usage_errors_are_one_line_and_end_with_2(run, words, error):
    ended = run(*words)
    assert (ended.code, ended.out, ended.err) == (2, "", f"p2p: {error}\n")


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        (
            "train",
            "no DATA was named, and there is no dataset under pairs/. Make one with p2p make-pairs edges "
            "PHOTOS, or name a folder: p2p train PHOTOS --set pairs.maker=edges.",
        ),
        (
            "translate",
            "no model given and no finished run under runs/. Train one with p2p train, or name yours with "
            "-m MODEL.",
        ),
        (
            "make-pairs gray",
            ".: no image and no video. Expected photos or films: check the path.",
        ),
    ],
)
def test_a_verb_with_nothing_to_take_ends_with_4(run, verb, error):
    ended = run(*verb.split(), "-q")
    assert (ended.code, ended.out, ended.err) == (4, "", f"p2p: {error}\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (P2PError("a mistake."), 1, "a mistake."),
        (UsageError("size 0."), 2, "size 0."),
        (RecipeError("x.toml: unknown key."), 2, "x.toml: unknown key."),
        (NothingMatchedError("no image in photos/."), 4, "no image in photos/."),
        (EnvironmentFaultError("no CUDA here."), 5, "no CUDA here."),
        (OutputInUseError("runs/a: being written by p2p train."), 5, "runs/a: being written by p2p train."),
        (ResumeMismatchError("made with another seed."), 6, "made with another seed."),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a.tmp"),
            5,
            "No space left on device (runs/a.tmp). Make room or name another -o, then run again.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/nowhere/x"),
            5,
            "Permission denied (/nowhere/x). Make room or name another -o, then run again.",
        ),
        (
            ModuleNotFoundError("No module named 'av'", name="av"),
            5,
            "the package 'av' is not installed. Install p2p with all it needs: pip install p2pcli",
        ),
        (
            MemoryError(),
            5,
            "the device ran out of memory. Use a smaller --batch-size (translate), data.size or "
            "train.batch_size (train --set), or --device cpu.",
        ),
        (
            ZeroDivisionError("division by zero"),
            1,
            "unexpected ZeroDivisionError: division by zero. This is a defect of p2p: run again with "
            "--debug and report what it prints.",
        ),
        (P2PError("two\n  lines."), 1, "two lines."),
        (P2PError("red \x1b[31mkey\x07 – größer."), 1, r"red \x1b[31mkey\x07 – größer."),
    ],
)
def test_every_error_of_a_job_is_one_line_and_its_exit_code(run, fake_job, error, code, line):
    fake_job("train").raises = error
    ended = run("train", "pairs")
    assert (ended.code, ended.out, ended.err) == (code, "", f"p2p: {line}\n")


def test_an_interrupt_outside_a_safe_point_ends_with_130_and_no_word(run, fake_job):
    fake_job("train").raises = KeyboardInterrupt()
    ended = run("train", "pairs")
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def test_a_traceback_is_shown_with_debug_alone(run, fake_job):
    fake_job("train").raises = ZeroDivisionError("division by zero")
    assert "Traceback" not in run("train", "pairs").err
    assert "Traceback" in run("train", "pairs", "--debug").err


def test_failed_items_end_with_3(run, fake_job):
    failure = Failure(key="a", source="a.png", stage="read", error="ItemError", message="truncated")
    fake_job("make_pairs").report.tally = Tally(planned=3, written=2, failed=[failure])
    ended = run("make-pairs", "gray", "photos", "-o", "out")
    assert ended.code == ExitCode.ITEMS_FAILED
    assert ended.err == (
        "2 pairs written, 1 failed of 3 planned, in 1 s\nfailed: a.png: truncated\nNext: p2p train made\n"
    )


def test_json_is_the_only_thing_on_stdout(run, fake_job):
    fake_job("train")
    ended = run("train", "pairs", "--json")
    assert json.loads(ended.out) == {"output": "made", "written": 3}
    assert ended.out.count("\n") == 1


def test_json_is_one_object_for_an_error_too(run, fake_job):
    fake_job("train").raises = NothingMatchedError("no image in photos/.")
    ended = run("train", "pairs", "--json")
    assert json.loads(ended.out) == {"exit_code": 4, "error": "no image in photos/."}


def test_no_path_is_printed_where_not_one_pair_could_be_made(run, fake_job):
    failure = Failure(key="a", source="a.png", stage="read", error="ItemError", message="truncated")
    fake_job("make_pairs").report.tally = Tally(planned=1, failed=[failure])
    ended = run("make-pairs", "gray", "photos", "-o", "out")
    assert (ended.code, ended.out) == (3, "")


def test_more_failures_than_are_shown_are_counted_and_their_table_is_named(run, fake_job):
    failures = [Failure(f"{n}", f"{n}.png", "read", "ItemError", "truncated") for n in range(7)]
    report = fake_job("make_pairs").report
    report.tally, report.preview = Tally(planned=9, written=2, failed=failures), Path("made/preview.png")
    ended = run("make-pairs", "gray", "photos", "-o", "out")
    assert ended.err.splitlines()[-2] == "failed: 2 more; all of them are in made/.p2p/errors.parquet"


def test_without_json_stdout_is_the_output_path_alone(run, fake_job):
    fake_job("make_pairs")
    assert run("make-pairs", "edges", "photos").out == "made\n"


def test_quiet_leaves_stderr_empty(run, fake_job):
    fake_job("make_pairs")
    assert run("make-pairs", "edges", "-q").err == ""


def test_the_documented_exit_codes_are_those_of_the_program():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert documented == {int(code) for code in ExitCode}


def test_a_reader_that_goes_away_leaves_no_traceback():
    writer = subprocess.Popen(
        [sys.executable, "-m", "p2pcli", "recipes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    error = writer.stderr.read().decode()
    writer.stderr.close()
    writer.wait(timeout=60)
    assert error == ""


def test_closed_streams_are_no_error_and_no_file_takes_their_place(tmp_path):
    code = (
        "import os; [os.close(number) for number in (1, 2)]; import sys; sys.stdout = sys.stderr = None\n"
        "from p2pcli.cli import main; code = main(['recipes'])\n"
        "with open('numbers', 'w') as file: file.write(f'{code} {file.fileno() > 2}')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "numbers").read_text() == "0 True"


def test_json_escapes_what_is_no_utf_8():
    line = json_line({"output": "a\udcff", "name": "日本"})
    assert line == '{"output": "a\\udcff", "name": "日本"}\n'
    assert json.loads(line)["output"] == "a\udcff"


def test_what_is_added_to_a_command_stands_before_its_double_dash():
    words = ("make-pairs", "edges", "--overwrite", "--", "-dash.png")
    again = Invocation(words).again(extra=["-o", "pairs"], without=["--overwrite"])
    assert again == "p2p make-pairs edges -o pairs -- -dash.png"


def test_a_second_interrupt_leaves_no_half_written_file(tmp_path):
    code = (
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "from p2pcli.cli.signals import stopping_on_signals\n"
        "from p2pcli.events import Stop\n"
        "from p2pcli.io.atomic import atomic_path\n"
        "with stopping_on_signals(Stop()), atomic_path(Path('film.mp4')) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert (ended.returncode, list(tmp_path.iterdir())) == (130, [])
