"""Starting from a trained model: which networks it gives, what is refused, which weights then learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from p2pcli.errors import RecipeError, UsageError
from p2pcli.events import Event, Note
from p2pcli.inference.model_file import ModelInfo, read_model, save_model
from p2pcli.jobs.train import train
from p2pcli.recipe import Recipe, load_recipe, parse_recipe
from p2pcli.training.checkpoint import newest_state
from p2pcli.training.initialise import initialise
from p2pcli.training.state import TrainState, new_state

Folder = Callable[..., Path]
CPU = torch.device("cpu")


def hd_recipe(generator: dict[str, object], **train: object) -> Recipe:
    """pix2pixHD at 64 px, with two down-samplings and one block of each kind."""
    small = {"downsamplings": 2, "blocks": 1, **generator}
    values = {
        "data": {"size": 64, "load_size": None},
        "generator": small,
        "discriminator": {"channels": 4, "receptive_field": 16},
        "train": {"precision": "float32", **train},
    }
    return parse_recipe(values, where="recipe")


def tiny_recipe(tiny: list[str], *more: str) -> Recipe:
    return load_recipe("pix2pix", [*tiny, *more])


def saved(run: TrainState, path: Path, *, role: str = "generator") -> Path:
    network = run.task.generators["generator"] if role == "generator" else run.task.discriminators[role]
    info = ModelInfo(role=role)  # type: ignore[arg-type]
    save_model(path, network.state_dict(), recipe=run.recipe, info=info)
    return path


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_model_file_gives_its_generator_and_leaves_the_discriminator_fresh(
    tiny: list[str], tmp_path: Path
) -> None:
    origin = new_state(tiny_recipe(tiny, "train.seed=9"), CPU)
    model = saved(origin, tmp_path / "model.safetensors")
    run = new_state(tiny_recipe(tiny, f"train.init_from={model}", "train.ema=0.9"), CPU)
    fresh = new_state(tiny_recipe(tiny), CPU)
    notes = initialise(run)
    assert equal(run.task.generators["generator"], origin.task.generators["generator"])
    assert equal(run.task.discriminators["discriminator"], fresh.task.discriminators["discriminator"])
    assert run.average is not None and equal(run.average["generator"], origin.task.generators["generator"])
    assert notes[0] == f"Starting from {model}: generator."
    assert "train.warmup_discriminator=500" in notes[1]


def test_an_imported_discriminator_beside_the_model_comes_with_it(tiny: list[str], tmp_path: Path) -> None:
    origin = new_state(tiny_recipe(tiny, "train.seed=9"), CPU)
    model = saved(origin, tmp_path / "model.safetensors")
    saved(origin, tmp_path / "model.discriminator.safetensors", role="discriminator")
    run = new_state(tiny_recipe(tiny, f"train.init_from={model}"), CPU)
    assert initialise(run) == [f"Starting from {model}: generator, discriminator."]
    assert equal(run.task.discriminators["discriminator"], origin.task.discriminators["discriminator"])


def test_a_run_folder_gives_both_networks_and_its_recipe(
    tiny: list[str], side_by_side: Folder, tmp_path: Path
) -> None:
    data, first = side_by_side(5), tmp_path / "first"
    train(data, recipe="pix2pix", output=first, overrides=tiny)
    events: list[Event] = []
    second = tmp_path / "second"
    train(data, init=[first], output=second, overrides=["train.learning_rate=1e-30"], observe=events.append)
    before, after = newest_state(first / "state"), newest_state(second / "state")
    assert before is not None and after is not None
    for name in ("generator", "discriminator"):
        was, now = before[1]["networks"][name], after[1]["networks"][name]
        learned = [key for key in was if not key.endswith(("running_mean", "running_var", "batches_tracked"))]
        assert all(torch.equal(was[key], now[key]) for key in learned)
    texts = [event.text for event in events if isinstance(event, Note)]
    assert f"The recipe is that of {first}." in texts
    assert read_model(second / "model.safetensors")[1].generator.channels == 4


def test_shapes_that_do_not_fit_are_named(tiny: list[str], tmp_path: Path) -> None:
    origin = new_state(tiny_recipe(tiny, "generator.channels=8"), CPU)
    model = saved(origin, tmp_path / "wide.safetensors")
    run = new_state(tiny_recipe(tiny, f"train.init_from={model}"), CPU)
    with pytest.raises(
        UsageError, match=r"generator does not fit.*'model.*' is \(8, 3, 4, 4\), expected \(4,"
    ):
        initialise(run)


def test_keys_that_are_missing_are_named(tiny: list[str], tmp_path: Path) -> None:
    origin = new_state(tiny_recipe(tiny, "generator.name=resnet", "generator.blocks=1"), CPU)
    model = saved(origin, tmp_path / "resnet.safetensors")
    run = new_state(tiny_recipe(tiny, f"train.init_from={model}"), CPU)
    with pytest.raises(UsageError, match=r"is missing; .*and \d+ more\. Leave out --recipe"):
        initialise(run)


def test_a_global_generator_starts_the_enhancer_of_pix2pixhd(tmp_path: Path) -> None:
    origin = new_state(hd_recipe({"name": "pix2pixhd_global", "channels": 4}), CPU)
    model = saved(origin, tmp_path / "global.safetensors")
    local = {"name": "pix2pixhd_local", "channels": 2, "local_blocks": 1}
    run = new_state(hd_recipe(local, init_from=[str(model)]), CPU)
    initialise(run)
    ours, theirs = run.task.generators["generator"].state_dict(), read_model(model)[0]
    shared = [key for key in ours if key.startswith("model.")]
    assert shared and all(torch.equal(ours[key], theirs[key]) for key in shared)


def weights(run: TrainState, name: str = "generator") -> dict[str, torch.Tensor]:
    network = {**run.task.generators, **run.task.discriminators}[name]
    return {key: value.clone() for key, value in network.named_parameters()}


def test_frozen_keys_stay_and_the_others_learn(tiny: list[str], side_by_side: Folder, tmp_path: Path) -> None:
    frozen = 'train.freeze=["model.model.0", "discriminator.model.0"]'
    out = tmp_path / "run"
    train(side_by_side(4), recipe="pix2pix", output=out, overrides=[*tiny, frozen])
    fresh = new_state(tiny_recipe(tiny), CPU)
    state = newest_state(out / "state")
    assert state is not None
    for name in ("generator", "discriminator"):
        first = "model.model.0." if name == "generator" else "model.0."
        for key, was in weights(fresh, name).items():
            assert torch.equal(was, state[1]["networks"][name][key]) == key.startswith(first), key


def test_an_unknown_frozen_key_gets_a_suggestion(tiny: list[str]) -> None:
    with pytest.raises(RecipeError, match=r"begins with 'model\.modle\.0'\. Did you mean 'model\.model\.0'"):
        new_state(tiny_recipe(tiny, 'train.freeze=["model.modle.0"]'), CPU)


def test_freezing_everything_is_refused(tiny: list[str]) -> None:
    with pytest.raises(RecipeError, match="no weight of the generator to learn"):
        new_state(tiny_recipe(tiny, 'train.freeze=["model"]'), CPU)


def test_a_generator_without_a_global_part_cannot_freeze_it(tiny: list[str]) -> None:
    with pytest.raises(RecipeError, match="generator unet has no global part"):
        new_state(tiny_recipe(tiny, "train.freeze_global_epochs=1"), CPU)


@pytest.mark.parametrize("enhancers", [1, 2])
def test_beside_a_frozen_global_generator_all_enhancers_and_the_encoder_learn(enhancers: int) -> None:
    values = {
        "data": {"size": 64, "load_size": None, "instances": "inst"},
        "generator": {"name": "pix2pixhd_local", "channels": 2, "downsamplings": 1, "enhancers": enhancers},
        "discriminator": {"channels": 4, "receptive_field": 16},
        "encoder": {"name": "pix2pixhd_features", "channels": 2, "downsamplings": 1},
        "train": {"freeze_global_epochs": 1},
    }
    run = new_state(parse_recipe(values, where="recipe"), CPU)
    generator, encoder = (run.task.generators[name] for name in ("generator", "feature_encoder"))
    for key, parameter in generator.named_parameters():
        assert parameter.requires_grad == (not key.startswith("model.")), key
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_a_warm_up_of_the_discriminator_leaves_the_generator_as_it_is(
    tiny: list[str], side_by_side: Folder, tmp_path: Path
) -> None:
    changes = [*tiny, "train.steps=3", "train.warmup_discriminator=3"]
    train(side_by_side(4), recipe="pix2pix", output=tmp_path / "run", overrides=changes)
    fresh, state = new_state(tiny_recipe(tiny), CPU), newest_state(tmp_path / "run" / "state")
    assert state is not None
    for name, stays in (("generator", True), ("discriminator", False)):
        for key, was in weights(fresh, name).items():
            assert torch.equal(was, state[1]["networks"][name][key]) == stays, key
