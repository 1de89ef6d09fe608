"""Every generator and discriminator: shapes, gradients, published keys and parameter counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from p2pcli.nets import DISCRIMINATORS, GENERATORS, Network, PatchGAN, ResNet, UNet, init_weights

SMALL: dict[str, list[dict[str, Any]]] = {
    "unet": [
        {"depth": 5},
        {"depth": 6, "norm": "instance"},
        {"depth": 5, "norm": "none"},
        {"depth": 6, "skips": False},
        {"depth": 5, "input_channels": 1, "output_channels": 2},
        {"depth": 6, "upsampling": "resize"},
        {"depth": 5, "upsampling": "shuffle", "norm": "instance"},
    ],
    "resnet": [{"blocks": 2}, {"blocks": 1, "norm": "batch", "dropout": True}, {"norm": "none", "blocks": 1}],
    "patchgan": [
        {"receptive_field": field, "norm": norm}
        for field in (1, 16, 70)
        for norm in ("batch", "instance", "none")
    ],
}
CASES = [(name, options) for name in SMALL for options in SMALL[name]]


def small(name: str, options: dict[str, Any]) -> Network:
    network = {**GENERATORS, **DISCRIMINATORS}[name](channels=2, **options)
    init_weights(network, gain=0.2)
    return network


def on_meta(network: type[Network], **options: Any) -> Network:
    with torch.device("meta"):
        return network(**options)


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in GENERATORS])
def test_a_generator_keeps_the_size_and_stays_in_range(name: str, options: dict[str, Any]) -> None:
    network = small(name, options)
    x = torch.rand(2, options.get("input_channels", 3), 64, 128) * 2 - 1
    y = network(x)
    assert y.shape == (2, options.get("output_channels", 3), 64, 128)
    assert y.abs().max() <= 1


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = small(name, options)
    channels = options.get("input_channels", 6 if name in DISCRIMINATORS else 3)
    y = network(torch.rand(2, channels, 64, 64) * 2 - 1)
    (y * torch.rand_like(y)).sum().backward()
    untouched = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert untouched == []


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_smallest_allowed_size_works_in_sample_mode(name: str, options: dict[str, Any]) -> None:
    network = small(name, options).eval()
    side = network.size_needs.minimum
    assert side % network.size_needs.multiple_of == 0
    channels = options.get("input_channels", 6 if name in DISCRIMINATORS else 3)
    assert network(torch.zeros(1, channels, side, side)).isfinite().all()


@pytest.mark.parametrize(
    ("network", "options", "parameters", "tensors"),
    [
        (UNet, {}, 54_413_955, 82),
        (UNet, {"norm": "instance"}, 54_409_603, 32),
        (UNet, {"depth": 7}, 41_828_995, 70),
        (UNet, {"depth": 7, "norm": "instance"}, 41_825_667, 28),
        (ResNet, {}, 11_378_179, 48),
        (ResNet, {"blocks": 6}, 7_837_699, 36),
        (PatchGAN, {}, 2_768_705, 22),
        (PatchGAN, {"norm": "instance", "input_channels": 3}, 2_764_737, 10),
    ],
)
def test_parameters_and_tensors_are_as_many_as_published(
    network: type[Network], options: dict[str, Any], parameters: int, tensors: int
) -> None:
    built = on_meta(network, **options)
    assert sum(p.numel() for p in built.parameters()) == parameters
    assert len(built.state_dict()) == tensors


@pytest.mark.parametrize("depth", [5, 6, 7, 8, 9])
def test_unet_keys_follow_the_published_grammar(depth: int) -> None:
    shapes = {key: tuple(value.shape) for key, value in on_meta(UNet, depth=depth).state_dict().items()}
    innermost = "model.model.1.model" + ".3.model" * (depth - 2)
    assert shapes["model.model.0.weight"] == (64, 3, 4, 4)
    assert shapes["model.model.3.weight"] == (128, 3, 4, 4)
    assert shapes["model.model.1.model.1.weight"] == (128, 64, 4, 4)
    assert shapes["model.model.1.model.5.weight"] == (256, 64, 4, 4)
    assert shapes[f"{innermost}.1.weight"] == shapes[f"{innermost}.3.weight"] == (512, 512, 4, 4)
    assert shapes[f"{innermost}.4.running_mean"] == (512,)
    assert [
        key for key in shapes if key.endswith("bias") and len(shapes[key]) == 1 and shapes[key] == (3,)
    ] == ["model.model.3.bias"]


@pytest.mark.parametrize(("norm", "biases"), [("batch", 1), ("none", 1), ("instance", 16)])
def test_unet_convolutions_have_a_bias_under_instance_norm_only(norm: Any, biases: int) -> None:
    convolutions = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    layers = [m for m in on_meta(UNet, norm=norm).modules() if isinstance(m, convolutions)]
    assert sum(layer.bias is not None for layer in layers) == biases


def test_unet_dropout_sits_on_the_inner_levels_but_the_innermost_and_has_no_keys() -> None:
    dropping = on_meta(UNet, dropout=True)
    places = [name for name, m in dropping.named_modules() if isinstance(m, torch.nn.Dropout)]
    assert places == ["model.model.1.model" + ".3.model" * level + ".7" for level in (5, 4, 3)]
    assert list(dropping.state_dict()) == list(on_meta(UNet, dropout=False).state_dict())


def test_without_skips_decoder_levels_see_half_the_channels() -> None:
    shapes = {k: tuple(v.shape) for k, v in on_meta(UNet, skips=False).state_dict().items()}
    assert shapes["model.model.3.weight"] == (64, 3, 4, 4)
    assert shapes["model.model.1.model.5.weight"] == (128, 64, 4, 4)


@pytest.mark.parametrize(("dropout", "second"), [(False, 5), (True, 6)])
def test_resnet_keys_tell_whether_it_has_dropout(dropout: bool, second: int) -> None:
    keys = set(on_meta(ResNet, dropout=dropout).state_dict())
    assert {f"model.{block}.conv_block.{second}.weight" for block in range(10, 19)} <= keys
    assert {
        "model.1.weight",
        "model.4.weight",
        "model.7.weight",
        "model.19.weight",
        "model.22.weight",
    } <= keys
    assert "model.26.bias" in keys


def test_patchgan_keys_are_the_published_ones() -> None:
    keys = [key for key in on_meta(PatchGAN).state_dict() if key.endswith("weight")]
    assert keys == [f"model.{i}.weight" for i in (0, 2, 3, 5, 6, 8, 9, 11)]


def test_pixel_discriminator_keys_are_the_published_ones() -> None:
    keys = [k for k in on_meta(PatchGAN, receptive_field=1).state_dict() if k.endswith(("weight", "0.bias"))]
    assert keys == ["net.0.weight", "net.0.bias", "net.2.weight", "net.3.weight", "net.5.weight"]


@pytest.mark.parametrize(("field", "side"), [(1, 256), (16, 126), (70, 30), (286, 6)])
def test_patchgan_gives_one_logit_for_each_patch(field: int, side: int) -> None:
    logits = PatchGAN(channels=2, receptive_field=field)(torch.zeros(1, 6, 256, 256))
    assert logits.shape == (1, 1, side, side)


@pytest.mark.parametrize("field", [16, 34, 70, 142, 286])
def test_one_logit_depends_on_exactly_its_receptive_field(field: int) -> None:
    network = PatchGAN(channels=1, receptive_field=field, norm="none")
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    x = torch.zeros(1, 6, 576, 576, requires_grad=True)
    logits = network(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == field


@pytest.mark.parametrize("kind", ["normal", "xavier", "kaiming", "orthogonal"])
def test_the_same_seed_draws_the_same_weights(kind: Any) -> None:
    a, b, other = (UNet(channels=2, depth=5) for _ in range(3))
    init_weights(a, kind=kind, seed=1)
    init_weights(b, kind=kind, seed=1)
    init_weights(other, kind=kind, seed=2)
    first = next(iter(a.state_dict()))
    assert all(torch.equal(a.state_dict()[key], b.state_dict()[key]) for key in a.state_dict())
    assert not torch.equal(a.state_dict()[first], other.state_dict()[first])


def test_normal_init_has_the_published_spread_and_no_biases() -> None:
    network = PatchGAN(channels=32)
    init_weights(network, kind="normal", gain=0.02)
    weights = network.state_dict()
    assert weights["model.8.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert weights["model.9.weight"].mean() == pytest.approx(1, abs=0.01)
    assert weights["model.9.weight"].std() == pytest.approx(0.02, rel=0.2)
    assert not any(weights[key].any() for key in weights if key.endswith("bias"))


def test_a_receptive_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="receptive field of 71 px; known: 1, 16, 34, 70, 142, 286"):
        PatchGAN(receptive_field=71)
