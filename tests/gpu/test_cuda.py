"""On CUDA p2p computes what it does on a CPU, waits for nothing, and survives a card that is too small.

Runs where a CUDA device is (`.ci/gpu`), and skips elsewhere. The checks are those of the benchmark, small.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import gpu_checks
import gpu_training
import gpu_translate
import pytest
import torch
from gpu_setting import Setting

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    yield Setting(torch.device("cuda"), tmp_path, is_tiny=True, until=time.monotonic() + 60)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("name", gpu_training.FAMILIES)
def test_outputs_are_those_of_the_cpu(setting: Setting, name: str) -> None:
    row = gpu_checks.output_row(setting, name)
    assert row["holds"], row


@pytest.mark.parametrize("name", gpu_training.FAMILIES)
def test_a_step_never_lets_the_host_wait(setting: Setting, name: str) -> None:
    row = gpu_checks.waiting_row(setting, name)
    assert row["holds"], row


@pytest.mark.parametrize(("there", "back"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_another_device(setting: Setting, there: str, back: str) -> None:
    row = gpu_checks.moved_row(setting, there=there, back=back)
    assert row["holds"], row


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", gpu_training.FAMILIES)
def test_losses_are_finite_in_every_format(setting: Setting, name: str, precision: str) -> None:
    form = gpu_training.Form(precision)
    run = gpu_training.run_of(setting, name, gpu_training.FAMILIES[name], form, batch=2)
    step = gpu_training.step_of(run, gpu_training.random_batch(run, samples=2))
    for _ in range(3):
        step()
    run.precision.watch.require_finite()


def test_a_batch_that_does_not_fit_is_halved_and_loses_nothing(setting: Setting) -> None:
    row = gpu_checks.retried_row(setting)
    assert row["holds"], row


def test_a_folder_and_a_film_are_translated_whole(setting: Setting) -> None:
    rows = list(gpu_translate.rows(setting))
    assert [row for row in rows if row.get("holds") is False] == []
