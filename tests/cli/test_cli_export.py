"""`p2p export`: weights go back to the published code, with the options to load them."""

from __future__ import annotations

import errno

import torch

from p2pcli import import_weights
from p2pcli.nets import UNet


def test_a_model_becomes_published_weights(run, tmp_path):
    network = UNet(channels=2, depth=7)
    torch.save(network.state_dict(), tmp_path / "G.pth")
    import_weights(tmp_path / "G.pth", tmp_path / "m.safetensors")
    ended = run("export", "-m", "m.safetensors", "--to", "pth", "-o", "out.pth")
    assert (ended.code, ended.out) == (0, "out.pth\n")
    assert ended.err == "Options of the published code: --netG unet_128 --ngf 2 --norm batch\n"
    assert list(torch.load("out.pth", weights_only=True)) == list(network.state_dict())


def test_the_newest_run_is_taken_and_named(run, tmp_path):
    (tmp_path / "runs" / "only").mkdir(parents=True)
    torch.save(UNet(channels=2, depth=7).state_dict(), tmp_path / "G.pth")
    import_weights(tmp_path / "G.pth", tmp_path / "runs" / "only" / "model.safetensors")
    ended = run("export", "-o", "out.pth")
    assert (ended.code, ended.out) == (0, "out.pth\n")
    assert ended.err.splitlines()[0] == "The same as: p2p export -o out.pth -m runs/only"


def test_a_dry_run_names_the_files_and_their_sizes(run, tmp_path):
    network = UNet(channels=16, depth=7)
    torch.save(network.state_dict(), tmp_path / "G.pth")
    import_weights(tmp_path / "G.pth", tmp_path / "m.safetensors")
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    ended = run("export", "-m", "m.safetensors", "-o", "out.pth", "--dry-run")
    assert f"Would write out.pth: {size / 1e6:.1f} MB\n" in ended.out
    assert not (tmp_path / "out.pth").exists()


def test_a_full_disk_ends_with_5(run, tmp_path, monkeypatch):
    torch.save(UNet(channels=2, depth=7).state_dict(), tmp_path / "G.pth")
    import_weights(tmp_path / "G.pth", tmp_path / "m.safetensors")

    def fill_the_disk(values: object, place: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:747]")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    ended = run("export", "-m", "m.safetensors", "-o", "out.pth")
    assert (ended.code, ended.out) == (5, "")
    assert ended.err.startswith("p2p: out.pth: cannot be written (No space left on device")
