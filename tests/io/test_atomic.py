"""Files are whole or absent, whatever breaks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.io import atomic
from p2pcli.io.atomic import atomic_path, flush_files, sweep_stale, write_bytes
from p2pcli.io.places import require_outside


def test_written_bytes_are_at_the_path_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_bytes(tmp_path / "deep" / "file.bin", b"abc")
    assert (tmp_path / "deep" / "file.bin").read_bytes() == b"abc"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file.bin"]


def test_an_error_in_the_block_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_is_a_hidden_sibling_that_can_keep_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "film.mp4", keep_suffix=True) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".film.mp4.")
        assert temporary.name.endswith(".tmp.mp4")


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".jpeg")
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_faults_of_the_machine_name_path_reason_and_remedy(tmp_path: Path, number: int) -> None:
    path = tmp_path / "out.png"
    with pytest.raises(EnvironmentFaultError) as caught, atomic_path(path):
        raise OSError(number, os.strerror(number))
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be written ({os.strerror(number)}")
    assert message.count(". ") >= 1


def test_an_unreadable_source_is_not_taken_for_an_unwritable_output(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "out.png"):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/photo.jpg")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_environment_fault_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(EnvironmentFaultError, match=r"MB free.*Free some space"),
        atomic_path(tmp_path / "out.png"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_only_what_the_sweep_removes(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from p2pcli.io.atomic import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1]) / 'a.bin') as t:\n"
        "    t.write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert not (tmp_path / "a.bin").exists()
    assert sweep_stale(tmp_path) == left
    assert list(tmp_path.iterdir()) == []


def test_the_sweep_spares_living_writers_and_foreign_files(tmp_path: Path) -> None:
    foreign = tmp_path / ".notes.tmp"
    foreign.write_bytes(b"mine")
    with atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"x")
        assert sweep_stale(tmp_path) == []
    assert foreign.exists()


def test_the_sweep_takes_what_an_earlier_process_of_the_same_pid_left(tmp_path: Path) -> None:
    stale = atomic._temporary_sibling(tmp_path / "a.bin", "")
    stale.write_bytes(b"half")
    assert sweep_stale(tmp_path) == [stale]


def test_the_sweep_leaves_another_machines_files_for_a_day(tmp_path: Path) -> None:
    mark = "0000" if atomic._host_mark() != "0000" else "1111"
    other = tmp_path / f".a.bin.1.{mark}00112233.tmp"
    other.write_bytes(b"half")
    assert sweep_stale(tmp_path) == []
    os.utime(other, (1, 1))
    assert sweep_stale(tmp_path) == [other]


@pytest.mark.parametrize(
    ("output", "source"), [("photos", "photos"), ("photos/out", "photos"), ("all", "all/photos")]
)
def test_outputs_that_touch_an_input_are_refused(tmp_path: Path, output: str, source: str) -> None:
    with pytest.raises(UsageError, match="with -o"):
        require_outside(tmp_path / output, [tmp_path / source])


def test_an_output_beside_the_inputs_is_fine(tmp_path: Path) -> None:
    require_outside(tmp_path / "photos2", [tmp_path / "photos"])
    require_outside(tmp_path / "photos/out", [tmp_path / "photos"], may_be_below=True)


def test_a_write_without_flush_is_whole_or_absent_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"), atomic_path(tmp_path / "a.bin", flush=False) as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("half")
    assert list(tmp_path.iterdir()) == []
    write_bytes(tmp_path / "a.bin", b"whole", flush=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_files_and_then_their_folders_are_flushed_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(atomic, "_flush", flushed.append)
    monkeypatch.setattr(atomic, "_flush_folder", flushed.append)
    flush_files([tmp_path / "a", tmp_path / "b"])
    assert flushed == [tmp_path / "a", tmp_path / "b", tmp_path]


def test_a_disk_that_turns_out_full_while_flushing_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_flush", full)
    with pytest.raises(EnvironmentFaultError, match="Free some space"):
        flush_files([tmp_path / "a"])
