"""A picture has the same bits alone and in any batch, and batches are taken at once where they can be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from p2pcli.inference.batch_invariance import BatchInvariant, batch_invariant, sums_alike
from p2pcli.inference.modes import set_modes
from p2pcli.inference.precision import reduced_copy
from p2pcli.nets import GENERATORS, init_weights
from p2pcli.nets.convolution import Conv2d, ConvTranspose2d
from p2pcli.nets.spade import STYLE_SIZE

FAMILY: list[tuple[str, dict[str, Any], int]] = [
    ("unet", {"depth": 5, "channels": 4}, 32),
    ("unet", {"depth": 6, "channels": 16, "norm": "instance"}, 64),
    ("unet", {"depth": 5, "channels": 8, "upsampling": "resize"}, 32),
    ("unet", {"depth": 5, "channels": 8, "upsampling": "shuffle"}, 32),
    ("resnet", {"channels": 16, "blocks": 1}, 64),
    ("resnet", {"channels": 8, "blocks": 1, "upsampling": "resize", "norm": "batch"}, 32),
    ("pix2pixhd_global", {"channels": 8, "downsamplings": 2, "blocks": 1}, 32),
    ("pix2pixhd_local", {"channels": 8, "downsamplings": 1, "blocks": 1, "local_blocks": 1}, 32),
    ("spade", {"input_channels": 5, "channels": 4, "hidden": 8}, 64),
    ("spade", {"input_channels": 5, "channels": 4, "hidden": 8, "norm": "instance"}, 64),
    ("srresnet", {"channels": 16, "blocks": 2}, 24),
    ("inpainting", {"input_channels": 4, "channels": 8, "blocks": 1}, 32),
    ("progressive", {"depth": 4, "growths": 2, "channels": 4}, 32),
]


def pictures(count: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    values = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


class ByBatch(nn.Conv2d):
    """Adds up its channels one by one in float32, on any processor; in batches of three from the last on."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.cat([self._summed(one, backwards=len(input) == 3) for one in input.chunk(len(input))])

    def _summed(self, one: Tensor, *, backwards: bool) -> Tensor:
        each = [
            F.conv2d(x.clone(), weight.clone(), stride=self.stride, padding=self.padding)
            for x, weight in zip(one.float().split(1, 1), self.weight.float().split(1, 1), strict=True)
        ]
        return sum(reversed(each) if backwards else each).to(one.dtype)


class Counting(nn.Conv2d):
    """Counts the pictures of each of its calls."""

    calls: list[int]

    def forward(self, input: Tensor) -> Tensor:
        # One by one whatever the processor, so that its own choice plays no part.
        self.calls.append(len(input))
        return torch.cat([super(Counting, self).forward(one.clone()) for one in input.chunk(len(input))])


def test_every_generator_is_tried_here():
    assert {name for name, _, _ in FAMILY} == {*GENERATORS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "options", "side"), FAMILY)
def test_a_picture_has_the_same_bits_alone_and_in_any_batch(name, options, side, dtype):
    torch.manual_seed(0)
    network = GENERATORS[name](**options)
    init_weights(network, gain=0.2)
    set_modes(network, statistics="sample", dropout=False)
    running = batch_invariant(reduced_copy(network, dtype), outcomes={})
    batch = pictures(8, options.get("input_channels", 3), side, dtype)
    with torch.no_grad():
        alone = torch.cat([running(one.clone()) for one in batch.chunk(8)])
        for count in (2, 3, 5, 8):
            # First one by one, then after a trial, then as the trial said.
            for _ in range(3):
                assert torch.equal(running(batch[:count].clone()), alone[:count])


