"""The only place where images become float32 tensors in [-1, 1], and tensors become images again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from p2pcli.image import Image


def to_tensor(image: Image) -> Tensor:
    """`image` (H, W, C), uint8 or uint16, as float32 (C, H, W) in [-1, 1], contiguous."""
    return _to_unit(_whole(image).permute(2, 0, 1)[None], memory_format=torch.contiguous_format)[0]


def to_batch(
    images: Sequence[Image], *, device: torch.device | str = "cpu", channels_last: bool = True
) -> Tensor:
    """Images of one size and dtype, each (H, W, C), as float32 (B, C, H, W) in [-1, 1] on `device`.

    They travel as integers and become floats on the device: a quarter of the bytes for uint8.
    """
    return from_bytes(stacked(images), device=device, channels_last=channels_last)


def stacked(images: Sequence[Image]) -> Tensor:
    """Images of one size and dtype, each (H, W, C), as one (B, H, W, C) of that dtype on the CPU."""
    return _whole(images[0])[None] if len(images) == 1 else torch.stack([_whole(i) for i in images])


def from_bytes(batch: Tensor, *, device: torch.device | str = "cpu", channels_last: bool = True) -> Tensor:
    """`batch` (B, H, W, C), uint8 or uint16, as float32 (B, C, H, W) in [-1, 1] on `device`."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return _to_unit(sent(batch, device).permute(0, 3, 1, 2), memory_format=layout)


def sent(batch: Tensor, device: torch.device | str) -> Tensor:
    """`batch` on `device`; to CUDA by way of pinned memory, so that neither side waits for the copy."""
    if torch.device(device).type == "cuda":
        batch = batch.pin_memory()
    return batch.to(device, non_blocking=True)


def to_image(tensor: Tensor, *, dtype: DTypeLike = np.uint8) -> Image:
    """`tensor` (C, H, W) in [-1, 1] as an image (H, W, C) of `dtype`, uint8 or uint16.

    Values are rounded to the nearest step and clipped. (The published code truncates, which darkens by half
    a step on average, and wraps around outside the range.)
    """
    image: Image = to_images(tensor[None], dtype=dtype)[0]
    return image


def to_images(batch: Tensor, *, dtype: DTypeLike = np.uint8) -> Image:
    """`batch` (B, C, H, W) in [-1, 1] as one array (B, H, W, C) of `dtype`.

    Rounded and clipped on its own device, so that bytes travel instead of floats.
    """
    top = np.iinfo(dtype).max
    scaled = batch.detach().float().add(1).mul_(top / 2).round_().clamp_(0, top)
    # int32, because torch has hardly any arithmetic for uint16.
    whole = scaled.to(torch.uint8 if top == 255 else torch.int32).permute(0, 2, 3, 1).contiguous()
    images: Image = whole.cpu().numpy().astype(dtype, copy=False)
    return images


def _whole(image: Image) -> Tensor:
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"an image is uint8 or uint16, not {image.dtype}")
    # A copy where the array is read-only: torch shares the memory, and warns.
    array = np.ascontiguousarray(image)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _to_unit(whole: Tensor, *, memory_format: torch.memory_format) -> Tensor:
    top = 65535 if whole.dtype == torch.uint16 else 255
    return whole.to(torch.float32, memory_format=memory_format).div_(top / 2).sub_(1)
