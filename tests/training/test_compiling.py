"""train.compile: what is compiled, and what is said where there is no compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from p2pcli.errors import EnvironmentFaultError
from p2pcli.jobs.train import train


def test_both_networks_of_a_run_are_compiled(
    tiny: list[str], side_by_side: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    changes = [*tiny, "train.steps=1", "train.compile=true"]
    train(side_by_side(4), recipe="pix2pix", output=tmp_path / "run", overrides=changes, device="cpu")
    assert compiled == ["UNet", "PatchGAN"]


def test_without_a_compiler_the_run_does_not_start(
    tiny: list[str], side_by_side: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EnvironmentFaultError, match=r"no C\+\+ compiler \(looked for no-such-compiler\)"):
        train(
            side_by_side(4),
            output=tmp_path / "run",
            overrides=[*tiny, "train.compile=true"],
            device="cpu",
        )
    assert not (tmp_path / "run").exists()


def test_keys_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    keys = list(network.state_dict())
    network.compile()
    assert list(network.state_dict()) == keys
