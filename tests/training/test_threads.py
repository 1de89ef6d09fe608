"""A resumed run has the threads that it began with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from p2pcli.events import Event, Note, ignore
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.threads import threads_as_begun


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("about", "expected"), [({"threads": 2}, 2), ({}, 4), ({"threads": "x"}, 4)])
def test_a_resume_repeats_the_threads_of_the_run(
    about: dict[str, object], expected: int, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_about(about)
    with threads_as_begun(folder, resume=True, observe=ignore):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 4


def test_a_new_run_has_the_threads_of_its_process(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_about({"threads": 2})
    with threads_as_begun(RunFolder(tmp_path), resume=False, observe=ignore):
        assert torch.get_num_threads() == 4


def test_the_environment_stands_against_the_run_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    RunFolder(tmp_path).write_about({"threads": 2})
    said: list[Event] = []
    with threads_as_begun(RunFolder(tmp_path), resume=True, observe=said.append):
        assert torch.get_num_threads() == 4
    (note,) = said
    assert isinstance(note, Note) and "OMP_NUM_THREADS=2 repeats them" in note.text
