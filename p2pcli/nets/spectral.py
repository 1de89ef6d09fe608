"""A convolution divided by its largest singular value, under the keys the published networks have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-12


class SpectralConv2d(nn.Module):
    """Convolution with spectral normalisation (Miyato et al. 2018, 1802.05957, algorithm 1).

    Training runs one power iteration per forward pass; evaluation uses the stored vectors, so that imported
    weights give the published outputs. State: `weight_orig`, `weight_u`, `weight_v` and `bias`. A module of
    its own instead of torch's hook: a hooked module cannot be copied, as an EMA needs, after a forward pass.
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
        return F.conv2d(x, self._normalised(), self.bias, self.stride, self.padding)

    def folded(self) -> nn.Conv2d:
        """A plain convolution with the normalised weight as it is now: the same results, for inference."""
        weight = self._normalised().detach()
        rows, columns, size = weight.shape[0], weight.shape[1], weight.shape[2]
        plain = nn.Conv2d(columns, rows, size, self.stride, self.padding, bias=self.bias is not None)
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
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(matrix.t() @ self.weight_u, dim=0, eps=_EPSILON))
                self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=_EPSILON))
        # Clones: a second forward pass (real, then fake) changes the vectors before the first one's backward.
        sigma = self.weight_u.clone() @ matrix @ self.weight_v.clone()
        return self.weight_orig / sigma


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
    return nn.Conv2d(input_channels, output_channels, kernel_size, stride, padding, bias=bias)
