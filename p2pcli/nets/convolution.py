"""Convolutions that become one matrix product where a CPU computes them in bfloat16.

Deep in a network the weights are large and the images tiny: there a general convolution spends most of its
time rearranging weights. As a product over the channels-last weights, which are a matrix as they lie, nothing
is rearranged. Elsewhere, and always in float32, these layers are torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets.windows import Geometry, overlay, windows

_FEW_POSITIONS = 1024
_MANY_WEIGHTS = 9 << 16
"""Where both bounds hold, the product is 1.5 to 7 times as fast as torch's convolution, forward and backward
together; beyond 1024 positions it falls behind. Measured with AMX, 256 to 1024 channels, 3×3 and 4×4."""


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """`x` (B, C, H, W) convolved with the square kernels `weight` (K, C, k, k)."""
    geometry = Geometry(weight.shape[-1], stride, padding)
    if _suits_a_product(x, weight) and geometry.positions(x) <= _FEW_POSITIONS:
        result: Tensor = _Down.apply(x, weight, bias, geometry)
        return result
    return F.conv2d(x, weight, bias, stride, padding)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with a faster way to the same numbers for few positions and many weights."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `input` (B, C, H, W)."""
        geometry = _geometry_of(self) if _suits_a_product(input, self.weight) else None
        if geometry is not None and geometry.positions(input) <= _FEW_POSITIONS:
            result: Tensor = _Down.apply(input, self.weight, self.bias, geometry)
            return result
        return super().forward(input)


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with a faster way to the same numbers for few positions and many weights."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve `input` (B, C, H, W) to a larger size."""
        geometry = _geometry_of(self) if _suits_a_product(input, self.weight) else None
        positions = input.shape[0] * input.shape[2:].numel()
        if geometry is not None and output_size is None and positions <= _FEW_POSITIONS:
            margin = int(self.output_padding[0])
            result: Tensor = _Up.apply(input, self.weight, self.bias, geometry, margin)
            return result
        return super().forward(input, output_size)


def _geometry_of(layer: nn.Conv2d | nn.ConvTranspose2d) -> Geometry | None:
    """None where the layer is not square, has groups, or pads with anything but zeros."""
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return None
    each = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.output_padding)
    if any(down != right for down, right in each):
        return None
    return Geometry(layer.kernel_size[0], layer.stride[0], layer.padding[0], layer.dilation[0])


def _suits_a_product(x: Tensor, weight: Tensor) -> bool:
    return (
        weight.numel() >= _MANY_WEIGHTS
        and x.device.type == "cpu"
        and weight.is_contiguous(memory_format=torch.channels_last)
        and _computes_in_bfloat16(x, weight)
    )


def _computes_in_bfloat16(x: Tensor, weight: Tensor) -> bool:
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == weight.dtype == torch.bfloat16


class _Down(torch.autograd.Function):
    """(B, C, H, W) → (B, K, h, w) with weights (K, C, k, k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        x16, matrix = x.bfloat16(), _as_matrix(weight)
        ctx.save_for_backward(x16, matrix)
        ctx.geometry, ctx.dtypes = geometry, (x.dtype, weight.dtype)
        # Written into a tensor of its own: autograd lets no view leave, as the next layer works in place.
        shape = (x.shape[0], weight.shape[0], *geometry.reduced(x.shape[2], x.shape[3]))
        y = torch.empty(shape, dtype=torch.bfloat16, memory_format=torch.channels_last)
        if bias is None:
            torch.mm(windows(x16, geometry), matrix.t(), out=_as_rows(y))
        else:
            torch.addmm(bias.bfloat16(), windows(x16, geometry), matrix.t(), out=_as_rows(y))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x16, matrix = ctx.saved_tensors
        rows = _as_rows(gradients[0].bfloat16())
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = overlay(rows @ matrix, ctx.geometry, shape=x16.shape).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            kernel = ctx.geometry.kernel
            of_weight = _as_weight(rows.t() @ windows(x16, ctx.geometry), kernel).to(ctx.dtypes[1])
        return of_x, of_weight, _of_bias(rows, ctx.needs_input_grad[2]), None


class _Up(torch.autograd.Function):
    """(B, C, h, w) → (B, K, H, W) with weights (C, K, k, k): the transpose of `_Down`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, margin: int
    ) -> Tensor:
        rows, matrix = _as_rows(x.bfloat16()), _as_matrix(weight)
        ctx.save_for_backward(rows, matrix)
        ctx.geometry, ctx.shape, ctx.dtypes = geometry, x.shape, (x.dtype, weight.dtype)
        size = (geometry.enlarged(side, margin=margin) for side in x.shape[2:])
        shape = torch.Size((x.shape[0], weight.shape[1], *size))
        return overlay(rows @ matrix, geometry, shape=shape, bias=bias)

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        rows, matrix = ctx.saved_tensors
        gradient = gradients[0].bfloat16()
        found = windows(gradient, ctx.geometry)
        batch, _, height, width = ctx.shape
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _as_images(found @ matrix.t(), batch, height, width).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            of_weight = _as_weight(rows.t() @ found, ctx.geometry.kernel).to(ctx.dtypes[1])
        return of_x, of_weight, _of_bias(_as_rows(gradient), ctx.needs_input_grad[2]), None, None


def _as_matrix(weight: Tensor) -> Tensor:
    """(K, C, k, k), channels last, as bfloat16 (K, k·k·C): a view of the bytes as they lie."""
    return weight.bfloat16().permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _as_weight(matrix: Tensor, kernel: int) -> Tensor:
    """(K, k·k·C) as (K, C, k, k), channels last."""
    return matrix.view(matrix.shape[0], kernel, kernel, -1).permute(0, 3, 1, 2)


def _as_rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B·H·W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_images(rows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """(B·H·W, C) as (B, C, H, W), channels last."""
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _of_bias(rows: Tensor, is_wanted: bool) -> Tensor | None:
    return rows.sum(0, dtype=torch.float32) if is_wanted else None
