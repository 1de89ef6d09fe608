"""A network that sees more than a picture says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from p2pcli import import_weights, load_model
from p2pcli.errors import UsageError
from p2pcli.nets import ResNet


def test_a_network_that_sees_label_planes_refuses_pictures_and_takes_tensors(tmp_path):
    torch.save(ResNet(channels=2, blocks=1, input_channels=6).state_dict(), tmp_path / "G.pth")
    import_weights(tmp_path / "G.pth", tmp_path / "m.safetensors")
    model = load_model(tmp_path / "m.safetensors", device="cpu")
    with pytest.raises(UsageError, match="its network sees 6 channels"):
        model(np.zeros((16, 16, 3), np.uint8))
    assert model.network(torch.zeros(1, 6, 16, 16)).shape == (1, 3, 16, 16)