def test_a_style_beside_the_picture_changes_nothing_of_that():
    network = GENERATORS["spade"](input_channels=5, channels=4, hidden=8, style_grid=(2, 2))
    init_weights(network, gain=0.2)
    set_modes(network, statistics="sample", dropout=False)
    running = batch_invariant(reduced_copy(network, torch.float32), outcomes={})
    batch, styles = pictures(5, 5, 64, torch.float32), torch.randn(5, STYLE_SIZE)
    pairs = zip(batch.chunk(5), styles.chunk(5), strict=True)
    with torch.no_grad():
        alone = torch.cat([running(one.clone(), style.clone()) for one, style in pairs])
        for _ in range(3):
            assert torch.equal(running(batch, styles), alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Conv2d(1, 64, 7, padding=3, padding_mode="reflect"),
        nn.Conv2d(12, 6, 1, bias=False),
        nn.Conv2d(8, 8, 3, groups=4),
        Conv2d(64, 64, 4, 2, 1),
        ConvTranspose2d(32, 16, 4, 2, 1),
        nn.ConvTranspose2d(16, 3, 3, 2, 1, output_padding=1),
    ],
    ids=str,
)
def test_a_layer_that_passes_its_trial_keeps_the_bits(layer, dtype):
    layer = copy.deepcopy(layer).to(dtype).requires_grad_(False)
    for side in (4, 9, 32):
        batch = pictures(5, layer.in_channels, side, dtype)
        alone = torch.cat([layer(one.clone()) for one in batch.chunk(5)])
        for count in (2, 3, 5):
            part = batch[:count].clone()
            assert not sums_alike(layer, part) or torch.equal(layer(part), alone[:count])


@pytest.mark.parametrize("channels", [3, 4, 5, 16, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_trial_finds_another_order_of_the_sums(channels, dtype):
    layer = ByBatch(channels, 16, 3, padding=1).to(dtype)
    assert sums_alike(layer, pictures(2, channels, 64, dtype))
    assert not sums_alike(layer, pictures(3, channels, 64, dtype))


def test_a_trial_leaves_layer_and_random_numbers_alone():
    layer = nn.Conv2d(8, 8, 3)
    weights, state = copy.deepcopy(layer.state_dict()), torch.random.get_rng_state()
    sums_alike(layer, pictures(2, 8, 8, torch.float32))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(weights[name], value) for name, value in layer.state_dict().items())


def test_a_layer_of_another_order_goes_one_by_one():
    torch.manual_seed(0)
    layer = ByBatch(16, 8, 3, padding=1).requires_grad_(False)
    network = batch_invariant(nn.Sequential(layer), outcomes={})
    batch = pictures(3, 16, 8, torch.float32)
    alone = torch.cat([layer(one.clone()) for one in batch.chunk(3)])
    assert not torch.equal(layer(batch), alone)
    for _ in range(3):
        assert torch.equal(network(batch), alone)


def test_batches_go_at_once_from_the_second_of_a_shape_on():
    layer = Counting(4, 4, 3).requires_grad_(False)
    layer.calls = []
    network = batch_invariant(nn.Sequential(layer), outcomes={})
    batch = pictures(3, 4, 8, torch.float32)
    network(batch)
    assert layer.calls == [1, 1, 1]
    network(batch)
    assert layer.calls[-1] == 3
    layer.calls.clear()
    network(batch)
    assert layer.calls == [3]
    layer.calls.clear()
    network(batch[:2].clone())
    assert layer.calls == [1, 1]


def test_layers_alike_share_their_trial():
    layers = [Counting(4, 4, 3, padding=1).requires_grad_(False) for _ in range(3)]
    for layer in layers:
        layer.calls = []
    batch_invariant(nn.Sequential(*layers), outcomes={})(pictures(3, 4, 8, torch.float32))
    assert [layer.calls[-1] for layer in layers] == [1, 3, 3]


def test_a_model_loaded_later_goes_at_once_from_its_first_batch_on():
    batch = pictures(3, 5, 11, torch.float32)
    layers = [Counting(5, 7, 3).requires_grad_(False) for _ in range(2)]
    for layer in layers:
        layer.calls = []
    earlier, later = (batch_invariant(nn.Sequential(layer)) for layer in layers)
    earlier(batch)
    earlier(batch)
    assert later(batch).shape == (3, 7, 9, 9)
    assert layers[1].calls == [3]


def test_what_is_too_large_for_a_trial_goes_one_by_one(monkeypatch):
    monkeypatch.setattr("p2pcli.inference.batch_invariance._LARGEST_BYTES", 100)
    layer = Counting(4, 4, 3).requires_grad_(False)
    layer.calls = []
    network = batch_invariant(nn.Sequential(layer), outcomes={})
    for _ in range(3):
        network(pictures(2, 4, 8, torch.float32))
    assert layer.calls == [1] * 6


def test_a_linear_layer_goes_one_by_one():
    torch.manual_seed(0)
    layer = nn.Linear(300, 20).requires_grad_(False)
    rows = torch.randn(6, 300)
    alone = torch.cat([layer(row) for row in rows.chunk(6)])
    wrapped = BatchInvariant(layer, {})
    for _ in range(3):
        assert torch.equal(wrapped(rows), alone)
