"""What keys and shapes do not tell of the published networks: slopes, dropout, widths, order, biases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, Network, PatchGAN, ResNet, UNet, init_weights
from p2pcli.nets.inpainting import GlobalPatchDiscriminator
from p2pcli.nets.spade import SPADEGenerator, sample_style

EVERY = {**GENERATORS, **DISCRIMINATORS, **ENCODERS}


def on_meta(network: type[Network], **options: Any) -> Network:
    with torch.device("meta"):
        return network(**options)


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in EVERY), ("patchgan", {"receptive_field": 1})]
)
def test_every_leaky_relu_has_the_published_slope(name: str, options: dict[str, Any]) -> None:
    layers = [m for m in on_meta(EVERY[name], **options).modules() if isinstance(m, nn.LeakyReLU)]
    assert {layer.negative_slope for layer in layers} <= {0.2}


@pytest.mark.parametrize(("network", "count"), [(UNet, 3), (ResNet, 9)])
def test_every_dropout_drops_one_half(network: type[Network], count: int) -> None:
    layers = [m for m in on_meta(network, dropout=True).modules() if isinstance(m, nn.Dropout)]
    assert [layer.p for layer in layers] == [0.5] * count


@pytest.mark.parametrize(("norm", "biases"), [("batch", 1), ("none", 1), ("instance", 24)])
def test_resnet_convolutions_have_a_bias_under_instance_norm_only(norm: Any, biases: int) -> None:
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    layers = [m for m in on_meta(ResNet, norm=norm).modules() if isinstance(m, convolutions)]
    assert len(layers) == 24
    assert sum(layer.bias is not None for layer in layers) == biases


@pytest.mark.parametrize(("norm", "has_bias"), [("batch", False), ("instance", True)])
def test_the_last_layer_of_the_pixel_discriminator_has_a_bias_under_instance_norm_only(
    norm: Any, has_bias: bool
) -> None:
    keys = on_meta(PatchGAN, receptive_field=1, norm=norm).state_dict()
    assert "net.0.bias" in keys
    assert ("net.2.bias" in keys, "net.5.bias" in keys) == (has_bias, has_bias)


def widths(network: nn.Module) -> list[int]:
    return [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]


def test_discriminators_widen_to_eight_times_and_no_further() -> None:
    assert widths(on_meta(PatchGAN, receptive_field=286)) == [64, 128, 256, 512, 512, 512, 1]
    multiscale = on_meta(DISCRIMINATORS["multiscale"], layers=5, scales=1)
    assert widths(multiscale) == [64, 128, 256, 512, 512, 512, 1]


@pytest.mark.parametrize(
    ("doublings", "sides"),
    [
        ("normal", [2, 4, 4, 8, 16, 32, 64]),
        ("more", [2, 4, 8, 16, 32, 64, 128]),
        ("most", [2, 4, 8, 16, 32, 64, 128, 256]),
    ],
)
def test_spade_doubles_before_every_block_but_the_first(doublings: Any, sides: list[int]) -> None:
    network, seen = SPADEGenerator(input_channels=2, channels=2, hidden=1, doublings=doublings).eval(), []
    for block in network.children():
        if block not in (network.fc, network.conv_img):
            block.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[2]))
    with torch.no_grad():
        network(torch.zeros(1, 2, sides[-1], sides[-1]))
    assert seen == sides


def test_the_style_encoder_is_six_rectified_layers_over_256_px() -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["spade_style"](channels=1).eval()
    image = torch.rand(1, 3, 40, 60) * 2 - 1
    x = encoder.layer1(F.interpolate(image, (256, 256), mode="bilinear", align_corners=False))
    for number in range(2, 7):
        x = encoder.get_submodule(f"layer{number}")(F.leaky_relu(x, 0.2))
    x = F.leaky_relu(x, 0.2).view(1, -1)
    mean, log_variance = encoder(image)
    torch.testing.assert_close(mean, encoder.fc_mu(x))
    torch.testing.assert_close(log_variance, encoder.fc_var(x))


def test_a_style_is_drawn_with_its_deviation() -> None:
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 2.0]])
    noise = torch.randn(1, 2, generator=torch.Generator().manual_seed(3))
    drawn = sample_style(mean, log_variance, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn, mean + noise * torch.tensor([[1.0, torch.e]]))


def test_both_verdicts_on_a_filled_hole_come_from_one_pass_of_the_trunk() -> None:
    network, passes = GlobalPatchDiscriminator(channels=1), []
    network.trunk.register_forward_hook(lambda _module, inputs, _output: passes.append(inputs[0]))
    network(torch.zeros(2, 3, 32, 32))
    assert len(passes) == 1


@pytest.mark.parametrize(
    ("kind", "deviation"),
    [
        ("normal", 0.02),
        ("xavier", 0.02 * (2 / (32 * 16 + 64 * 16)) ** 0.5),
        ("kaiming", (2 / (32 * 16)) ** 0.5),
        ("orthogonal", 0.02 * (1 / (32 * 16)) ** 0.5),
    ],
)
def test_each_way_to_begin_has_its_deviation(kind: Any, deviation: float) -> None:
    layer = nn.Conv2d(32, 64, 4)
    init_weights(layer, kind=kind, gain=0.02)
    spread: Tensor = layer.weight.detach().std()
    assert float(spread) == pytest.approx(deviation, rel=0.03)
