"""In which number format a trained network runs, and how much memory there is for it."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import nn

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.nets.spectral import SpectralConv2d
from p2pcli.recipe import Recipe

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]


def has_bfloat16(device: torch.device) -> bool:
    """True where `device` computes in bfloat16 natively.

    That is CPUs with AMX or AVX512-BF16, and CUDA from compute capability 8.0.
    """
    if device.type == "cpu":
        # torch answers these only under private names, in every version from 2.6 on.
        names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        asked = [getattr(torch.cpu, name, None) for name in names]
        return any(question is not None and bool(question()) for question in asked)
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The format of the convolutions. "auto": bfloat16 where `device` has it, else float32.

    float16 is never chosen: it turns pictures black on some older GPUs. Raises `UsageError` where there is no
    such format.
    """
    if name not in get_args(PrecisionName):
        raise UsageError(f"no precision '{name}'. {did_you_mean(name, get_args(PrecisionName))}")
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def reduced_copy(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `network`, channels-last, whose convolutions hold weights of `dtype`.

    Norms keep float32 weights and statistics. Autocast would cast every weight again for every batch: for
    the full U-Net more bytes than a 256 px picture's own traffic. Spectral norms are divided out once.
    """
    reduced = copy.deepcopy(network)
    for module in list(reduced.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpectralConv2d):
                setattr(module, name, child.folded())
    for module in reduced.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.PReLU):
            module.to(dtype)
    return reduced.to(memory_format=torch.channels_last)


def bytes_per_pixel(recipe: Recipe, dtype: torch.dtype) -> float:
    """About what the network needs at its peak (seen in bfloat16 at 64 channels: U-Net 118, with
    resize-convolutions 316, ResNet 254)."""
    section = recipe.generator
    enlarges_first = section.name == "unet" and section.upsampling == "resize"
    each = 2.25 if enlarges_first else {"unet": 0.75, "progressive": 6.0}.get(section.name, 2.0)
    values = section.channels * each
    # 48: the picture and its translation as float32, padded and whole.
    return 48 + values * torch.empty((), dtype=dtype).element_size()


def free_memory() -> int | None:
    """Bytes of main memory that can be had without swapping, or None where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
