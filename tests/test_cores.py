"""Threads: no more than affinity, quotas and other programs leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pcli import cores
from p2pcli.cli import threads as cli_threads
from p2pcli.cli.running import Printing

V2 = "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "35 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"


def system(folder: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    texts = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts}
    texts |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("cgroup", "mounts", "files", "expected"),
    [
        ("", "", {}, 16),
        ("0::/a\n", V2, {"a/cpu.max": "max 100000\n"}, 16),
        ("0::/a\n", V2, {"a/cpu.max": "250000 100000\n"}, 2),
        ("0::/a/b\n", V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        ("0::/a\n", V2, {"a/cpu.max": "50000 100000\n"}, 1),
        (
            "3:cpu,cpuacct:/a\n",
            V1,
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3,
        ),
        ("3:cpu,cpuacct:/a\n", V1, {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 16),
    ],
)
def test_threads_keep_to_the_quota(
    cgroup: str,
    mounts: str,
    files: dict[str, str],
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cores, "_cores", lambda: 32)
    assert cores.threads_allowed(16, system(tmp_path, cgroup, mounts, files)) == expected


@pytest.mark.parametrize(("busy", "expected"), [(0.0, 8), (0.4, 8), (1.0, 7), (6.6, 1), (12.0, 1)])
def test_threads_are_as_many_as_others_leave_cores(
    busy: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "_cores", lambda: 8)
    monkeypatch.setattr(cores, "threads_allowed", lambda most: most)
    monkeypatch.setattr(cores, "busy_cores", lambda seconds: busy)
    assert cores.threads_for(8) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is busy")
def test_a_busy_neighbour_is_seen_and_our_own_work_is_not() -> None:
    code = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as neighbour:
        try:
            # It may have to share its core with whatever else runs here.
            assert cores.busy_cores(2.0) > 0.2
        finally:
            neighbour.kill()


def test_what_the_environment_says_of_threads_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(most: int) -> int:
        raise AssertionError("not to be asked")

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(cli_threads, "threads_for", refuse)
    monkeypatch.setattr(cli_threads, "threads_allowed", refuse)
    cli_threads.use_free_cores(Printing())
    cli_threads.use_allowed_cores()


def test_fewer_threads_are_taken_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    before = torch.get_num_threads()
    for name in cores.CHOSEN_BY_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli_threads, "threads_for", lambda most: 1)
    torch.set_num_threads(4)
    try:
        cli_threads.use_free_cores(Printing())
        assert torch.get_num_threads() == 1
        assert "1 of 4 threads" in capsys.readouterr().err
    finally:
        torch.set_num_threads(before)
    assert os.environ.get("OMP_NUM_THREADS") is None
