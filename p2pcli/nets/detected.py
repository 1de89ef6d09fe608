"""A network that was recognised, and how readers of state dicts look at keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS
from p2pcli.nets.blocks import Network, Norm, has_bias

Role = Literal["generator", "discriminator", "encoder"]
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Detected:
    """A network that was recognised, and its weights as it takes them."""

    network: str
    """Its name in `GENERATORS`, `DISCRIMINATORS` or `ENCODERS`, by role."""
    role: Role
    options: dict[str, Any]
    """Keyword arguments of its constructor."""
    state: dict[str, Tensor] = field(default_factory=dict, repr=False)
    quirks: tuple[str, ...] = ()
    """What was undone, added or dropped, in words."""
    invisible: tuple[str, ...] = ()
    """Options that keys cannot tell; `options` holds the published default."""

    def build(self) -> Network:
        """The network with its weights, on the CPU."""
        network = self.skeleton()
        network.load_state_dict(self.state)
        return network

    def skeleton(self) -> Network:
        """The network with weights of its own, on torch's default device."""
        registry = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "encoder": ENCODERS}[self.role]
        return registry[self.network](**self.options)


def norm_at(state: State, prefix: str, *, biased: bool) -> Norm:
    """The norm at `prefix`. Instance norm and none leave no key; published, only instance has biases."""
    if f"{prefix}.weight" in state and state[f"{prefix}.weight"].dim() == 1:
        return "batch" if f"{prefix}.running_mean" in state else "instance_affine"
    return "instance" if biased or f"{prefix}.running_mean" in state else "none"


def bias_beside(norm: Norm, biased: bool) -> bool | None:
    """None where the published rule holds."""
    return None if biased == has_bias(norm) else biased


def weight_at(state: State, prefix: str) -> Tensor | None:
    """The weight at `prefix`, under spectral norm the one behind it."""
    return state.get(f"{prefix}.weight", state.get(f"{prefix}.weight_orig"))


def is_convolution(state: State, prefix: str) -> bool:
    """True where `prefix` is a convolution, in either direction."""
    weight = weight_at(state, prefix)
    return weight is not None and weight.dim() == 4


def numbers_in(state: State, pattern: str) -> list[int]:
    """The distinct numbers that the group in `pattern` matches at the start of keys, in order."""
    found = (re.match(pattern, key) for key in state)
    return sorted({int(match[1]) for match in found if match})
