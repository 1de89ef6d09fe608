"""Model files: whole, self-describing, and never a pickle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from p2pcli.errors import UsageError
from p2pcli.inference.model_file import ModelInfo, read_model, save_model
from p2pcli.inference.translator import load_model
from p2pcli.recipe import load_recipe
from p2pcli.tasks import build_generator


class Hostile:
    """Makes a folder when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


def saved(path: Path) -> Path:
    state = {"w": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)}
    info = ModelInfo(trained_size=128, step=5, epoch=2, metrics={"ssim": 0.5})
    save_model(path, state, recipe=load_recipe("quick"), info=info)
    return path


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    state, recipe, info = read_model(saved(tmp_path / "m.safetensors"))
    assert torch.equal(state["w"], torch.arange(24.0).reshape(1, 2, 3, 4))
    assert recipe == load_recipe("quick")
    assert info == ModelInfo(trained_size=128, step=5, epoch=2, metrics={"ssim": 0.5})


def test_the_same_model_has_the_same_bytes(tmp_path: Path) -> None:
    assert saved(tmp_path / "a").read_bytes() == saved(tmp_path / "b").read_bytes()


@pytest.mark.parametrize("first_bytes", [b"PK", b"\x80\x02"])
def test_a_header_whose_length_looks_like_a_pickle_is_read(first_bytes: bytes, tmp_path: Path) -> None:
    data = saved(tmp_path / "m.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    # A header may be padded with spaces to any length.
    wanted = int.from_bytes(first_bytes, "little")
    wanted += 0 if wanted >= length else 1 << 16
    header = data[8 : 8 + length].ljust(wanted)
    path = tmp_path / "padded.safetensors"
    path.write_bytes(wanted.to_bytes(8, "little") + header + data[8 + length :])
    assert path.read_bytes()[:2] == first_bytes
    assert torch.equal(read_model(path)[0]["w"], read_model(tmp_path / "m.safetensors")[0]["w"])


def test_a_model_is_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    assert saved(tmp_path / "m").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_and_not_opened(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.safetensors"
    torch.save(Hostile(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UsageError, match=r"a PyTorch pickle, which can run code .*: p2p import"):
        read_model(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_cut_short_is_refused(share: float, tmp_path: Path) -> None:
    path = saved(tmp_path / "m.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UsageError, match="cut short"):
        read_model(path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(40), b"hello, this is a text file\n"])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="not a model file"):
        read_model(tmp_path / "x.safetensors")


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match=r"without p2p metadata.*: p2p import"):
        read_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ('{"format_version": 99, "tool_version": "9.0"}', "Upgrade: pip install"),
        ("not json", "cannot be read"),
        ('{"format_version": 1, "recipe": {}}', "incomplete"),
        ('{"format_version": 1, "recipe": {"bogus": 1}}', "unknown key 'bogus'"),
    ],
)
def test_bad_metadata_says_what_is_wrong(about: str, text: str, tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "x.safetensors", metadata={"p2p": about})
    with pytest.raises(UsageError, match=text):
        read_model(tmp_path / "x.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_model(tmp_path / "no.safetensors")
    with pytest.raises(UsageError, match="a folder"):
        read_model(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    state = {"fine": torch.ones(2), "spoiled": torch.tensor([1.0, value])}
    save_model(path, state, recipe=load_recipe("quick"), info=ModelInfo())
    with pytest.raises(UsageError, match="weight 'spoiled' holds values that are not finite"):
        read_model(path)


def test_a_recipe_of_more_than_the_weights_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    recipe = load_recipe("quick")
    state = build_generator(recipe).state_dict()
    # Weights of 20 TB.
    huge = recipe.model_copy(update={"generator": recipe.generator.model_copy(update={"channels": 1 << 20})})
    save_model(tmp_path / "m", state, recipe=huge, info=ModelInfo())
    with pytest.raises(UsageError, match="do not fit the network that its recipe describes"):
        load_model(tmp_path / "m", device="cpu")
