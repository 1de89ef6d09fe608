"""`p2p cluster`: what the job is called with, and what is said."""

from __future__ import annotations

from pathlib import Path


def test_words_reach_the_job_and_the_newest_run_is_named(run, fake_job, tmp_path):
    job = fake_job("cluster")
    folder = tmp_path / "runs" / "streets"
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(b"")
    ended = run("cluster", "data", "--clusters", "4", "--seed", "3")
    assert (ended.code, ended.out) == (0, "made\n")
    assert "The same as: p2p cluster data --clusters 4 --seed 3 -m runs/streets" in ended.err
    chosen = {name: job.options[name] for name in ("model", "clusters", "seed", "output")}
    assert (job.args, chosen) == (
        (Path("data"),),
        {"model": Path("runs/streets"), "clusters": 4, "seed": 3, "output": None},
    )


def test_a_model_without_an_encoder_is_one_line_and_exit_code_2(run, tiny_model):
    ended = run("cluster", "data", "-m", tiny_model())
    assert ended.code == 2
    assert "has no encoder of instance features. Expected a pix2pixHD model" in ended.err
