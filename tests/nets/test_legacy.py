"""What lies around a state dict in other projects' files comes off, by one list, and is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from p2pcli.nets import PatchGAN, ResNet
from p2pcli.nets.detect import detect
from p2pcli.nets.legacy import networks_in

State = dict[str, Tensor]


def under(prefix: str) -> Callable[[State], dict[str, Any]]:
    return lambda state: {f"{prefix}{name}": one for name, one in state.items()}


def averaged_by_torch(state: State) -> dict[str, Any]:
    return {"n_averaged": torch.tensor(7), **under("module.")(state)}


def averaged_by_ema_pytorch(state: State) -> dict[str, Any]:
    first = under("online_model.")({name: one * 0 for name, one in state.items()})
    return {"initted": torch.tensor(True), "step": torch.tensor(3), **first, **under("ema_model.")(state)}


def of_lightning(state: State) -> dict[str, Any]:
    others = {"discriminator.model.0.weight": torch.zeros(2, 3, 4, 4), "vgg.0.weight": torch.zeros(1)}
    return {"state_dict": {**others, **under("generator.")(state)}, "epoch": 3, "global_step": 9}


WRAPPED: dict[str, tuple[Callable[[State], dict[str, Any]], str]] = {
    "state_dict": (lambda state: {"state_dict": state, "epoch": 3}, "lay under 'state_dict'"),
    "params": (lambda state: {"params": state}, "lay under 'params'"),
    "params_ema": (lambda state: {"params": {"x": torch.zeros(1)}, "params_ema": state}, "'params_ema'"),
    "generator": (lambda state: {"generator": state, "discriminator": state}, "beside it: discriminator"),
    "module.": (under("module."), "prefix 'module.' on every key"),
    "_orig_mod.": (under("_orig_mod."), "prefix '_orig_mod.' on every key"),
    "both": (under("module._orig_mod."), "prefix '_orig_mod.'"),
    "generator.": (under("generator."), "prefix 'generator.' on every key"),
    "ema_model.": (under("ema_model."), "prefix 'ema_model.' on every key"),
    "n_averaged": (averaged_by_torch, "'n_averaged' left out"),
    "ema_pytorch": (averaged_by_ema_pytorch, "prefix 'ema_model.'; left out, beside it: online_model"),
    "lightning": (of_lightning, "prefix 'generator.'; left out, beside it: discriminator, vgg"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_lies_around_weights_comes_off_and_is_said(name: str) -> None:
    wrap, said = WRAPPED[name]
    network = ResNet(channels=2, blocks=1)
    found = detect(wrap(network.state_dict()))
    assert found.network == "resnet"
    assert all(torch.equal(found.state[key], one) for key, one in network.state_dict().items())
    assert any(said in quirk for quirk in found.quirks), found.quirks


@pytest.mark.parametrize("names", [("G_A", "G_B"), ("netG_A", "netG_B")])
@pytest.mark.parametrize("is_flat", [False, True])
def test_both_ways_of_cyclegan_in_one_file_are_two_networks(names: tuple[str, str], is_flat: bool) -> None:
    states = {name: ResNet(channels=2, blocks=1).state_dict() for name in names}
    flat = {f"{name}.{key}": one for name, state in states.items() for key, one in state.items()}
    found = networks_in(flat if is_flat else {"state_dict": states})
    assert sorted(found) == ["G_A", "G_B"]
    assert all(detect(state).network == "resnet" for state in found.values())


def test_one_network_alone_is_not_both_ways() -> None:
    assert networks_in({"G_A": nn.Linear(1, 1).state_dict()}) == {}


@pytest.mark.parametrize("layers", [0, 1, 2, 6, 7, 8, 10])
def test_a_patchgan_of_any_n_layers_is_known(layers: int) -> None:
    widths = [2 * min(2**index, 8) for index in range(1, layers + 1)] or [2]
    parts: list[nn.Module] = [nn.Conv2d(6, 2, 4, 2, 1), nn.LeakyReLU(0.2)]
    before = 2
    for index, width in enumerate(widths, start=1):
        stride = 2 if index < len(widths) else 1
        norm = nn.BatchNorm2d(width)
        parts += [nn.Conv2d(before, width, 4, stride, 1, bias=False), norm, nn.LeakyReLU(0.2)]
        before = width
    published = nn.ModuleDict({"model": nn.Sequential(*parts, nn.Conv2d(before, 1, 4, 1, 1))}).eval()
    found = detect(published.state_dict())
    network = found.build().eval()
    assert isinstance(network, PatchGAN)
    side = min(network.size_needs.minimum, 768)
    if side == network.size_needs.minimum:
        x = torch.rand(1, 6, side, side)
        with torch.no_grad():
            assert torch.allclose(network(x), published["model"](x), atol=1e-6)
    assert found.options["widens"] == (layers != 0)
