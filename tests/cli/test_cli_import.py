"""`p2p import`: what the job is called with, what is said, how it fails."""

from __future__ import annotations

from pathlib import Path

import torch

from p2pcli.nets import ResNet


def test_published_weights_become_a_model(run, tmp_path):
    torch.save(ResNet(channels=2, blocks=1).state_dict(), tmp_path / "latest_net_G.pth")
    ended = run("import", "latest_net_G.pth", "-o", "model.safetensors")
    assert (ended.code, ended.out) == (0, "model.safetensors\n")
    assert ended.err.splitlines()[-3:] == [
        "Not in the file, taken as: direction AtoB (--direction BtoA)",
        "Written and checked: model.safetensors",
        "Next: p2p translate PHOTOS/ -m model.safetensors",
    ]
    assert Path("model.safetensors").is_file()


def test_every_option_reaches_the_job(run, tmp_path):
    torch.save(ResNet(channels=2, blocks=1, norm="batch").state_dict(), tmp_path / "G.pth")
    words = [
        "--direction",
        "BtoA",
        "--statistics",
        "running",
        "--no-dropout",
        "--doublings",
        "more",
        "--dry-run",
    ]
    ended = run("import", "G.pth", "-o", "m.safetensors", *words)
    assert (ended.code, list(tmp_path.glob("*.safetensors"))) == (0, [])
    assert "taken as" not in ended.err
    assert ended.out.splitlines()[-1] == "Would write: m.safetensors"


def test_a_file_that_is_no_network_is_one_line_and_exit_code_2(run, tmp_path):
    torch.save({"weight": torch.ones(1)}, tmp_path / "x.pth")
    ended = run("import", "x.pth")
    assert ended.code == 2
    assert ended.err == (
        "p2p: x.pth: keys of no network that is known here (weight, …; 1 in all). Expected a published "
        "pix2pix, CycleGAN, pix2pixHD or SPADE state dict, such as latest_net_G.pth. Super-resolution "
        "weights need no import: p2p translate -m FILE.\n"
    )
