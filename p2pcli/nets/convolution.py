"""4×4 stride-2 convolutions that become one matrix product where a CPU computes them in bfloat16.

Deep in a U-Net the weights are large and the images tiny: there a general convolution spends most of its time
rearranging weights. As a product over the channels-last weights, which are a matrix as they lie, nothing is
rearranged. Elsewhere, and always in float32, both layers are torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEW_POSITIONS = 1024
_MANY_WEIGHTS = 1 << 20


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with a faster way to the same numbers for few positions and many weights."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `input` (B, C, H, W)."""
        positions = input.shape[0] * (input.shape[2] // 2) * (input.shape[3] // 2)
        if self.bias is None and _suits_a_product(self, input, positions=positions):
            result: Tensor = _Down.apply(input, self.weight)
            return result
        return super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with a faster way to the same numbers for few positions and many weights."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve `input` (B, C, H, W) to twice its size."""
        positions = input.shape[0] * input.shape[2] * input.shape[3]
        if self.bias is None and output_size is None and _suits_a_product(self, input, positions=positions):
            result: Tensor = _Up.apply(input, self.weight)
            return result
        return super().forward(input, output_size)


def _suits_a_product(layer: Conv2d | ConvTranspose2d, x: Tensor, *, positions: int) -> bool:
    weight = layer.weight
    return (
        x.device.type == "cpu"
        and positions <= _FEW_POSITIONS
        and weight.numel() >= _MANY_WEIGHTS
        and (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and (isinstance(layer, ConvTranspose2d) or (x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0))
        and weight.is_contiguous(memory_format=torch.channels_last)
        and _computes_in_bfloat16(x, weight)
    )


def _computes_in_bfloat16(x: Tensor, weight: Tensor) -> bool:
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == weight.dtype == torch.bfloat16


class _Down(torch.autograd.Function):
    """(B, C, H, W) → (B, K, H/2, W/2) with weights (K, C, 4, 4)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x16, matrix = x.bfloat16(), _as_matrix(weight)
        windows = _windows(x16)
        ctx.save_for_backward(windows, matrix)
        ctx.shape, ctx.dtypes = x.shape, (x.dtype, weight.dtype)
        # Written into a tensor of its own: autograd lets no view leave, as the next layer works in place.
        shape = (x.shape[0], weight.shape[0], x.shape[2] // 2, x.shape[3] // 2)
        y = torch.empty(shape, dtype=torch.bfloat16, memory_format=torch.channels_last)
        torch.mm(windows, matrix.t(), out=_as_rows(y))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        windows, matrix = ctx.saved_tensors
        rows = _as_rows(gradients[0].bfloat16())
        batch, _, height, width = ctx.shape
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _overlay(rows @ matrix, batch, height // 2, width // 2).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            of_weight = _as_weight(rows.t() @ windows).to(ctx.dtypes[1])
        return of_x, of_weight


class _Up(torch.autograd.Function):
    """(B, C, H, W) → (B, K, 2H, 2W) with weights (C, K, 4, 4): the transpose of `_Down`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        rows, matrix = _as_rows(x.bfloat16()), _as_matrix(weight)
        ctx.save_for_backward(rows, matrix)
        ctx.shape, ctx.dtypes = x.shape, (x.dtype, weight.dtype)
        return _overlay(rows @ matrix, x.shape[0], x.shape[2], x.shape[3])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        rows, matrix = ctx.saved_tensors
        windows = _windows(gradients[0].bfloat16())
        batch, _, height, width = ctx.shape
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _as_images(windows @ matrix.t(), batch, height, width).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            of_weight = _as_weight(rows.t() @ windows).to(ctx.dtypes[1])
        return of_x, of_weight


def _as_matrix(weight: Tensor) -> Tensor:
    """(K, C, 4, 4), channels last, as bfloat16 (K, 16·C): a view of the bytes as they lie."""
    return weight.bfloat16().permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _as_weight(matrix: Tensor) -> Tensor:
    """(K, 16·C) as (K, C, 4, 4), channels last."""
    return matrix.view(matrix.shape[0], 4, 4, -1).permute(0, 3, 1, 2)


def _as_rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B·H·W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_images(rows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(B·H·W, C) as (B, C, H, W), channels last."""
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _windows(x: Tensor) -> Tensor:
    """The 4×4 windows at every second pixel of `x` (B, C, 2H, 2W), padded by 1, as (B·H·W, 16·C)."""
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, 4, 2).unfold(2, 4, 2)
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, 16 * x.shape[1])


def _overlay(windows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """The transpose of `_windows`: (B·H·W, 16·C) summed where windows overlap, as (B, C, 2H, 2W).

    The four windows over a pixel are summed in float32 and rounded once.
    """
    blocks = windows.view(batch, height, width, 2, 2, 2, 2, -1).permute(3, 5, 0, 1, 4, 2, 6, 7)
    channels = blocks.shape[-1]
    total = torch.zeros(batch, height + 1, 2, width + 1, 2, channels, dtype=torch.float32)
    for down in (0, 1):
        for right in (0, 1):
            total[:, down : down + height, :, right : right + width] += blocks[down, right]
    pixels = total.view(batch, 2 * height + 2, 2 * width + 2, channels)[:, 1:-1, 1:-1]
    return pixels.permute(0, 3, 1, 2).to(windows.dtype, memory_format=torch.channels_last)
