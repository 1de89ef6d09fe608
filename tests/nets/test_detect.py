"""Networks are recognised from keys and shapes alone, with what old files carry."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from p2pcli.errors import UsageError
from p2pcli.inference.modes import inference_mode
from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, PatchGAN, ResNet, UNet
from p2pcli.nets.detect import Detected, detect
from p2pcli.nets.spectral import SpectralConv2d

REGISTRIES = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "encoder": ENCODERS}


def drawn_options(name: str, role: str, rng: random.Random) -> dict[str, Any]:
    """Constructor keywords within what keys can tell, drawn by chance."""
    norm = rng.choice(["batch", "instance", "instance_affine"])
    io = {"input_channels": rng.randint(1, 7), "output_channels": rng.randint(1, 4)}
    width = {"channels": rng.choice([2, 3, 4, 5, 7])}
    bias = {"bias": True} if norm == "batch" and rng.random() < 0.5 else {}
    scaled = {"layers": rng.randint(1, 4), "scales": rng.randint(1, 3), "spectral_norm": rng.random() < 0.5}
    ups = {"upsampling": rng.choice(["deconv", "resize", "shuffle"])}
    options: dict[tuple[str, str], dict[str, Any]] = {
        ("unet", "generator"): io
        | width
        | bias
        | {
            "depth": rng.randint(5, 9),
            "norm": norm if bias else rng.choice([norm, "none"]),
            "skips": rng.random() < 0.7,
        }
        | ups,
        ("resnet", "generator"): io
        | width
        | ups
        | bias
        | {"blocks": rng.randint(1, 9), "norm": norm, "dropout": rng.random() < 0.5},
        ("pix2pixhd_global", "generator"): io
        | width
        | ups
        | {"downsamplings": rng.choice([1, 3, 4]), "blocks": rng.randint(1, 5), "norm": norm},
        ("pix2pixhd_local", "generator"): io
        | width
        | ups
        | {
            "downsamplings": rng.randint(1, 3),
            "blocks": rng.randint(1, 4),
            "enhancers": rng.randint(1, 2),
            "local_blocks": rng.randint(1, 4),
            "norm": norm,
        },
        ("spade", "generator"): {
            "input_channels": rng.randint(2, 9),
            "output_channels": rng.randint(1, 3),
            "channels": rng.randint(2, 4),
            "doublings": rng.choice(["normal", "most"]),
            "norm": rng.choice(["batch", "instance"]),
            "spectral_norm": rng.random() < 0.5,
            "kernel_size": rng.choice([3, 5]),
            "hidden": rng.choice([2, 5]),
            "style_grid": rng.choice([None, (4, 4), (2, 4)]),
        },
        ("patchgan", "discriminator"): width
        | bias
        | {
            "input_channels": rng.randint(1, 7),
            "receptive_field": rng.choice([1, 16, 34, 70, 142, 286]),
            "norm": norm,
            "spectral_norm": rng.random() < 0.5,
        },
        ("multiscale", "discriminator"): width
        | scaled
        | {"input_channels": 5, "norm": norm, "features": rng.random() < 0.6},
        ("spade_multiscale", "discriminator"): width
        | scaled
        | {"input_channels": 6, "layers": rng.randint(2, 5)},
        ("pix2pixhd_features", "encoder"): io | width | {"downsamplings": rng.randint(1, 4), "norm": norm},
        ("spade_style", "encoder"): width
        | {"input_channels": rng.randint(1, 4), "spectral_norm": rng.random() < 0.5},
    }
    return options[name, role]


PUBLISHED = [
    ("unet", "generator"),
    ("resnet", "generator"),
    ("pix2pixhd_global", "generator"),
    ("pix2pixhd_local", "generator"),
    ("spade", "generator"),
    ("patchgan", "discriminator"),
    ("multiscale", "discriminator"),
    ("spade_multiscale", "discriminator"),
    ("pix2pixhd_features", "encoder"),
    ("spade_style", "encoder"),
]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("name", "role"), PUBLISHED)
def test_what_was_built_is_what_is_detected(name: str, role: str, seed: int) -> None:
    options = drawn_options(name, role, random.Random(f"{name}{role}{seed}"))
    with torch.device("meta"):
        state = REGISTRIES[role][name](**options).state_dict()
    found = detect({key: torch.zeros(t.shape, dtype=t.dtype) for key, t in state.items()})
    assert (found.network, found.role, list(found.state)) == (name, role, list(state))
    assert {key: found.options[key] for key in options} == options
    with torch.device("meta"):
        rebuilt = found.skeleton().state_dict()
    assert {key: tensor.shape for key, tensor in rebuilt.items()} == {k: t.shape for k, t in state.items()}


def small_unet(**options: Any) -> dict[str, Tensor]:
    return UNet(channels=2, depth=5, **options).state_dict()


def small_resnet(**options: Any) -> dict[str, Tensor]:
    return ResNet(channels=2, blocks=2, **options).state_dict()


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "netG."]
)
def test_prefixes_come_off(prefix: str) -> None:
    state = small_unet()
    found = detect({prefix + key: tensor for key, tensor in state.items()})
    assert list(found.state) == list(state)


def test_a_compiled_module_inside_is_recognised() -> None:
    state = small_unet()
    found = detect({key.replace("model.", "model._orig_mod.", 1): t for key, t in state.items()})
    assert list(found.state) == list(state)


def test_averaged_weights_are_preferred() -> None:
    plain, averaged = small_unet(), small_unet()
    found = detect({"params": plain, "params_ema": averaged})
    assert torch.equal(found.state["model.model.0.weight"], averaged["model.model.0.weight"])


def test_a_state_dict_two_containers_deep_is_found() -> None:
    found = detect({"state_dict": {"model": small_unet()}, "epoch": 3})
    assert found.quirks == ("weights lay under 'state_dict'", "weights lay under 'model'")


def test_a_container_that_holds_itself_is_refused() -> None:
    values: dict[str, Any] = {"epoch": 3}
    values["model"] = values
    with pytest.raises(UsageError, match="no state dict: 'epoch' is a int"):
        detect(values)


def test_what_lies_beside_the_weights_is_said_to_be_left_out() -> None:
    judge = PatchGAN(channels=2).state_dict()
    found = detect({"netG": small_unet(), "netD": judge, "epoch": 3, "optimizer": {}})
    assert found.role == "generator"
    assert found.quirks == ("weights lay under 'netG'; left out, beside it: netD",)


def with_running_statistics(
    state: Mapping[str, Tensor], index_of_norm: str, channels: int
) -> dict[str, Tensor]:
    extra = {
        f"{index_of_norm}.running_mean": torch.ones(channels),
        f"{index_of_norm}.running_var": torch.ones(channels),
    }
    return {**state, **extra, f"{index_of_norm}.num_batches_tracked": torch.tensor(7)}


def test_running_statistics_of_instance_norms_are_dropped() -> None:
    state = small_resnet()
    found = detect(with_running_statistics(state, "model.2", 2))
    assert found.options["norm"] == "instance"
    assert list(found.state) == list(state)
    assert found.quirks == ("3 running statistics of instance norms dropped",)


def test_affine_instance_norms_are_kept() -> None:
    state = small_resnet(norm="instance_affine")
    state["model.2.weight"].fill_(3.0)
    found = detect(state)
    assert found.options["norm"] == "instance_affine"
    assert torch.equal(found.state["model.2.weight"], torch.full((2,), 3.0))


@pytest.mark.parametrize(
    "network",
    [
        UNet(channels=2, depth=5, bias=True),
        ResNet(channels=2, blocks=1, norm="batch", bias=True),
        PatchGAN(channels=2, bias=True),
    ],
)
def test_biases_under_batch_norm_are_kept(network: torch.nn.Module) -> None:
    found = detect(network.state_dict())
    assert (found.options["norm"], found.options["bias"]) == ("batch", True)
    assert any("bias under batch norm" in quirk for quirk in found.quirks)


def test_missing_batch_norm_counters_are_added() -> None:
    state = small_unet()
    old = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    found = detect(old)
    assert set(found.state) == set(state)


def test_spectral_norm_without_right_vectors_gets_them() -> None:
    network = DISCRIMINATORS["spade_multiscale"](input_channels=4, channels=2).eval()
    state = network.state_dict()
    image = torch.randn(1, 4, 32, 32)
    network.train()(image)
    old = {key: tensor for key, tensor in state.items() if not key.endswith("weight_v")}
    rebuilt = detect(old).build().eval()
    # One iteration further the vectors have hardly moved.
    assert torch.allclose(rebuilt(image)[0][-1], network.eval()(image)[0][-1], atol=0.05)


def test_spectral_norm_as_torch_0_4_saved_it_gives_the_same_outputs() -> None:
    torch.manual_seed(0)
    network = DISCRIMINATORS["spade_multiscale"](input_channels=4, channels=2).eval()
    old = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith("weight_v")}
    for name, module in network.named_modules():
        if isinstance(module, SpectralConv2d):
            old[f"{name}.weight"] = module.folded().weight.detach()
    image = torch.randn(1, 4, 32, 32)
    rebuilt = detect(old).build().eval()
    for expected, found in zip(network(image), rebuilt(image), strict=True):
        assert torch.allclose(found[-1], expected[-1], atol=1e-5)


def test_half_precision_weights_become_float32() -> None:
    found = detect({key: t.half() if t.is_floating_point() else t for key, t in small_unet().items()})
    assert found.state["model.model.0.weight"].dtype == torch.float32
    assert "weights were not float32" in found.quirks


def test_unet_dropout_is_invisible_and_can_be_told() -> None:
    assert detect(small_unet()).invisible == ("dropout",)
    assert detect(small_unet(), overrides={"dropout": False}).options["dropout"] is False


def test_resnet_dropout_is_seen() -> None:
    assert detect(small_resnet(dropout=True, norm="batch")).options["dropout"] is True
    assert detect(small_resnet(dropout=False, norm="batch")).options["dropout"] is False


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "it is empty"),
        ({"epoch": 3, "loss": 0.1}, "'epoch' is a int"),
        ({"encoder.weight": torch.ones(1)}, "keys of no network that is known here (encoder.weight"),
        ({"model.3.filt": torch.ones(1)}, "CUT"),
        ({"conv_first.weight": torch.ones(1)}, "super-resolution network of another project"),
        ({**small_unet(), "model.model.0.weight": torch.full((2, 3, 4, 4), float("nan"))}, "NaN"),
        (
            {**small_unet(), "model.model.9.weight": torch.ones(1)},
            "'model.model.9.weight' has no place in it",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        detect(values)
    assert said in str(error.value)


def mangled(state: dict[str, Tensor], rng: random.Random) -> dict[str, Tensor]:
    """A copy with one of its keys gone, renamed, flat, empty or with a dimension more."""
    key = rng.choice([*state][:6] if rng.random() < 0.5 else [*state])
    changes = [
        {},
        {f"{key}x": state[key]},
        {key: state[key].flatten()},
        {key: torch.zeros(())},
        {key: state[key][None]},
    ]
    return {**{name: tensor for name, tensor in state.items() if name != key}, **rng.choice(changes)}


@pytest.mark.parametrize(("name", "role"), PUBLISHED)
def test_a_mangled_state_dict_is_never_more_than_a_usage_error(name: str, role: str) -> None:
    rng = random.Random(0)
    state = REGISTRIES[role][name](**drawn_options(name, role, rng)).state_dict()
    for _ in range(40):
        with contextlib.suppress(UsageError):
            detect(mangled(state, rng))


def test_a_missing_key_is_named() -> None:
    state = small_unet()
    del state["model.model.1.model.1.weight"]
    with pytest.raises(UsageError, match=r"'model\.model\.1\.model"):
        detect(state)


REFERENCES = [
    "patchgan70_batch_net_D",
    "pix2pixhd_global_net_G",
    "resnet9_instance_net_G_A",
    "unet256_batch_net_G",
]


def loaded(folder: Path, name: str) -> tuple[Detected, Any]:
    state = torch.load(folder / "reference-weights" / f"{name}.pth", weights_only=True)
    return detect(state), np.load(folder / "reference-weights" / f"{name}.npz")


@pytest.mark.real
@pytest.mark.parametrize("statistics", ["running", "sample"])
@pytest.mark.parametrize("name", REFERENCES)
def test_reference_weights_reproduce_their_outputs(real_data: Path, name: str, statistics: Any) -> None:
    found, arrays = loaded(real_data, name)
    with inference_mode(found.build(), statistics=statistics) as network:
        result = network(torch.from_numpy(arrays["x"]))
    expected = torch.from_numpy(arrays[f"y_{statistics}_stats"])
    assert (result - expected).abs().max() < 1e-5
