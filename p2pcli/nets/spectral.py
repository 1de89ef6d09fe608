"""A convolution divided by its largest singular value, under the keys the published networks have."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2pcli.nets.convolution import Conv2d, convolve

_EPSILON = 1e-12


class SpectralConv2d(nn.Module):
    """Convolution with spectral normalisation (Miyato et al. 2018, 1802.05957, algorithm 1).

    Training runs one power iteration per forward pass, in float32; evaluation uses the stored vectors, so
    that imported weights give the published outputs. State: `weight_orig`, `weight_u`, `weight_v` and `bias`.
    A module of its own instead of torch's hook: a hooked module cannot be copied, as an EMA needs, after a
    forward pass.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        *,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        plain = nn.Conv2d(input_channels, output_channels, kernel_size, stride, padding, bias=bias)
        self.stride, self.padding = stride, padding
        self.weight_orig = nn.Parameter(plain.weight.detach())
        self.bias = plain.bias
        rows, columns = self.weight_orig.flatten(1).shape
        self.register_buffer("weight_u", _unit_vector(rows))
        self.register_buffer("weight_v", _unit_vector(columns))

    @property
    def weight(self) -> Tensor:
        """The parameter behind the normalised weight: what initialisation fills."""
        return self.weight_orig

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` (B, input_channels, H, W) with the normalised weight."""
        return convolve(x, self._normalised(), self.bias, stride=self.stride, padding=self.padding)

    def folded(self) -> nn.Conv2d:
        """A plain convolution with the normalised weight as it is now: the same results, for inference."""
        weight = self._normalised().detach()
        rows, columns, size = weight.shape[0], weight.shape[1], weight.shape[2]
        plain = Conv2d(columns, rows, size, self.stride, self.padding, bias=self.bias is not None)
        plain.weight = nn.Parameter(weight, requires_grad=False)
        if self.bias is not None:
            plain.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return plain.to(weight.device)

    def draw_vectors(self, *, generator: torch.Generator) -> None:
        """Begin the power iteration anew from `generator`, so that a run depends on its seed alone."""
        for vector in (self.weight_u, self.weight_v):
            drawn = torch.randn(vector.shape[0], generator=generator)
            vector.copy_(F.normalize(drawn, dim=0, eps=_EPSILON))

    def _normalised(self) -> Tensor:
        weight = self.weight_orig
        # bfloat16 would round σ, and with it the whole layer, by up to 0.4 %.
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                matrix = _as_it_lies(weight)
                if self.training:
                    left = F.normalize(matrix.t() @ self.weight_u, dim=0, eps=_EPSILON)
                    self.weight_v.copy_(_as_published(left, weight))
                # A copy: the next pass changes the vectors before this one's backward pass.
                right = _as_lying(self.weight_v, weight).clone()
                product = matrix @ right
                if self.training:
                    self.weight_u.copy_(F.normalize(product, dim=0, eps=_EPSILON))
                left = self.weight_u.clone()
            divided: Tensor = _Divided.apply(weight, left, right, left @ product)
        return divided


class _Divided(torch.autograd.Function):
    """W / σ, where σ = uᵀWv with constant u and v: the gradient in two passes over the weights."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, left: Tensor, right: Tensor, sigma: Tensor) -> Tensor:
        ctx.save_for_backward(weight, left, right, sigma)
        return weight / sigma

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        weight, left, right, sigma = ctx.saved_tensors
        lying = _as_it_lies(gradients[0].contiguous(memory_format=_layout(weight)))
        share = torch.dot(lying.reshape(-1), _as_it_lies(weight).reshape(-1)) / sigma
        # d(W/σ) = (dW − W/σ · uᵀdWv) / σ, transposed.
        flat = torch.addr(lying, left, right * -share) / sigma
        return _as_weight(flat, weight), None, None, None


def _layout(weight: Tensor) -> torch.memory_format:
    is_last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def _as_it_lies(weight: Tensor) -> Tensor:
    """(K, C, k, k) as K rows, each in the order that it has in memory: a view, where flattening may copy."""
    if _layout(weight) == torch.channels_last:
        weight = weight.permute(0, 2, 3, 1)
    return weight.reshape(weight.shape[0], -1)


def _as_weight(rows: Tensor, like: Tensor) -> Tensor:
    """The transpose of `_as_it_lies`."""
    count, channels, height, width = like.shape
    if _layout(like) == torch.channels_last:
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
    return rows.view(like.shape)


def _as_lying(vector: Tensor, weight: Tensor) -> Tensor:
    """`vector` (C·k·k) in the order of the rows of `weight` in memory."""
    return _as_it_lies(vector.view(1, *weight.shape[1:]).contiguous(memory_format=_layout(weight)))[0]


def _as_published(vector: Tensor, weight: Tensor) -> Tensor:
    """The reverse of `_as_lying`."""
    return _as_weight(vector[None], weight[:1]).flatten()


def _unit_vector(length: int) -> Tensor:
    vector = torch.randn(length)
    # On the meta device there is nothing to normalise, and the attempt takes a second.
    return vector if vector.is_meta else F.normalize(vector, dim=0, eps=_EPSILON)


def conv2d(
    input_channels: int,
    output_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
    spectral_norm: bool = False,
) -> nn.Module:
    """A convolution, plain or with spectral normalisation."""
    if spectral_norm:
        return SpectralConv2d(
            input_channels,
            output_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            bias=bias,
        )
    return Conv2d(input_channels, output_channels, kernel_size, stride, padding, bias=bias)
