"""Which number format a run gets, and where its networks lie."""

from __future__ import annotations

import pytest
import torch

from p2pcli.errors import UsageError
from p2pcli.inference.precision import pick_dtype
from p2pcli.nets import PatchGAN
from p2pcli.nets.vgg import VGG19Features
from p2pcli.training.precision import Precision, fastest_dtype


@pytest.mark.parametrize(("is_supported", "name"), [(True, "bfloat16"), (False, "float32")])
def test_auto_on_a_cpu_is_what_the_processor_computes_in(
    monkeypatch: pytest.MonkeyPatch, is_supported: bool, name: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_supported)
    assert Precision("cpu", name="auto").name == name
    assert pick_dtype("auto", torch.device("cpu")) is getattr(torch, name)


@pytest.mark.parametrize(
    ("capability", "gpu", "dtype"),
    [
        ((9, 0), "NVIDIA H100", torch.bfloat16),
        ((8, 0), "NVIDIA A100", torch.bfloat16),
        ((7, 5), "NVIDIA GeForce RTX 2080", torch.float16),
        ((7, 5), "NVIDIA GeForce GTX 1660 Ti", torch.float32),
        ((7, 0), "Tesla V100", torch.float16),
        ((6, 1), "NVIDIA GeForce GTX 1080", torch.float32),
    ],
)
def test_auto_on_cuda_follows_the_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], gpu: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: gpu)
    assert fastest_dtype(torch.device("cuda")) is dtype


@pytest.mark.parametrize(
    ("capability", "dtype"), [((8, 0), torch.bfloat16), ((7, 5), torch.float32), ((6, 1), torch.float32)]
)
def test_auto_never_translates_in_float16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype("auto", torch.device("cuda")) is dtype


def test_auto_elsewhere_is_float32() -> None:
    assert fastest_dtype(torch.device("mps")) is pick_dtype("auto", torch.device("mps")) is torch.float32


def test_float16_training_on_a_cpu_is_refused() -> None:
    with pytest.raises(UsageError, match="float16 training was asked for on cpu"):
        Precision("cpu", name="float16")


@pytest.mark.parametrize("channels_last", [True, False])
def test_placed_weights_have_the_layout(channels_last: bool) -> None:
    precision = Precision("cpu", channels_last=channels_last)
    weight = precision.place(PatchGAN(channels=4)).state_dict()["model.2.weight"]
    assert weight.is_contiguous(memory_format=precision.memory_format)
    assert precision.image(torch.zeros(2, 3, 4, 4)).is_contiguous(memory_format=precision.memory_format)


def test_float32_has_no_state_to_keep() -> None:
    precision = Precision("cpu", name="float32")
    assert precision.state_dict() == {}
    precision.load_state_dict({})


def test_layers_compute_in_the_format_inside_autocast() -> None:
    precision, convolution = Precision("cpu", name="bfloat16"), torch.nn.Conv2d(3, 3, 1)
    with precision.autocast():
        assert convolution(torch.zeros(1, 3, 2, 2)).dtype == torch.bfloat16


def test_a_fixed_network_gives_what_autocast_would_give_of_its_float32_weights() -> None:
    precision, x = Precision("cpu", name="bfloat16"), torch.rand(1, 3, 32, 32)
    network = precision.place(VGG19Features(layers=("relu2_1",)))
    with precision.autocast():
        expected = network(x)[0]
        assert torch.equal(precision.place_fixed(network)(x)[0], expected)
    assert network.features[0].weight.dtype == torch.bfloat16
