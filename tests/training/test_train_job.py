"""The job from a folder to a model: what it writes, how it resumes, how it fails."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from p2pcli.errors import (
    EnvironmentFaultError,
    ExitCode,
    NothingMatchedError,
    P2PError,
    ResumeMismatchError,
    UsageError,
)
from p2pcli.events import Event, Note, Stop, TrainProgress
from p2pcli.inference.model_file import read_model
from p2pcli.jobs.train import train
from p2pcli.recipe import load_recipe
from p2pcli.tasks import Batch, PairedTask
from p2pcli.training import loop
from p2pcli.training.checkpoint import load_state
from p2pcli.training.precision import Precision
from p2pcli.training.runlog import read_log
from p2pcli.training.step import Optimizers, StepLimits

Folder = Callable[..., Path]


class KilledError(Exception):
    """Stands for a SIGKILL: nothing in p2p catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make the `step`-th training step of the loop raise."""
    real, calls = loop.training_step, 0

    def step_or_die(*arguments: object, limits: StepLimits) -> object:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KilledError
        return real(*arguments, limits=limits)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "training_step", step_or_die)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_leaves_models_log_samples_and_a_report(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    report = train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")
    names = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.*")}
    steps = report.total_steps
    assert names >= {
        "recipe.toml",
        "run.json",
        "log.jsonl",
        "report.html",
        "model.safetensors",
        "best.safetensors",
    }
    assert f"samples/step-{steps:08d}.png" in names and f"state/step-{steps:08d}.pt" in names
    assert report.steps == steps and report.exit_code == ExitCode.OK
    assert report.tally.written == report.tally.planned == 7
    assert set(report.metrics) == set(report.baseline) == {"l1", "psnr", "ssim"}


def test_the_model_knows_its_recipe_and_its_numbers(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    report = train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")
    _, recipe, info = read_model(tmp_path / "run" / "model.safetensors")
    assert recipe == load_recipe("pix2pix", tiny)
    assert (info.role, info.trained_size, info.step) == ("generator", 32, report.steps)
    assert info.metrics == report.metrics


def test_training_beats_the_untranslated_input(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    overrides = [*tiny, "train.steps=60", "train.learning_rate=0.002", "losses.gan=0.1"]
    overrides += ["train.validate_every=99"]
    report = train(side_by_side(12), output=tmp_path / "run", overrides=overrides, device="cpu")
    assert report.metrics["l1"] < 0.7 * report.baseline["l1"]


@pytest.mark.parametrize("extra", [[], ["train.ema=0.9"]], ids=["plain", "ema"])
def test_killed_and_resumed_equals_uninterrupted(
    extra: list[str], side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data, overrides = side_by_side(), [*tiny, *extra]
    train(data, output=tmp_path / "whole", overrides=overrides, device="cpu")
    for step in (2, 5, 1):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
            kill_at(patch, step)
            is_run = (tmp_path / "cut" / "run.json").exists()
            train(data, output=tmp_path / "cut", overrides=overrides, device="cpu", resume=is_run)
    report = train(data, output=tmp_path / "cut", overrides=overrides, device="cpu", resume=True)
    for name in ("model.safetensors", "best.safetensors"):
        assert sha256(tmp_path / "cut" / name) == sha256(tmp_path / "whole" / name)
    steps = [row["step"] for row in read_log(tmp_path / "cut" / "log.jsonl") if row["kind"] == "step"]
    assert steps == list(range(1, report.total_steps + 1))


def test_a_stop_flag_ends_with_a_checkpoint_and_resumes(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data, stop = side_by_side(), Stop()
    stop.set()
    report = train(data, output=tmp_path / "run", overrides=tiny, device="cpu", stop=stop)
    assert report.interrupted and report.steps == 1
    assert report.tally.skipped["interrupted"] == report.tally.planned - report.tally.written > 0
    report = train(data, output=tmp_path / "run", overrides=tiny, device="cpu", resume=True)
    train(data, output=tmp_path / "whole", overrides=tiny, device="cpu")
    assert not report.interrupted
    assert sha256(tmp_path / "run" / "model.safetensors") == sha256(tmp_path / "whole" / "model.safetensors")


def test_sigkill_in_a_process_of_its_own_loses_nothing(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data, overrides = side_by_side(), [*tiny, "train.epochs=12", "train.decay_epochs=12"]
    script = (
        "import sys, torch; from p2pcli import train; torch.set_num_threads(1); "
        "train(sys.argv[1], output=sys.argv[2], overrides=sys.argv[3:], device='cpu')"
    )
    cut = tmp_path / "cut"
    process = subprocess.Popen([sys.executable, "-c", script, str(data), str(cut), *overrides])
    deadline = time.monotonic() + 120
    while not list(cut.glob("state/step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    train(resume=True, output=cut, device="cpu")
    train(data, output=tmp_path / "whole", overrides=overrides, device="cpu")
    assert sha256(cut / "model.safetensors") == sha256(tmp_path / "whole" / "model.safetensors")


def test_resume_needs_neither_data_nor_recipe(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    train(side_by_side(), recipe="quick", output=tmp_path / "run", overrides=tiny, device="cpu", stop=stop)
    report = train(output=tmp_path / "run", resume=True, device="cpu")
    assert report.steps == report.total_steps


def test_a_resumed_run_keeps_its_limit(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    settings = {"output": tmp_path / "run", "device": "cpu"}
    first = train(side_by_side(), overrides=tiny, limit=3, stop=stop, **settings)
    assert train(resume=True, **settings).training_pairs == first.training_pairs == 2
    with pytest.raises(ResumeMismatchError, match="limit"):
        train(resume=True, limit=1, **settings)


def test_a_finished_run_resumed_changes_nothing(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")
    before = {path: sha256(path) for path in (tmp_path / "run").rglob("*.*")}
    report = train(output=tmp_path / "run", resume=True, device="cpu")
    assert {path: sha256(path) for path in (tmp_path / "run").rglob("*.*")} == before
    assert report.steps == report.total_steps and report.metrics


def test_resume_with_another_recipe_or_other_data_shows_the_difference(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data = side_by_side()
    train(data, output=tmp_path / "run", overrides=tiny, device="cpu")
    with pytest.raises(ResumeMismatchError, match=r"losses\.l1: 100\.0 → 10\.0"):
        train(data, output=tmp_path / "run", overrides=[*tiny, "losses.l1=10"], device="cpu", resume=True)
    with pytest.raises(ResumeMismatchError, match="data: training pairs: 6 → 3"):
        train(side_by_side(4, name="few"), output=tmp_path / "run", overrides=tiny, device="cpu", resume=True)


def test_a_resumed_run_may_mend_its_learning_rate_and_remembers_it(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    stop, events = Stop(), list[Event]()
    stop.set()
    train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu", stop=stop)
    changes = ["train.learning_rate=1e-5"]
    train(
        output=tmp_path / "run",
        overrides=changes,
        device="cpu",
        resume=True,
        stop=stop,
        observe=events.append,
    )
    train(output=tmp_path / "run", device="cpu", resume=True)
    assert Note("Changed on resume: train.learning_rate: 0.0002 → 1e-05.") in events
    rates = [
        row["learning_rate"] for row in read_log(tmp_path / "run" / "log.jsonl") if row["kind"] == "step"
    ]
    assert rates[:2] == [2e-4, 1e-5] and max(rates[2:]) <= 1e-5


def test_an_existing_run_is_kept_and_the_resume_command_named(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data = side_by_side()
    train(data, output=tmp_path / "run", overrides=tiny, device="cpu")
    with pytest.raises(UsageError, match=r"already holds a run\. To go on with it: p2p train --resume -o "):
        train(data, output=tmp_path / "run", overrides=tiny, device="cpu")
    again = train(data, output=tmp_path / "run", overrides=tiny, device="cpu", overwrite=True)
    assert again.steps == again.total_steps


@pytest.mark.parametrize("output", ["file", "file/run"])
def test_a_file_is_no_place_for_a_run(
    side_by_side: Folder, tiny: list[str], tmp_path: Path, output: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"file is a file\. Choose a folder with -o\."):
        train(side_by_side(), output=tmp_path / output, overrides=tiny, device="cpu")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_with_other_files_is_not_a_run_folder(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not empty and holds no run"):
        train(side_by_side(), output=tmp_path / "mine", overrides=tiny, device="cpu", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_dry_run_says_all_and_writes_nothing(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    events: list[Event] = []
    data = side_by_side()
    report = train(
        data, output=tmp_path / "run", overrides=tiny, device="cpu", dry_run=True, observe=events.append
    )
    text = "\n".join(event.text for event in events if isinstance(event, Note))
    assert not (tmp_path / "run").exists() and report.is_dry_run and report.steps == 0
    for part in (
        "6 training pairs, 1 for validation",
        "9 steps (3 epochs)",
        "unet",
        "float32",
        "Time: about",
    ):
        assert part in text
    assert report.estimated_seconds is not None and report.estimated_seconds > 0


def test_a_loss_that_is_not_finite_names_term_and_step_and_keeps_the_checkpoint(
    side_by_side: Folder, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.training_step

    def spoilt(
        task: PairedTask, batch: Batch, optimizers: Optimizers, precision: Precision, *, limits: StepLimits
    ) -> object:
        if list((tmp_path / "run" / "state").glob("*.pt")):
            batch = Batch(batch.input, batch.target * float("nan"))
        return real(task, batch, optimizers, precision, limits=limits)

    monkeypatch.setattr(loop, "training_step", spoilt)
    with pytest.raises(P2PError, match=r"step 4: the loss 'real' became nan"):
        train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")
    state = load_state(tmp_path / "run" / "state" / "step-00000003.pt")
    weights = [value for network in state["networks"].values() for value in network.values()]
    assert weights and all(bool(torch.isfinite(value).all()) for value in weights)


def test_a_learning_rate_that_spoils_everything_stops_at_its_step(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    overrides = [*tiny, "train.learning_rate=1e30", "losses.gan=0"]
    with pytest.raises(P2PError, match=r"step \d+: the loss 'l1' became nan"):
        train(side_by_side(), output=tmp_path / "run", overrides=overrides, device="cpu")


def test_broken_pairs_are_rows_and_an_exit_code(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    data = side_by_side()
    whole = (data / "pair03.png").read_bytes()
    (data / "pair03.png").write_bytes(whole[: len(whole) // 2])
    report = train(data, output=tmp_path / "run", overrides=tiny, device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "failures.jsonl").read_text().splitlines()]
    assert [row["key"] for row in rows] == ["pair03"]
    assert (report.tally.written, len(report.tally.failed), report.exit_code) == (6, 1, ExitCode.ITEMS_FAILED)


def test_files_that_take_no_part_are_named(photos: Path, tiny: list[str], tmp_path: Path) -> None:
    for name, index in (("A", 0), ("A", 1), ("A", 2), ("B", 0), ("B", 1)):
        (tmp_path / "ab" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "ab" / name / f"{index}.png").write_bytes((photos / f"photo{index}.png").read_bytes())
    events: list[Event] = []
    train(
        tmp_path / "ab",
        output=tmp_path / "run",
        overrides=tiny,
        device="cpu",
        dry_run=True,
        observe=events.append,
    )
    warnings = [event.text for event in events if isinstance(event, Note) and event.level == "warning"]
    assert warnings == ["1 file left out for want of a partner: A/2.png."]


def test_photos_train_with_pairs_made_on_the_fly(photos: Path, tiny: list[str], tmp_path: Path) -> None:
    overrides = [*tiny, "pairs.maker=edges", "data.fit=crop", "data.input_channels=1"]
    report = train(photos, output=tmp_path / "run", overrides=overrides, device="cpu")
    assert report.steps == report.total_steps and (tmp_path / "run" / "samples").is_dir()


@pytest.mark.parametrize("name", ["pix2pix", "edges2photo", "colorize", "super-resolution", "quick"])
def test_every_shipped_recipe_trains(name: str, photos: Path, tmp_path: Path) -> None:
    overrides = ["data.size=32", "data.load_size=36", "generator.channels=4", "discriminator.channels=4"]
    overrides += ["train.steps=2", "train.validation_images=1", "train.batch_size=2"]
    overrides += ["pairs.maker=edges"] if name in ("pix2pix", "quick") else []
    report = train(photos, recipe=name, output=tmp_path / "run", overrides=overrides, device="cpu")
    assert report.steps == 2


def test_the_callers_random_numbers_are_untouched(
    side_by_side: Folder, tiny: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_the_weights(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    data, hashes = side_by_side(), []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(data, output=tmp_path / name, overrides=tiny, device="cpu", seed=seed, workers=len(hashes) + 1)
        hashes.append(sha256(tmp_path / name / "model.safetensors"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_progress_counts_up_to_the_last_step(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    events: list[Event] = []
    report = train(
        side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu", observe=events.append
    )
    last = [event for event in events if isinstance(event, TrainProgress)][-1]
    assert (last.step, last.steps, last.epoch, last.epochs) == (report.steps, report.total_steps, 3, 3)
    assert set(last.losses) == {"fake", "real", "gan", "l1"}


def test_the_newest_dataset_and_a_default_run_folder_are_chosen(
    side_by_side: Folder, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").mkdir()
    side_by_side().rename(tmp_path / "pairs" / "faces")
    report = train(overrides=tiny, device="cpu", dry_run=True)
    assert report.output == Path("runs/faces-pix2pix")


def test_without_data_and_datasets_the_error_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NothingMatchedError, match="p2p make-pairs edges PHOTOS"):
        train(device="cpu")


@pytest.mark.parametrize(
    ("device", "error", "text"),
    [
        ("cuda:99", EnvironmentFaultError, "not available on this machine"),
        ("gpu", UsageError, "expected auto"),
    ],
)
def test_a_device_that_is_not_there_lists_what_is(
    device: str, error: type[P2PError], text: str, side_by_side: Folder, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text) as caught:
        train(side_by_side(), output=tmp_path / "run", device=device)
    assert "cpu" in str(caught.value)


def test_running_out_of_memory_names_what_to_lower(
    side_by_side: Folder, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, limits: StepLimits) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "training_step", exhausted)
    with pytest.raises(EnvironmentFaultError, match=r"--set train\.batch_size=1"):
        train(side_by_side(), output=tmp_path / "run", overrides=tiny, device="cpu")


def test_a_run_of_no_steps_is_refused(side_by_side: Folder, tiny: list[str], tmp_path: Path) -> None:
    overrides = [*tiny, "train.epochs=0", "train.decay_epochs=0"]
    with pytest.raises(UsageError, match=r"set train\.epochs or train\.steps"):
        train(side_by_side(), output=tmp_path / "run", overrides=overrides, device="cpu")


def test_a_run_folder_inside_its_data_is_refused(side_by_side: Folder, tiny: list[str]) -> None:
    data = side_by_side()
    with pytest.raises(UsageError, match="lies in the input folder"):
        train(data, output=data / "run", overrides=tiny, device="cpu")


@pytest.mark.parametrize(("recipe", "own"), [("pix2pix", []), ("cyclegan", ["generator.blocks=1"])])
def test_pictures_that_training_does_not_read_are_counted_and_named(
    recipe: str, own: list[str], tiny: list[str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for side in ("A", "B"):
        (data / side).mkdir(parents=True)
        for index in range(4):
            pages = [PillowImage.fromarray(noise(seed)) for seed in (index, index + 9, index + 20)]
            pages[0].save(data / side / f"{index}.png")
        pages[0].save(data / side / "3.tif", save_all=True, append_images=pages[1:])
        (data / side / "3.png").unlink()
    said: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note):
            said.append(event.text)

    changes = [*tiny, *own, "train.epochs=1", "train.decay_epochs=0"]
    report = train(
        data, recipe=recipe, output=tmp_path / "run", overrides=changes, device="cpu", observe=observe
    )
    assert report.left_out == {"pictures": 4}
    assert report.as_json()["left_out"] == {"pictures": 4}
    named = [text for text in said if text.startswith("Several pictures in one file")]
    assert named == [
        "Several pictures in one file, of which the first alone was read: A/3.tif (3), B/3.tif (3)."
    ]


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
