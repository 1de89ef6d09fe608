"""In which number format a trained network runs."""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import nn

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.nets.spectral import SpectralConv2d

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
