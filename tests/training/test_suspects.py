"""A picture at which the process dies is read alone by the resumed run, then failed; the others train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.events import Event, Note, Stop
from p2pcli.io.in_work import InWork
from p2pcli.recipe import load_recipe
from p2pcli.training import suspects
from p2pcli.training.distributed import ALONE
from p2pcli.training.failures import read_failures
from p2pcli.training.first_reads import FirstReads
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import read_log
from p2pcli.training.suspects import Wanted, recorded_reads

Train = Callable[..., tuple[int, dict]]  # type: ignore[type-arg]
DRIVER = """
import os, sys, time
from pathlib import Path
import p2pcli.io.domains as domains
import p2pcli.io.folder as folder

real = folder.read_image

def read(path, **options):
    name, once = Path(path).name, Path(os.environ["ONCE"])
    if "deadly" in name or ("once" in name and not once.exists()):
        once.touch()
        time.sleep(0.2)
        os.kill(os.getpid(), 9)
    return real(path, **options)

folder.read_image = domains.read_image = read

if __name__ == "__main__":
    from p2pcli.cli import main
    sys.exit(main())
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


def photos(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        noise = np.random.default_rng(index).integers(0, 256, (40, 40, 3)).astype(np.uint8)
        PillowImage.fromarray(noise).save(folder / f"{name}.png")


@pytest.fixture
def command(tmp_path: Path, tiny: list[str]) -> Train:
    """Runs `p2p train` with a decoder that kills its process; gives exit code and report."""
    (tmp_path / "driver.py").write_text(DRIVER)
    sets = [word for change in [*tiny, "data.validation=0"] for word in ("--set", change)]

    def run(*words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
        more = ["-o", tmp_path / "run", "--device", "cpu", "--json", "-q", *sets]
        ended = subprocess.run(
            [sys.executable, tmp_path / "driver.py", "train", tmp_path / "data", *words, *more],
            env={**os.environ, "ONCE": str(tmp_path / "once"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return ended.returncode, json.loads(ended.stdout)["pairs"] if ended.stdout else {}

    return run


def marks(run: Path) -> list[Path]:
    return list(run.glob(".p2p-in-work*"))


@pytest.mark.parametrize("deadly", ["deadly", "B: deadly"], ids=["paired", "unpaired"])
def test_a_resumed_run_does_without_the_picture_that_its_decoder_dies_of(
    deadly: str, command: Train, tmp_path: Path
) -> None:
    if deadly.startswith("B"):
        photos(tmp_path / "data" / "A", "a", "b", "c", "d")
        photos(tmp_path / "data" / "B", "a", "b", "c", "deadly")
        recipe = ["-r", "cyclegan", "--set", "generator.blocks=1"]
    else:
        photos(tmp_path / "data", "a", "b", "deadly", "d", "e")
        recipe = ["-r", "pix2pix", "--set", "pairs.maker=gray"]
    assert command(*recipe)[0] == -signal.SIGKILL
    assert marks(tmp_path / "run")
    code, report = command(*recipe, "--resume")
    assert code == 3, report
    (failure,) = read_failures(tmp_path / "run" / "failures.jsonl")
    assert failure.key == deadly and "SIGKILL" in failure.message
    steps = [row for row in read_log(tmp_path / "run" / "log.jsonl") if row["kind"] == "step"]
    assert steps and report["planned"] == report["written"] + report["failed"]


def test_a_picture_that_comes_through_alone_is_trained_on(command: Train, tmp_path: Path) -> None:
    photos(tmp_path / "data", "a", "b", "once", "d", "e")
    recipe = ["-r", "pix2pix", "--set", "pairs.maker=gray"]
    assert command(*recipe)[0] == -signal.SIGKILL
    code, report = command(*recipe, "--resume")
    assert (code, report["written"], report["failed"]) == (0, 5, 0)
    assert marks(tmp_path / "run") == []


def test_a_start_that_died_at_its_first_look_comes_through_when_repeated(
    command: Train, tmp_path: Path
) -> None:
    photos(tmp_path / "data", "a-deadly", "b", "c", "d")
    recipe = ["-r", "pix2pix", "--set", "pairs.maker=gray"]
    assert command(*recipe)[0] == -signal.SIGKILL
    code, report = command(*recipe)
    assert (code, report["written"], report["failed"]) == (3, 3, 1)


def test_a_picture_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "data", "a", "b")
    run, said = RunFolder(tmp_path / "run"), list[Event]()
    # Of another process of the run: the first one tries it for all.
    InWork(run.in_work(1)).begin("a", mark="")
    monkeypatch.setattr(suspects, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(suspects, "_read_each", hang)
    wanted = Wanted(tmp_path / "data", load_recipe("pix2pix", ["pairs.maker=gray"]), None)
    with (
        recorded_reads(run, wanted, ALONE, tries_again=False, observe=said.append, stop=Stop()) as reads,
        pytest.raises(ItemError, match="not done after"),
        reads.reading("a"),
    ):
        pass
    assert [str(note.text) for note in said if isinstance(note, Note)]
    assert marks(run.path) == [run.in_work(0)]


def hang(messages, names, wanted):  # type: ignore[no-untyped-def]
    """Stands for a decoder that does not come back."""
    import time

    messages.send("begin")
    time.sleep(600)


def test_only_the_first_reading_is_recorded(tmp_path: Path) -> None:
    in_work = InWork(tmp_path / "in-work.jsonl")
    reads = FirstReads(in_work)
    with reads.reading("a"):
        assert InWork(in_work.path).suspects() == {"a"}
    size = in_work.path.stat().st_size
    with reads.reading("a"):
        assert in_work.path.stat().st_size == size
