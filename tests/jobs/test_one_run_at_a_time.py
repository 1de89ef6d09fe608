"""Every verb that writes keeps other runs off its output while it works, and gives way to one that does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2pcli import cluster, export_weights, import_weights, make_pairs, train, translate
from p2pcli.errors import OutputInUseError
from p2pcli.events import Stop, ignore
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode
from p2pcli.io.lock import locked
from p2pcli.jobs import quickstart as quickstart_module
from p2pcli.jobs.quickstart import quickstart
from p2pcli.nets import PatchGAN, UNet
from p2pcli.recipe import parse_recipe
from p2pcli.tasks.networks import generators_of, model_state

TINY = (
    "data.size=32",
    "data.load_size=32",
    "generator.channels=4",
    "discriminator.channels=4",
    "discriminator.receptive_field=16",
    "train.precision=float32",
    "train.steps=2",
    "train.batch_size=2",
)
HD: dict[str, Any] = {
    "data": {"size": 16, "load_size": None, "labels": 3, "instances": "inst"},
    "generator": {"name": "pix2pixhd_global", "channels": 2, "downsamplings": 1, "blocks": 1},
    "encoder": {"name": "pix2pixhd_features", "channels": 2, "downsamplings": 1},
}

Call = Callable[..., Any]


def picture(path: Path, *, width: int = 32) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, width, 3)).astype(np.uint8)
    write_bytes(path, encode(pixels, ".png"))
    return path


def making(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    picture(tmp_path / "photos" / "a.png")
    output = tmp_path / "pairs"
    return output, lambda **how: make_pairs("gray", tmp_path / "photos", output, size=32, workers=1, **how)


def training(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    for index in range(3):
        picture(tmp_path / "data" / f"{index}.png", width=64)
    output = tmp_path / "run"
    return output, lambda **how: train(tmp_path / "data", output=output, overrides=TINY, device="cpu", **how)


def resuming(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    output, call = training(tmp_path, model)
    stop = Stop()
    stop.set()
    call(stop=stop)
    return output, lambda **how: call(resume=True, **how)


def translating_a_folder(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    picture(tmp_path / "photos" / "a.png")
    file, output = model(), tmp_path / "translated"
    return output, lambda **how: translate(
        tmp_path / "photos", model=file, output=output, device="cpu", **how
    )


def translating_a_file(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    source, file, output = picture(tmp_path / "a.png"), model(), tmp_path / "b.png"
    return output, lambda **how: translate(source, model=file, output=output, device="cpu", **how)


def importing(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    torch.save(UNet(channels=2, depth=5).state_dict(), tmp_path / "latest_net_G.pth")
    torch.save(PatchGAN(channels=2).state_dict(), tmp_path / "latest_net_D.pth")
    files = [tmp_path / "latest_net_G.pth", tmp_path / "latest_net_D.pth"]
    call = lambda **how: import_weights(files, tmp_path / "m.safetensors", **how)  # noqa: E731
    return tmp_path / "m.discriminator.safetensors", call


def exporting(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    file, output = model(generator={"channels": 4, "depth": 5}), tmp_path / "G.pth"
    return output, lambda **how: export_weights(file, output, **how)


def _street(tmp_path: Path, model: Path) -> None:
    torch.manual_seed(0)
    recipe = parse_recipe(HD, where="test")
    save_model(model, model_state(generators_of(recipe)), recipe=recipe, info=ModelInfo())
    labels, instances = np.zeros((16, 16, 1), np.uint8), np.full((16, 16, 1), 10, np.uint8)
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for name, pixels in {"A": labels, "inst": instances, "B": photo}.items():
        write_bytes(tmp_path / "data" / name / "0.png", encode(pixels, ".png"))


def clustering(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    _street(tmp_path, tmp_path / "m.safetensors")
    output = tmp_path / "m.safetensors"
    return output, lambda **how: cluster(tmp_path / "data", model=output, device="cpu", **how)


def clustering_in_a_run(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    """A training run writes the very model that it would read, change and write."""
    run = tmp_path / "run"
    _street(tmp_path, run / "model.safetensors")
    write_bytes(run / "run.json", b"{}")
    return run, lambda **how: cluster(tmp_path / "data", model=run, device="cpu", **how)


def starting(tmp_path: Path, model: Call) -> tuple[Path, Call]:
    return tmp_path / "q", lambda **how: quickstart(tmp_path / "q", device="cpu", **how)


VERBS = [
    making,
    training,
    resuming,
    translating_a_folder,
    translating_a_file,
    importing,
    exporting,
    clustering,
    clustering_in_a_run,
    starting,
]


@pytest.fixture(autouse=True)
def one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart's verbs are tried one by one here; all of them at once would take a minute."""
    for name in ("_train", "_translate"):
        monkeypatch.setattr(quickstart_module, name, lambda *_: None)


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir()
    }


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_second_run_is_refused_and_changes_nothing(tmp_path, tiny_model, verb):
    output, call = verb(tmp_path, tiny_model)
    with locked(output, observe=ignore):
        before = state_of(tmp_path)
        for how in ({}, {"overwrite": True}):
            with pytest.raises(OutputInUseError, match=r": being written by .* \(process "):
                call(**how)
        assert state_of(tmp_path) == before


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_it_keeps_others_off_whenever_a_file_appears_and_leaves_no_lock(
    tmp_path, tiny_model, monkeypatch, verb
):
    output, call = verb(tmp_path, tiny_model)
    replace, tries = Path.replace, []

    def watched(path: Path, target: Path) -> Path:
        try:
            with locked(output, observe=ignore):
                tries.append("free")
        except OutputInUseError:
            tries.append("held")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    call()
    assert set(tries) == {"held"}
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".lock")] == []
    monkeypatch.undo()
    with locked(output, observe=ignore):
        pass


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_dry_run_beside_it_is_no_second_run(tmp_path, tiny_model, verb):
    output, call = verb(tmp_path, tiny_model)
    with locked(output, observe=ignore):
        before = state_of(tmp_path)
        call(dry_run=True)
        assert state_of(tmp_path) == before
