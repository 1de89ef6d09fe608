"""The GPU benchmark's own lines, tried on a CPU, so that none fails first where a card is paid for."""

from __future__ import annotations

import json
from pathlib import Path

import gpu
import gpu_checks
import gpu_training
import pytest


def test_the_script_runs_through_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"pix2pix": gpu_training.FAMILIES["pix2pix"]}
    monkeypatch.setattr(gpu_training, "FAMILIES", few)
    monkeypatch.setattr(gpu_checks, "FAMILIES", few)
    forms = {name: gpu_training.FORMS[name] for name in ("plain", "fp16", "bf16 graph")}
    monkeypatch.setattr(gpu_training, "FORMS", forms)
    place = tmp_path / "gpu.json"
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu", "--tiny", "--json", str(place)])
    status = gpu.main()
    rows = json.loads(place.read_text())["rows"]
    assert [row for row in rows if "error" in row or row.get("holds") is False] == []
    assert {row["section"] for row in rows} == set(gpu.SECTIONS)
    assert status == 0


def test_no_row_begins_after_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "gpu.json"
    words = ["gpu.py", "limits", "--device", "cpu", "--tiny", "--seconds", "0", "--json", str(place)]
    monkeypatch.setattr("sys.argv", words)
    assert gpu.main() == 0
