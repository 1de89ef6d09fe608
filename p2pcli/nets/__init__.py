"""Networks: plain modules whose state-dict keys are the published ones, found by name in two dicts."""

from __future__ import annotations

from p2pcli.nets.blocks import Network, SizeNeeds
from p2pcli.nets.imagegan import ImageDiscriminator
from p2pcli.nets.init import init_weights
from p2pcli.nets.inpainting import GlobalPatchDiscriminator, InpaintingGenerator
from p2pcli.nets.multiscale import MultiscaleDiscriminator
from p2pcli.nets.patchgan import PatchGAN
from p2pcli.nets.pix2pixhd import FeatureEncoder, GlobalGenerator, LocalEnhancer
from p2pcli.nets.progressive import ProgressiveGenerator
from p2pcli.nets.progressive_discriminator import ProgressiveDiscriminator
from p2pcli.nets.resnet import ResNet
from p2pcli.nets.spade import SPADEDiscriminator, SPADEGenerator, StyleEncoder
from p2pcli.nets.srresnet import SRGANDiscriminator, SRResNet
from p2pcli.nets.unet import UNet

__all__ = [
    "DISCRIMINATORS",
    "ENCODERS",
    "GENERATORS",
    "Network",
    "PatchGAN",
    "ResNet",
    "SizeNeeds",
    "UNet",
    "init_weights",
]

GENERATORS: dict[str, type[Network]] = {
    "unet": UNet,
    "resnet": ResNet,
    "pix2pixhd_global": GlobalGenerator,
    "pix2pixhd_local": LocalEnhancer,
    "spade": SPADEGenerator,
    "srresnet": SRResNet,
    "inpainting": InpaintingGenerator,
    "progressive": ProgressiveGenerator,
}

DISCRIMINATORS: dict[str, type[Network]] = {
    "patchgan": PatchGAN,
    "image": ImageDiscriminator,
    "multiscale": MultiscaleDiscriminator,
    "spade_multiscale": SPADEDiscriminator,
    "srgan": SRGANDiscriminator,
    "global_patch": GlobalPatchDiscriminator,
    "progressive_patch": ProgressiveDiscriminator,
}

ENCODERS: dict[str, type[Network]] = {"pix2pixhd_features": FeatureEncoder, "spade_style": StyleEncoder}
"""Networks that turn an image into a further input of a generator."""
