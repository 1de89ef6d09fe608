"""A verb that was killed between two of its files is finished by the same command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from p2pcli import cluster, export_weights, import_weights, make_pairs, train
from p2pcli.errors import UsageError
from p2pcli.events import Stop
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode
from p2pcli.jobs import quickstart as quickstart_module
from p2pcli.jobs import train as train_module
from p2pcli.jobs.quickstart import quickstart
from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, PatchGAN, ResNet
from p2pcli.recipe import parse_recipe
from p2pcli.tasks.networks import generators_of, model_state

DIES = """
import sys
from pathlib import Path
import os
left = int(sys.argv.pop(1))
replace = Path.replace
def replace_or_die(path, target):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    return replace(path, target)
Path.replace = replace_or_die
from p2pcli.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""A command line that dies, as by SIGKILL, before its n-th renaming (from 0)."""


class KilledError(BaseException):
    """Stands for a SIGKILL: nothing in p2p catches it."""


def die_at(monkeypatch: pytest.MonkeyPatch, number: int, *, of: str = "replace") -> None:
    """End at the `number`-th call, from 0, of a method of `Path`, leaving what a kill leaves."""
    real, calls = getattr(Path, of), 0

    def call_or_die(path: Path, *rest: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls > number:
            monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            raise KilledError
        return real(path, *rest, **options)

    monkeypatch.setattr(Path, of, call_or_die)


def held(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def saved(networks: dict[str, nn.Module], folder: Path) -> list[Path]:
    folder.mkdir()
    places = {folder / f"latest_net_{name}.pth": network for name, network in networks.items()}
    for place, network in places.items():
        torch.save(network.state_dict(), place)
    return [*places]


@pytest.fixture
def cyclegan(tmp_path: Path) -> list[Path]:
    torch.manual_seed(0)
    generators = {f"G_{letter}": ResNet(channels=2, blocks=6) for letter in "AB"}
    judges = {f"D_{letter}": PatchGAN(channels=2, input_channels=3, norm="instance") for letter in "AB"}
    return saved({**generators, **judges}, tmp_path / "published")


@pytest.fixture
def local(tmp_path: Path) -> list[Path]:
    """pix2pixHD with an encoder, a discriminator, and the generator of its first stage."""
    torch.manual_seed(0)
    planes = {"input_channels": 4 + 3}
    large = {"channels": 1, "downsamplings": 1, "blocks": 1, "local_blocks": 1}
    networks = {
        "G": GENERATORS["pix2pixhd_local"](**planes, **large),
        "E": ENCODERS["pix2pixhd_features"](channels=2, downsamplings=1),
        "D": DISCRIMINATORS["multiscale"](channels=2, input_channels=4 + 3),
        "G_stage1": GENERATORS["pix2pixhd_global"](channels=2, downsamplings=1, blocks=1, **planes),
    }
    return saved(networks, tmp_path / "published")


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_import_finishes_what_a_kill_left(tmp_path, local, renamed):
    import_weights(local, tmp_path / "whole" / "m.safetensors")
    output = tmp_path / "cut" / "m.safetensors"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, renamed)
        import_weights(local, output)
    assert (len(visible(output.parent)), output.exists()) == (renamed, False)
    report = import_weights(local, output)
    assert held(tmp_path / "cut") == held(tmp_path / "whole")
    assert len(report.outputs) == 3


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_export_finishes_what_a_kill_left(tmp_path, cyclegan, renamed):
    model = tmp_path / "m.safetensors"
    import_weights(cyclegan, model)
    export_weights(model, tmp_path / "whole" / "latest_net_G_A.pth")
    output = tmp_path / "cut" / "latest_net_G_A.pth"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, renamed)
        export_weights(model, output)
    assert (len(visible(output.parent)), output.exists()) == (renamed, False)
    report = export_weights(model, output)
    assert held(tmp_path / "cut") == held(tmp_path / "whole")
    assert len(report.outputs) == report.tally.written == 4


def test_export_killed_in_a_process_of_its_own_is_finished_by_the_same_command(tmp_path, cyclegan):
    import_weights(cyclegan, tmp_path / "m.safetensors")
    words = ["export", "-m", "m.safetensors", "-q", "-o"]

    def call(renamings: int, output: str) -> int:
        command = [sys.executable, "-c", DIES, str(renamings), *words, output]
        return subprocess.run(command, cwd=tmp_path, timeout=120, check=False).returncode

    export_weights(tmp_path / "m.safetensors", tmp_path / "whole" / "latest_net_G.pth")
    assert call(2, "cut/latest_net_G.pth") == 9
    assert len(visible(tmp_path / "cut")) == 2
    assert call(99, "cut/latest_net_G.pth") == 0
    assert held(tmp_path / "cut") == held(tmp_path / "whole")


def test_somebody_elses_file_in_a_half_set_stays(tmp_path, cyclegan):
    model, output = tmp_path / "m.safetensors", tmp_path / "out" / "latest_net_G_A.pth"
    import_weights(cyclegan, model)
    export_weights(model, output)
    output.unlink()
    mine = tmp_path / "out" / "latest_net_D_A.pth"
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"latest_net_D_A\.pth: is there already, with other content"):
        export_weights(model, output)
    assert (mine.read_bytes(), output.exists()) == (b"mine", False)


@pytest.mark.parametrize("verb", ["import", "export"])
def test_a_stop_leaves_the_whole_set_absent(tmp_path, cyclegan, verb):
    stop = Stop()
    if verb == "export":
        import_weights(cyclegan, tmp_path / "m.safetensors")
    stop.set()
    if verb == "import":
        report = import_weights(cyclegan, tmp_path / "out" / "m.safetensors", stop=stop)
    else:
        report = export_weights(tmp_path / "m.safetensors", tmp_path / "out" / "G.pth", stop=stop)
    assert (report.interrupted, report.outputs, report.tally.written) == (True, [], 0)
    assert not (tmp_path / "out").exists() or held(tmp_path / "out") == {}


def street(folder: Path) -> Path:
    """One label map with instances and its photo, side by side in folders."""
    labels, instances = np.zeros((16, 16, 1), np.uint8), np.full((16, 16, 1), 10, np.uint8)
    labels[4:12, 4:12], instances[4:12, 4:12] = 1, 20
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for name, picture in {"A": labels, "inst": instances, "B": photo}.items():
        write_bytes(folder / name / "0.png", encode(picture, ".png"))
    return folder


def test_cluster_killed_before_its_file_appears_is_finished_by_the_same_command(tmp_path):
    recipe = parse_recipe(
        {
            "data": {"size": 16, "load_size": None, "labels": 3, "instances": "inst"},
            "generator": {"name": "pix2pixhd_global", "channels": 2, "downsamplings": 1, "blocks": 1},
            "encoder": {
                "name": "pix2pixhd_features",
                "channels": 2,
                "downsamplings": 1,
                "output_channels": 2,
            },
        },
        where="test",
    )
    torch.manual_seed(0)
    save_model(
        tmp_path / "m.safetensors", model_state(generators_of(recipe)), recipe=recipe, info=ModelInfo()
    )
    data, output = street(tmp_path / "data"), tmp_path / "out" / "m.safetensors"
    cluster(data, model=tmp_path / "m.safetensors", output=tmp_path / "whole" / "m.safetensors", device="cpu")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, 0)
        cluster(data, model=tmp_path / "m.safetensors", output=output, device="cpu")
    assert visible(output.parent) == []
    cluster(data, model=tmp_path / "m.safetensors", output=output, device="cpu")
    assert held(output.parent) == held(tmp_path / "whole")


TINY = (
    "data.size=32",
    "data.load_size=32",
    "generator.channels=4",
    "discriminator.channels=4",
    "discriminator.receptive_field=16",
    "train.precision=float32",
    "train.steps=3",
    "train.batch_size=2",
)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for index in range(4):
        picture = np.random.default_rng(index).integers(0, 256, (32, 64, 3)).astype(np.uint8)
        write_bytes(tmp_path / "pairs" / f"{index}.png", encode(picture, ".png"))
    return tmp_path / "pairs"


@pytest.mark.parametrize("overwrite", [False, True])
def test_train_killed_anywhere_as_it_begins_its_folder_begins_by_the_same_command(
    tmp_path, pairs, monkeypatch, overwrite
):
    for name in ("_announce", "_train"):
        monkeypatch.setattr(train_module, name, lambda *_: None)

    def call() -> None:
        train(pairs, output=output, overrides=TINY, device="cpu", overwrite=overwrite)

    for of, number in (*(("replace", number) for number in range(4)), ("unlink", 0), ("unlink", 5)):
        output = tmp_path / f"{of}{number}"
        if overwrite:
            call()
            for name in ("model.safetensors", "report.html", "samples/step-00000001.png"):
                write_bytes(output / name, b"of the run before")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
            die_at(patch, number, of=of)
            call()
        call()
        assert {*visible(output)} - {"samples"} == {"log.jsonl", "recipe.toml", "run.json"}
        assert [*output.glob("samples/*")] == []
        assert [path.name for path in output.iterdir() if path.name.startswith(".")] == []


def test_a_finished_run_that_was_killed_before_its_report_gets_it(tmp_path, pairs):
    output = tmp_path / "run"
    train(pairs, output=output, overrides=TINY, device="cpu")
    page = (output / "report.html").read_bytes()
    (output / "report.html").unlink()
    train(output=output, resume=True, device="cpu")
    assert (output / "report.html").read_bytes() == page


def test_a_report_that_shows_all_is_not_written_again(tmp_path, pairs):
    output = tmp_path / "run"
    train(pairs, output=output, overrides=TINY, device="cpu")
    before = (output / "report.html").stat()
    train(output=output, resume=True, device="cpu")
    assert (output / "report.html").stat().st_ino == before.st_ino


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(5):
        picture = np.random.default_rng(index).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        write_bytes(tmp_path / "photos" / f"{index}.png", encode(picture, ".png"))
    return tmp_path / "photos"


def test_make_pairs_killed_between_any_two_files_is_finished_by_the_same_command(tmp_path, photos):
    make_pairs("gray", photos, tmp_path / "whole" / "pairs", size=32, workers=1)
    whole = held(tmp_path / "whole")
    assert {"pairs/README.md", "pairs/preview.png", "pairs/.p2p/manifest.json"} <= whole.keys()
    for number in range(len(whole)):
        output = tmp_path / f"cut{number}" / "pairs"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
            die_at(patch, number)
            make_pairs("gray", photos, output, size=32, workers=1)
        make_pairs("gray", photos, output, size=32, workers=1)
        assert held(output.parent) == whole, number


def test_make_pairs_killed_as_it_moves_a_dataset_aside_is_finished_by_the_same_command(tmp_path, photos):
    def call(seed: int) -> None:
        make_pairs("gray", photos, output, size=32, workers=1, seed=seed, overwrite=seed > 0)

    output = tmp_path / "whole" / "pairs"
    call(1)
    whole = held(output.parent)
    for number in range(3):
        output = tmp_path / f"cut{number}" / "pairs"
        call(0)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
            die_at(patch, 0)
            call(2)  # what is there now is unfinished, with a finished one aside
        with pytest.MonkeyPatch.context() as patch, pytest.raises((KilledError, FileNotFoundError)):
            die_at(patch, number, of="rename")
            die_at(patch, 1)
            call(1)
        call(1)
        assert held(output.parent) == whole, number


def test_what_was_replaced_goes_also_where_a_kill_came_just_before(tmp_path, photos, monkeypatch):
    output = tmp_path / "out" / "pairs"
    make_pairs("gray", photos, output, size=32, workers=1)
    monkeypatch.setattr("p2pcli.jobs.pairs_output.drop_replaced", lambda output: None)
    make_pairs("gray", photos, output, size=32, workers=1, seed=1, overwrite=True)
    assert [path.name for path in output.parent.iterdir() if path != output] == [".pairs.replaced"]
    monkeypatch.undo()
    report = make_pairs("gray", photos, output, size=32, workers=1, seed=1)
    assert (report.nothing_to_do, [path.name for path in output.parent.iterdir()]) == (True, ["pairs"])


@pytest.mark.parametrize("stage", ["_pairs", "_train", "_translate", "_compare"])
def test_quickstart_killed_at_any_stage_is_made_anew_by_the_same_command(tmp_path, monkeypatch, stage):
    def stub(name: str) -> Callable[..., None]:
        def write(report: object, *rest: object) -> None:
            write_bytes(tmp_path / "q" / name, name.encode())

        return write

    for name in ("_pairs", "_train", "_translate"):
        monkeypatch.setattr(quickstart_module, name, stub(name))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, {"_pairs": 1, "_train": 2, "_translate": 3, "_compare": 0}[stage])
        quickstart(tmp_path / "q", device="cpu")
    quickstart(tmp_path / "q", device="cpu")
    assert visible(tmp_path / "q") == ["_pairs", "_train", "_translate", "material"]
    assert [path.name for path in (tmp_path / "q").iterdir() if path.name.startswith(".")] == []
    with pytest.raises(UsageError, match="is not empty"):
        quickstart(tmp_path / "q", device="cpu")
