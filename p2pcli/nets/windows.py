"""The windows that a convolution looks through, as rows of a matrix, and rows laid over one another again."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Geometry(NamedTuple):
    """Where the windows of a square kernel lie, in pixels."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Side of a window, its gaps included."""
        return self.dilation * (self.kernel - 1) + 1

    def reduced(self, height: int, width: int) -> tuple[int, int]:
        """How many windows lie below and beside one another in a picture of that size."""
        down, right = ((s + 2 * self.padding - self.reach) // self.stride + 1 for s in (height, width))
        return down, right

    def enlarged(self, count: int, *, margin: int = 0) -> int:
        """Side of a picture that so many windows make, `margin` px wider at its end."""
        return (count - 1) * self.stride + self.reach - 2 * self.padding + margin

    def positions(self, x: Tensor) -> int:
        """How many windows all samples of `x` (B, C, H, W) have."""
        down, right = self.reduced(x.shape[2], x.shape[3])
        return x.shape[0] * down * right


def windows(x: Tensor, geometry: Geometry) -> Tensor:
    """The windows of `x` (B, C, H, W), zeros around it, as (B·h·w, k·k·C): one row each."""
    kernel, stride, padding, dilation = geometry
    down, right = geometry.reduced(x.shape[2], x.shape[3])
    pixels = x.permute(0, 2, 3, 1)
    padded = F.pad(pixels, (0, 0, *[padding] * 4)) if padding else pixels.contiguous()
    of_sample, of_row, of_pixel, of_channel = padded.stride()
    shape = (x.shape[0], down, right, kernel, kernel, x.shape[1])
    between = (of_sample, of_row * stride, of_pixel * stride)
    strides = (*between, of_row * dilation, of_pixel * dilation, of_channel)
    return padded.as_strided(shape, strides).reshape(-1, kernel * kernel * x.shape[1])


def overlay(rows: Tensor, geometry: Geometry, *, shape: torch.Size, bias: Tensor | None = None) -> Tensor:
    """The transpose of `windows`: (B·h·w, k·k·C) summed where windows overlap, as `shape` (B, C, H, W).

    What lies over a pixel is summed in float32 with `bias` (C,) and rounded once.
    """
    kernel, stride, padding, dilation = geometry
    batch, channels, height, width = shape
    down, right = geometry.reduced(height, width)
    total = torch.zeros(batch, height + 2 * padding, width + 2 * padding, channels, dtype=torch.float32)
    if bias is not None:
        total += bias
    # Where the stride divides the kernel, blocks of stride × stride pixels lie beside one another.
    block = stride if dilation == 1 and kernel % stride == 0 else 1
    steps = kernel // block
    parts = rows.view(batch, down, right, steps, block, steps, block, channels).permute(
        3, 5, 0, 1, 4, 2, 6, 7
    )
    for row in range(steps):
        for column in range(steps):
            _beside(total, row * block * dilation, column * block * dilation, geometry, parts[row, column])
    pixels = total[:, padding : padding + height, padding : padding + width]
    return pixels.permute(0, 3, 1, 2).to(rows.dtype, memory_format=torch.channels_last)


def _beside(total: Tensor, top: int, left: int, geometry: Geometry, part: Tensor) -> None:
    """Add `part` (B, h, b, w, b, C) to blocks of b × b pixels of `total`, the first at `top`, `left`."""
    _, down, block, right, _, _ = part.shape
    if block > 1:
        there = total[:, top : top + down * block, left : left + right * block]
        there.unflatten(2, (right, block)).unflatten(1, (down, block)).add_(part)  # type: ignore[no-untyped-call]
    else:
        stride = geometry.stride
        rows, columns = slice(top, top + (down - 1) * stride + 1, stride), left + (right - 1) * stride + 1
        total[:, rows, left:columns:stride] += part[:, :, 0, :, 0]
