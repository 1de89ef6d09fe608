"""Several processes under torchrun: the same order, the same losses, and on they go after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from safetensors.torch import load_file

from p2pcli.errors import UsageError
from p2pcli.tasks import Batch
from p2pcli.training.distributed import ALONE, Processes, is_follower, require_shareable
from p2pcli.training.runlog import read_log

CHANGES = [
    "data.size=32",
    "data.load_size=36",
    "generator.channels=4",
    "generator.norm=instance",
    "generator.dropout=false",
    "discriminator.channels=4",
    "discriminator.norm=instance",
    "discriminator.receptive_field=16",
    "train.precision=float32",
    "train.epochs=2",
    "train.decay_epochs=1",
    "train.batch_size=4",
    "train.ema=0.9",
    "train.validation_images=2",
    "train.sample_images=2",
    "train.checkpoint_minutes=1e-9",
]
DRIVER = """
import os, signal, sys
import p2pcli.training.loop as loop
from p2pcli.cli import main

real, calls = loop.training_step, 0

def step(*arguments, **named):
    global calls
    calls += 1
    is_first_start = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if is_first_start and os.environ["RANK"] == "1" and calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)

loop.training_step = step
sys.exit(main())
"""
THREADS_DRIVER = """
import os, sys
from pathlib import Path
from p2pcli.cli import main

code = main()
tasks = Path("/proc/self/task")
names = [(task / "comm").read_text().strip() for task in tasks.iterdir()] if tasks.is_dir() else []
left = " ".join(name for name in names if "gloo" in name or "tcpstore" in name)
Path(os.environ["LEFT_BEHIND"], os.environ["RANK"]).write_text(left)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven side-by-side pairs: batches of four, and a last one that two processes cannot share evenly."""
    folder = tmp_path_factory.mktemp("data")
    for index in range(7):
        left = np.kron(np.random.default_rng(index).integers(0, 256, (5, 5, 3)), np.ones((8, 8, 1)))
        both = np.concatenate([left, 255 - left], axis=1).astype(np.uint8)
        PillowImage.fromarray(both).save(folder / f"pair{index}.png")
    return folder


def command(data: Path, output: Path, *more: str) -> list[str]:
    settings = [text for change in [*CHANGES, *more] for text in ("--set", change)]
    return ["train", str(data), "-r", "pix2pix", "-o", str(output), "--device", "cpu", *settings]


def launch(
    *arguments: str, start: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Two processes under torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ended = subprocess.run(
        [*torchrun, *start, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended


@pytest.fixture(scope="module")
def run_of_two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run folder that two processes wrote, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    driver, output = folder / "driver.py", folder / "run"
    driver.write_text(THREADS_DRIVER)
    ended = launch(*command(data, output), start=[str(driver)], environment={"LEFT_BEHIND": str(folder)})
    return output, ended.stdout


def losses(run: Path) -> list[dict[str, float]]:
    return [row["losses"] for row in read_log(run / "log.jsonl") if row["kind"] == "step"]  # type: ignore[misc]


def test_two_processes_have_the_losses_of_one_that_accumulates(
    data: Path, run_of_two: tuple[Path, str], tmp_path: Path
) -> None:
    from p2pcli.jobs.train import train

    changes = [*CHANGES, "train.accumulate=2"]
    train(data, recipe="pix2pix", output=tmp_path / "one", overrides=changes, device="cpu")
    one, two = losses(tmp_path / "one"), losses(run_of_two[0])
    assert len(one) == len(two) == 6
    for expected, found in zip(one, two, strict=True):
        assert found == pytest.approx(expected, rel=1e-3)


def test_two_processes_normalise_a_batch_as_one_does(data: Path, tmp_path: Path) -> None:
    from p2pcli.jobs.train import train

    # Five pairs train: four, and one that the second process can only stand in for.
    norms = ["generator.norm=batch", "discriminator.norm=batch"]
    changes = [*CHANGES, *norms]
    train(data, recipe="pix2pix", output=tmp_path / "one", overrides=changes, device="cpu", limit=6)
    launch(*command(data, tmp_path / "two", *norms), "--limit", "6", start=["-m", "p2pcli"])
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 6
    for expected, found in zip(one, two, strict=True):
        assert found == pytest.approx(expected, rel=1e-3)
    alone, shared = (load_file(tmp_path / run / "model.safetensors") for run in ("one", "two"))
    assert alone.keys() == shared.keys()
    for key in alone:
        if "running" in key:
            torch.testing.assert_close(shared[key], alone[key], rtol=1e-3, atol=1e-4)


def test_only_the_first_process_writes_to_stdout(run_of_two: tuple[Path, str]) -> None:
    assert run_of_two[1] == f"{run_of_two[0]}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the threads' names")
def test_no_thread_of_the_group_outlives_training(run_of_two: tuple[Path, str]) -> None:
    """One that does may abort the process while the interpreter ends, after everything was written."""
    assert [(run_of_two[0].parent / rank).read_text() for rank in ("0", "1")] == ["", ""]


def test_a_killed_process_costs_nothing_but_time(
    data: Path, run_of_two: tuple[Path, str], tmp_path: Path
) -> None:
    driver, output = tmp_path / "driver.py", tmp_path / "run"
    driver.write_text(DRIVER)
    ended = launch(*command(data, output), start=["--max-restarts=1", str(driver)])
    assert "Resuming after step" in ended.stderr
    whole, killed = load_file(run_of_two[0] / "model.safetensors"), load_file(output / "model.safetensors")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 3, 4, 7])
def test_processes_share_a_batch_as_parts_do(length: int, count: int) -> None:
    batch = list(range(length))
    everyone = [Processes(rank, count) for rank in range(count)]
    weights = [one.weight_of(length) for one in everyone]
    found = [one.part_of(batch) for one, weight in zip(everyone, weights, strict=True) if weight]
    numbers = torch.arange(length)[:, None]
    parts = [tuple(part.input.flatten().tolist()) for part in Batch(numbers, numbers).parts(count)]
    assert found == parts
    assert sum(weights) == pytest.approx(1.0)
    assert all(one.part_of(batch) for one in everyone)


def test_noise_depends_on_rank_and_step_alone() -> None:
    def noise(rank: int, step: int) -> float:
        Processes(rank, 2).seed_step(5, step)
        return float(torch.rand(()))

    assert noise(0, 3) == noise(0, 3)
    assert len({noise(0, 3), noise(1, 3), noise(0, 4)}) == 3


def test_a_process_alone_keeps_its_stream_of_noise() -> None:
    torch.manual_seed(1)
    ALONE.seed_step(5, 3)
    first = torch.rand(())
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(()))


def test_a_batch_that_is_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"batch_size=1 is all processes' batch .* there are 2"):
        require_shareable(1, Processes(0, 2))


def test_a_rank_without_others_is_no_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not is_follower()
