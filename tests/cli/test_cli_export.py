"""`p2p export`: weights go back to the published code, with the options to load them."""

from __future__ import annotations

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
