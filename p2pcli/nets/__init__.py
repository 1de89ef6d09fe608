"""Networks: plain modules whose state-dict keys are the published ones, found by name in two dicts."""

from __future__ import annotations

from p2pcli.nets.blocks import Network, SizeNeeds
from p2pcli.nets.init import init_weights
from p2pcli.nets.patchgan import PatchGAN
from p2pcli.nets.resnet import ResNet
from p2pcli.nets.unet import UNet

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "Network",
    "PatchGAN",
    "ResNet",
    "SizeNeeds",
    "UNet",
    "init_weights",
]

GENERATORS: dict[str, type[Network]] = {"unet": UNet, "resnet": ResNet}

DISCRIMINATORS: dict[str, type[Network]] = {"patchgan": PatchGAN}
