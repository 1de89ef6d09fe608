"""One run at a time on one output, whatever becomes of the run, the output and the lock file."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pcli.errors import ExitCode, OutputInUseError
from p2pcli.events import Note, ignore
from p2pcli.io import lock
from p2pcli.io.lock import locked

HOLD = """
import sys
from pathlib import Path
from p2pcli.events import ignore
from p2pcli.io.lock import locked
with locked(Path(sys.argv[1]), observe=ignore):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that holds the lock of an output until its stdin is closed or it is killed."""
    started: list[subprocess.Popen[str]] = []

    def hold(output: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(output)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def is_free(output: Path) -> bool:
    try:
        with locked(output, observe=ignore):
            return True
    except OutputInUseError:
        return False


def test_the_second_run_is_told_who_it_is_since_when_and_what_to_do(tmp_path, hold):
    process = hold(tmp_path / "out")
    with pytest.raises(OutputInUseError) as caught, locked(tmp_path / "out", observe=ignore):
        pass
    message = str(caught.value)
    assert caught.value.exit_code == ExitCode.ENVIRONMENT
    assert message.startswith(f"{tmp_path / 'out'}: being written by -c ")
    assert f"(process {process.pid} on {platform.node()}, since 20" in message
    assert message.endswith("Wait until that has ended, or choose another output with -o.")
    assert "\n" not in message


def test_a_run_that_ended_or_was_killed_holds_nothing(tmp_path, hold):
    ended, killed = hold(tmp_path / "a"), hold(tmp_path / "b")
    ended.communicate()
    killed.kill()
    killed.communicate()
    assert (is_free(tmp_path / "a"), is_free(tmp_path / "b")) == (True, True)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_not_even_folders_that_were_made_for_it(tmp_path):
    with locked(tmp_path / "deep" / "er" / "out", observe=ignore):
        assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == [".out.p2p.lock"]
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_in_use_by_then_stay(tmp_path):
    with locked(tmp_path / "runs" / "out", observe=ignore):
        (tmp_path / "runs" / "out").mkdir()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["out"]


def test_an_output_that_is_moved_aside_stays_locked(tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    with locked(output, observe=ignore):
        output.rename(tmp_path / ".out.replaced")
        assert not is_free(output)
        output.mkdir()
        assert not is_free(output)
    assert is_free(output)


@pytest.mark.parametrize("name", ["link", "out/", "other/../out", "other/link"])
def test_one_folder_has_one_lock_under_all_its_names(tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "other" / "link").symlink_to(tmp_path / "link")
    with locked(tmp_path / "out", observe=ignore):
        assert not is_free(Path(f"{tmp_path}/{name}"))


@pytest.mark.parametrize("reason", ["is_mount", "access"])
def test_where_nothing_can_be_made_beside_a_folder_the_lock_is_in_it(tmp_path, monkeypatch, reason):
    # A volume of a container is a mount point, and its parent is another one in each container.
    output = tmp_path / "out"
    output.mkdir()
    if reason == "is_mount":
        monkeypatch.setattr(Path, "is_mount", lambda path: path == output)
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with locked(output, observe=ignore):
        assert [path.name for path in output.iterdir()] == [".p2p.lock"]
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert not is_free(output)
    assert list(output.iterdir()) == []


def test_of_several_outputs_all_are_locked_or_none(tmp_path):
    first, second, third = (tmp_path / name for name in "abc")
    with locked(second, observe=ignore):
        with pytest.raises(OutputInUseError, match="/b: being"), locked(first, second, third, observe=ignore):
            pass
        assert (is_free(first), is_free(third)) == (True, True)
    with locked(first, second, third, observe=ignore):
        assert [is_free(path) for path in (first, second, third)] == [False, False, False]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def test_a_file_system_without_locks_is_named_and_the_run_goes_on(tmp_path, monkeypatch, number):
    def refused(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "lock_descriptor", refused)
    notes: list[object] = []
    with locked(tmp_path / "out", observe=notes.append):
        ran = True
    assert ran
    place = tmp_path / ".out.p2p.lock"
    text = (
        f"{place}: cannot be locked ({os.strerror(number)}), so nothing keeps a second run off "
        f"{tmp_path / 'out'}."
    )
    assert notes == [Note(text, level="warning")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_where_nothing_can_be_written_the_runs_own_first_file_says_so(tmp_path, monkeypatch, number):
    def refused(path: Path, *rest: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(lock.os, "open", refused)
    notes: list[object] = []
    with locked(tmp_path / "out", observe=notes.append):
        pass
    assert notes == []


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_at_its_place_is_neither_waited_for_nor_written_to(tmp_path, kind):
    place, other = tmp_path / ".out.p2p.lock", tmp_path / "other.txt"
    other.write_text("mine")
    {"pipe": lambda: os.mkfifo(place), "link": lambda: place.symlink_to(other), "folder": place.mkdir}[kind]()
    notes: list[object] = []
    with locked(tmp_path / "out", observe=notes.append):
        pass
    assert [isinstance(note, Note) and "cannot be locked" in note.text for note in notes] == [True]
    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b'{"pid": "x"}',
        json.dumps({"pid": 1, "host": "\x1b[31mh\n", "command": "c" * 5000, "since": ""}).encode(),
        json.dumps({"pid": 1, "host": "\x1b[31mh\n", "command": "c\x9b" * 500, "since": None}).encode(),
    ],
)
def test_whatever_a_lock_file_says_the_message_is_one_short_line(tmp_path, monkeypatch, said):
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.0)
    with locked(tmp_path / "out", observe=ignore):
        (tmp_path / ".out.p2p.lock").write_bytes(said)
        with pytest.raises(OutputInUseError) as caught, locked(tmp_path / "out", observe=ignore):
            pass
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700


def test_a_very_long_name_can_be_locked_and_is_told_from_its_like(tmp_path):
    first, second = tmp_path / ("ü" * 127 + "a"), tmp_path / ("ü" * 127 + "b")
    with locked(first, observe=ignore):
        assert (is_free(first), is_free(second)) == (False, True)


def test_the_command_is_what_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/p2p", "train", "my pairs", "-r", "quick"])
    assert lock._command() == "p2p train 'my pairs' -r quick"
    monkeypatch.setattr(sys, "argv", ["/lib/p2pcli/__main__.py", "train"])
    assert lock._command() == "p2p train"


def test_a_forked_child_that_leaves_the_block_does_not_unlock(tmp_path):
    script = (
        "import os\nfrom pathlib import Path\nfrom p2pcli.events import ignore\nfrom p2pcli.io import lock\n"
        "with lock.locked(Path('out'), observe=ignore):\n"
        "    if os.fork():\n"
        "        os.wait()\n"
        "        print(Path('.out.p2p.lock').exists())\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (0, "True\n", [])


def test_ending_without_unwinding_leaves_no_lock_file(tmp_path):
    with locked(tmp_path / "out", observe=ignore):
        lock.remove_lock_files()
        assert list(tmp_path.iterdir()) == []


RACE = """
import os, sys, time
from pathlib import Path
from p2pcli.errors import OutputInUseError
from p2pcli.events import ignore
from p2pcli.io import lock
lock._PATIENCE_SECONDS = 0.0
output, witness = Path(sys.argv[1]) / "deep" / "out", Path(sys.argv[1]) / "witness"
until = time.monotonic() + 1.5
won = 0
while time.monotonic() < until:
    try:
        with lock.locked(output, observe=print):
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
            witness.unlink()
            won += 1
    except OutputInUseError:
        pass
print(won)
"""


def test_many_that_lock_and_unlock_at_once_are_never_two_inside(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all(int(output) > 0 for output in outputs)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
