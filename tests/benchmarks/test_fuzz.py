"""The fuzz benchmark in small: files are damaged by seed, and runs over them end with everything counted."""

from __future__ import annotations

import importlib
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from p2pcli.cli import main

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fuzz")


def test_a_seed_makes_the_same_files_and_another_seed_others(fuzz: Any, tmp_path: Path) -> None:
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = tmp_path / name / "png"
        fuzz.fill(folder, [".png"], 8, whole=fuzz.whole_picture, seed=seed)
        made[name] = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert made["a"] == made["b"] != made["c"]
    assert len(set(made["a"])) == 9


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".flv"])
def test_the_films_are_whole_before_they_are_damaged(fuzz: Any, tmp_path: Path, suffix: str) -> None:
    from p2pcli.io.video import frame_times, probe

    path = tmp_path / f"film{suffix}"
    path.write_bytes(fuzz.whole_film(suffix, random.Random(0)))
    assert (len(frame_times(path)), probe(path).audio) == (12, 1)


def kinds(fuzz: Any) -> list[str]:
    return [suffix[1:] for suffix in fuzz.PICTURES]


def test_runs_over_damaged_films_and_pictures_count_every_file(
    fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_here(kind: str, verb: str, sources: Path, words: list[str], *, limit_seconds: float) -> Any:
        capsys.readouterr()
        code = main([verb, *words, "--json", "-j", "1"])
        return fuzz.row_of(kind, verb, sources, code, *capsys.readouterr(), seconds=0.0)

    monkeypatch.setattr(fuzz, "run", run_here)
    rows = fuzz.fuzz(tmp_path, films=16, pictures=8, seed=1, limit_seconds=0)
    assert [(row.kind, row.verb) for row in rows] == [
        (kind, verb) for kind in (*kinds(fuzz), "films") for verb in ("make-pairs", "translate")
    ]
    assert [str(row) for row in rows if not row.is_right] == []
    assert all(row.failed for row in rows if row.kind in ("png", "films"))


@pytest.mark.parametrize(
    "wrong", [{"code": 1}, {"code": -11}, {"code": 124}, {"failed": 0}, {"planned": 8, "failed": 1}]
)
def test_a_row_that_does_not_add_up_is_wrong(fuzz: Any, wrong: dict[str, int]) -> None:
    right = fuzz.Row("png", "translate", 9, 3, 1.0, planned=9, written=6, skipped=1, failed=2, said="")
    assert right.is_right
    assert not replace(right, **wrong).is_right
