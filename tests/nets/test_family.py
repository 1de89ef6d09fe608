"""The relatives of pix2pix: shapes, gradients, published keys and parameter counts."""

from __future__ import annotations

import copy
import urllib.error
from http.client import IncompleteRead
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.image import resize
from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, Network, ResNet, init_weights
from p2pcli.nets.pix2pixhd import LocalEnhancer, instance_mean
from p2pcli.nets.spade import SPADEGenerator, style_grid_for
from p2pcli.nets.spectral import SpectralConv2d
from p2pcli.nets.vgg import VGG19Features, load_vgg19
from p2pcli.tensors import to_batch, to_images

UPSAMPLINGS = ("deconv", "resize", "shuffle")
SMALL: list[tuple[str, dict[str, Any]]] = [
    *[("resnet", {"blocks": 1, "upsampling": kind}) for kind in UPSAMPLINGS],
    *[("pix2pixhd_global", {"downsamplings": 3, "blocks": 1, "upsampling": kind}) for kind in UPSAMPLINGS],
    ("pix2pixhd_global", {"downsamplings": 2, "blocks": 1, "norm": "batch"}),
    ("pix2pixhd_local", {"downsamplings": 2, "blocks": 1, "local_blocks": 1}),
    ("pix2pixhd_local", {"downsamplings": 1, "blocks": 1, "enhancers": 2, "upsampling": "resize"}),
    ("spade", {"input_channels": 3, "hidden": 4}),
    ("spade", {"input_channels": 3, "hidden": 4, "norm": "instance", "spectral_norm": False}),
    ("inpainting", {"input_channels": 3, "blocks": 1}),
    ("inpainting", {"input_channels": 3, "blocks": 1, "upsampling": "shuffle", "norm": "batch"}),
]
JUDGES: list[tuple[str, dict[str, Any]]] = [
    ("patchgan", {"spectral_norm": True}),
    ("patchgan", {"spectral_norm": True, "receptive_field": 1}),
    ("image", {}),
    ("image", {"spectral_norm": True, "norm": "instance"}),
    ("multiscale", {"scales": 3}),
    ("multiscale", {"features": False, "norm": "batch"}),
    ("multiscale", {"spectral_norm": True}),
    ("spade_multiscale", {}),
    ("srgan", {}),
    ("global_patch", {}),
    ("global_patch", {"spectral_norm": True}),
]


def small(name: str, options: dict[str, Any]) -> Network:
    torch.manual_seed(0)
    network = {**GENERATORS, **DISCRIMINATORS}[name](**{"channels": 2, **options})
    init_weights(network, gain=0.2)
    return network


def logits(verdict: Tensor | list[list[Tensor]]) -> list[Tensor]:
    return [verdict] if isinstance(verdict, Tensor) else [maps[-1] for maps in verdict]


def untouched(network: nn.Module) -> list[str]:
    return [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]


def picture(channels: int = 3, side: int = 64) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def parameters(network: type[Network], **options: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in network(**options).parameters())


def test_every_network_is_tested_here_or_with_pix2pix() -> None:
    elsewhere = {"unet", "srresnet", "progressive", "progressive_patch"}
    assert {*GENERATORS, *DISCRIMINATORS} == {name for name, _ in [*SMALL, *JUDGES]} | elsewhere


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_a_generator_keeps_the_size_and_stays_in_range(name: str, options: dict[str, Any]) -> None:
    result = small(name, options)(picture())
    assert result.shape == (2, 3, 64, 64)
    assert result.abs().max() <= 1


@pytest.mark.parametrize(("name", "options"), SMALL)
def test_the_gradient_reaches_every_parameter_of_a_generator(name: str, options: dict[str, Any]) -> None:
    network = small(name, options)
    result = network(picture(side=max(64, network.size_needs.minimum)))
    (result * torch.rand_like(result)).sum().backward()
    assert untouched(network) == []


@pytest.mark.parametrize(("name", "options"), JUDGES)
def test_the_gradient_reaches_every_parameter_of_a_discriminator(name: str, options: dict[str, Any]) -> None:
    network = small(name, options)
    found = logits(network(picture(options.get("input_channels", first_channels(network)))))
    sum((x * torch.rand_like(x)).sum() for x in found).backward()
    assert untouched(network) == []


def first_channels(network: nn.Module) -> int:
    return next(p for p in network.parameters() if p.dim() == 4).shape[1]


@pytest.mark.parametrize(("name", "options"), [*SMALL, *JUDGES])
def test_the_smallest_allowed_size_works(name: str, options: dict[str, Any]) -> None:
    network = small(name, options).eval()
    side = network.size_needs.minimum
    assert side % network.size_needs.multiple_of == 0
    with torch.no_grad():
        found = logits(network(picture(first_channels(network), side)))
    assert all(x.isfinite().all() for x in found)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_srresnet_multiplies_the_size(scale: int) -> None:
    network = GENERATORS["srresnet"](channels=4, blocks=1, scale=scale)
    init_weights(network, gain=0.2)
    result = network(picture(side=8))
    assert result.shape == (2, 3, 8 * scale, 8 * scale)
    result.square().sum().backward()
    assert untouched(network) == []


def test_srresnet_that_adds_to_bicubic_begins_as_pillow_enlarges() -> None:
    network = GENERATORS["srresnet"](channels=4, blocks=1, scale=4, adds_to_bicubic=True)
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    # Away from 0 and 255, where Pillow clips between its two passes.
    small = np.random.default_rng(0).integers(96, 160, (6, 5, 3), dtype=np.uint8)
    with torch.no_grad():
        result = to_images(network(to_batch([small])))[0]
    assert np.abs(result.astype(int) - resize(small, 20, 24, kernel="bicubic")).max() <= 1


def test_srresnet_that_adds_to_bicubic_has_the_published_keys() -> None:
    plain, adding = (
        GENERATORS["srresnet"](channels=4, blocks=1, adds_to_bicubic=adds) for adds in (False, True)
    )
    assert list(plain.state_dict()) == list(adding.state_dict())


@pytest.mark.parametrize(
    ("network", "options", "expected"),
    [
        (GENERATORS["pix2pixhd_global"], {"input_channels": 36}, 182_546_755),
        # Published: 97.48, 96.49, 93.05 million for COCO, ADE20K, Cityscapes; 5.60 million for D.
        (GENERATORS["spade"], {"input_channels": 184}, 97_480_899),
        (GENERATORS["spade"], {"input_channels": 151}, 96_492_483),
        (GENERATORS["spade"], {"input_channels": 36}, 93_048_003),
        (DISCRIMINATORS["multiscale"], {"input_channels": 39}, 5_603_202),
    ],
)
def test_parameters_are_as_many_as_published(network: type[Network], options: Any, expected: int) -> None:
    assert parameters(network, **options) == expected


def keys(network: type[Network], **options: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in network(**options).state_dict().items()}


def test_global_generator_keys_are_the_published_ones() -> None:
    found = keys(GENERATORS["pix2pixhd_global"], input_channels=36)
    convolutions = [1, 4, 7, 10, 13, 25, 28, 31, 34, 38]
    blocks = [f"{index}.conv_block.{inner}" for index in range(16, 25) for inner in (1, 5)]
    expected = [f"model.{place}.{kind}" for place in [*convolutions, *blocks] for kind in ("weight", "bias")]
    assert sorted(found) == sorted(expected)
    assert (found["model.1.weight"], found["model.38.weight"]) == ((64, 36, 7, 7), (3, 64, 7, 7))
    assert found["model.16.conv_block.1.weight"] == (1024, 1024, 3, 3)


def test_local_enhancer_keys_are_the_published_ones() -> None:
    found = keys(LocalEnhancer, input_channels=36)
    assert found["model1_1.1.weight"] == (32, 36, 7, 7)
    assert found["model1_1.4.weight"] == (64, 32, 3, 3)
    assert found["model1_2.2.conv_block.5.weight"] == (64, 64, 3, 3)
    assert found["model1_2.3.weight"] == (64, 32, 3, 3)
    assert found["model1_2.7.weight"] == (3, 32, 7, 7)
    assert found["model.34.weight"] == (128, 64, 3, 3)
    assert not any(name.startswith("model.38") for name in found)


def test_local_enhancer_without_its_own_share_is_the_global_one_at_half_size() -> None:
    torch.manual_seed(0)
    options = {"channels": 2, "downsamplings": 1, "blocks": 1}
    local = LocalEnhancer(**options, local_blocks=1).eval()
    features = local.model(nn.functional.avg_pool2d(picture(), 3, 2, 1, count_include_pad=False))
    nn.init.zeros_(local.get_submodule("model1_1.4").weight)
    nn.init.zeros_(local.get_submodule("model1_1.4").bias)
    assert torch.allclose(local(picture()), local.get_submodule("model1_2")(features))


def test_feature_encoder_keys_are_the_published_ones() -> None:
    found = keys(ENCODERS["pix2pixhd_features"])
    assert sorted({int(name.split(".")[1]) for name in found}) == [1, 4, 7, 10, 13, 16, 19, 22, 25, 29]
    assert (found["model.1.weight"], found["model.13.weight"]) == ((16, 3, 7, 7), (256, 128, 3, 3))


def test_instance_mean_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    instances = torch.tensor([[[[9, 9], [9, 26001]]]])
    assert instance_mean(features, instances).tolist() == [[[[3.0, 3.0], [3.0, 7.0]]]]


def test_instances_of_one_picture_do_not_mix_with_those_of_another() -> None:
    features = torch.tensor([[[[1.0, 3.0]]], [[[10.0, 30.0]]]])
    assert instance_mean(features, torch.ones(2, 1, 1, 2)).flatten().tolist() == [2.0, 2.0, 20.0, 20.0]


def test_feature_encoder_gives_one_feature_per_instance() -> None:
    encoder = ENCODERS["pix2pixhd_features"](channels=2, downsamplings=2)
    instances = torch.zeros(2, 1, 32, 32, dtype=torch.long)
    instances[:, :, 16:] = 1
    result = encoder(picture(side=32), instances)
    assert result[:, :, :16].std(dim=(2, 3)).max() < 1e-6
    assert not torch.allclose(result[:, :, 0, 0], result[:, :, 31, 0])


@pytest.mark.parametrize("name", ["pix2pixhd_global", "pix2pixhd_local", "multiscale", "pix2pixhd_features"])
def test_biases_of_pix2pixhd_begin_as_torch_draws_them(name: str) -> None:
    network = {**GENERATORS, **DISCRIMINATORS, **ENCODERS}[name](channels=8)
    init_weights(network, seed=1)
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    layers = [m for m in network.modules() if isinstance(m, kinds) and m.bias is not None]
    # Uniform within ± 1/√(fan in), so that all of them together are uniform within ± 1.
    shares = torch.cat([layer.bias.detach() * layer.weight[0].numel() ** 0.5 for layer in layers])
    assert shares.abs().max() <= 1
    assert shares.std() == pytest.approx(3**-0.5, rel=0.1)
    assert layers[0].weight.detach().std() == pytest.approx(0.02, rel=0.1)


def test_multiscale_keys_are_the_published_ones() -> None:
    found = keys(DISCRIMINATORS["multiscale"], input_channels=39, scales=3)
    assert sorted(found) == sorted(
        f"scale{scale}_layer{layer}.0.{kind}"
        for scale in range(3)
        for layer in range(5)
        for kind in ("weight", "bias")
    )
    assert [found[f"scale0_layer{layer}.0.weight"][0] for layer in range(5)] == [64, 128, 256, 512, 1]
    plain = keys(DISCRIMINATORS["multiscale"], features=False)
    assert [name for name in plain if name.startswith("layer1.") and name.endswith("weight")] == [
        f"layer1.{index}.weight" for index in (0, 2, 5, 8, 11)
    ]


def test_multiscale_judges_the_full_size_with_its_highest_scale() -> None:
    network = small("multiscale", {"scales": 2}).eval()
    before = [maps[-1] for maps in network(picture(6))]
    nn.init.ones_(network.get_submodule("scale1_layer4.0").bias)
    after = [maps[-1] for maps in network(picture(6))]
    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], after[0])
    # 64 → 33 → 17 → 9 → 10 → 11 with padding 2; half of it for the other.
    assert (after[0].shape[2], after[1].shape[2]) == (11, 7)


def test_multiscale_keys_with_and_without_features_judge_alike() -> None:
    torch.manual_seed(0)
    plain = DISCRIMINATORS["multiscale"](channels=2, features=False).eval()
    mapped = DISCRIMINATORS["multiscale"](channels=2).eval()
    places = {0: 0, 2: 1, 5: 2, 8: 3, 11: 4}
    state = {}
    for name, tensor in plain.state_dict().items():
        scale, index, kind = name.removeprefix("layer").split(".")
        state[f"scale{scale}_layer{places[int(index)]}.0.{kind}"] = tensor
    mapped.load_state_dict(state)
    for one, other in zip(plain(picture(6)), mapped(picture(6)), strict=True):
        assert torch.equal(one[-1], other[-1])


def test_spade_keys_are_the_published_ones() -> None:
    found = keys(SPADEGenerator, input_channels=36)
    block = {name.removeprefix("up_0.") for name in found if name.startswith("up_0.")}
    norms = {
        f"norm_{which}.{rest}"
        for which in ("0", "1", "s")
        for rest in (
            *(f"param_free_norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")),
            *(f"mlp_{name}.{kind}" for name in ("shared.0", "gamma", "beta") for kind in ("weight", "bias")),
        )
    }  # fmt: skip
    kinds = ("weight_orig", "weight_u", "weight_v")
    convolutions = {f"conv_{which}.{kind}" for which in ("0", "1", "s") for kind in kinds}
    assert block == norms | convolutions | {"conv_0.bias", "conv_1.bias"}
    assert not any("conv_s" in name for name in found if name.startswith(("head_0", "G_middle")))
    assert found["fc.weight"] == (1024, 36, 3, 3)
    assert found["conv_img.weight"] == (3, 64, 3, 3)
    assert found["up_0.norm_0.mlp_shared.0.weight"] == (128, 36, 3, 3)


def test_spade_discriminator_keys_are_the_published_ones() -> None:
    found = keys(DISCRIMINATORS["spade_multiscale"], input_channels=39)
    one = {name.removeprefix("discriminator_1.") for name in found if name.startswith("discriminator_1.")}
    strided = {f"model{i}.0.0.{kind}" for i in (1, 2, 3) for kind in ("weight_orig", "weight_u", "weight_v")}
    assert one == strided | {"model0.0.weight", "model0.0.bias", "model4.0.weight", "model4.0.bias"}


@pytest.mark.parametrize(("doublings", "side"), [("normal", 64), ("more", 128), ("most", 256)])
def test_spade_grows_from_two_pixels(doublings: Any, side: int) -> None:
    network = SPADEGenerator(input_channels=2, channels=2, hidden=2, doublings=doublings).eval()
    seen: list[Tensor] = []
    network.fc.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        assert network(torch.zeros(1, 2, side, side)).shape == (1, 3, side, side)
    assert seen[0].shape[2:] == (2, 2)


def test_spade_with_a_style_listens_to_it() -> None:
    torch.manual_seed(0)
    network = SPADEGenerator(input_channels=2, channels=2, hidden=2, style_grid=(2, 4)).eval()
    labels = torch.zeros(2, 2, 64, 128)
    with torch.no_grad():
        first, second = network(labels, torch.tensor([[0.0], [5.0]]).expand(2, 256))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize(("cells", "grid"), [(64, (8, 8)), (128, (8, 16)), (1, (1, 1)), (2, (1, 2))])
def test_style_grid_from_its_cells(cells: int, grid: tuple[int, int]) -> None:
    assert style_grid_for(cells) == grid


def test_style_encoder_gives_a_mean_and_a_log_variance() -> None:
    encoder = ENCODERS["spade_style"](channels=1)
    mean, log_variance = encoder(picture(side=40))
    assert mean.shape == log_variance.shape == (2, 256)
    (mean.sum() + log_variance.square().sum()).backward()
    assert untouched(encoder) == []


def test_spectral_norm_brings_the_largest_singular_value_to_one() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(input_channels=3, output_channels=4, kernel_size=3)
    for _ in range(100):
        layer(torch.zeros(1, 3, 4, 4))
    response = layer.eval()(torch.eye(27).view(27, 3, 3, 3))[:, :, 0, 0] - layer.bias
    response = response.detach()
    assert torch.linalg.matrix_norm(response, 2) == pytest.approx(1, abs=1e-4)


def test_spectral_norm_equals_torch_s_own_for_the_same_state() -> None:
    torch.manual_seed(0)
    theirs = nn.utils.spectral_norm(nn.Conv2d(3, 4, 3, padding=1))
    ours = SpectralConv2d(input_channels=3, output_channels=4, kernel_size=3, padding=1)
    ours.load_state_dict(theirs.state_dict())
    x = picture(side=8)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert torch.allclose(ours.eval()(x), theirs.eval()(x), atol=1e-6)
    assert torch.allclose(ours.weight_u, theirs.weight_u, atol=1e-6)


def test_a_spectral_norm_network_can_be_copied_after_a_step() -> None:
    network = small("patchgan", {"spectral_norm": True})
    network(picture(6)).sum().backward()
    assert torch.equal(copy.deepcopy(network).eval()(picture(6)), network.eval()(picture(6)))


def test_inpainting_blocks_see_further_than_undilated_ones() -> None:
    def reach(dilation: int) -> int:
        options = {"input_channels": 1, "channels": 1, "blocks": 2, "dilation": dilation, "norm": "none"}
        network = GENERATORS["inpainting"](**options)
        x = torch.zeros(1, 1, 96, 96, requires_grad=True)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.01)
        network(x)[0, 0, 48, 48].backward()
        assert x.grad is not None
        return int((x.grad[0, 0, 48] != 0).sum())

    # Two blocks, each one pixel of the quarter-size map wider on both sides: 2 · 2 · 4 px.
    assert reach(2) - reach(1) == 16


def test_the_global_verdict_is_one_number_and_the_patches_are_many() -> None:
    whole, patches = logits(small("global_patch", {})(picture()))
    assert (whole.shape, patches.shape) == ((2, 1, 1, 1), (2, 1, 6, 6))


@pytest.mark.parametrize("kind", ["resize", "shuffle"])
def test_other_up_samplings_keep_the_rest_of_the_keys(kind: Any) -> None:
    deconv, other = keys(ResNet), keys(ResNet, upsampling=kind)
    place = {"resize": 1, "shuffle": 0}[kind]
    renamed = {name.replace(f".19.{place}.", ".19.").replace(f".22.{place}.", ".22.") for name in other}
    assert renamed == set(deconv)


def test_vgg_maps_have_the_sizes_and_widths_of_their_layers() -> None:
    with torch.device("meta"):
        network = VGG19Features(layers=("relu1_1", "relu3_1", "relu5_4"))
        maps = network(torch.zeros(1, 3, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 32, 32), (256, 8, 8), (512, 2, 2)]
    assert list(network.state_dict())[-1] == "features.34.bias"


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route"),
        RuntimeError("invalid hash value"),
        IncompleteRead(b""),
        OSError(28, "full"),
    ],
)
def test_vgg_weights_that_cannot_be_fetched_say_what_to_put_where(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(EnvironmentFaultError) as caught:
        load_vgg19(layers=("relu1_1",))
    message = str(caught.value)
    assert str(tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth") in message
    assert "Put https://download.pytorch.org/models/vgg19-dcbb9e9d.pth there, or name the file" in message


def test_vgg_weights_are_fetched_into_torchs_cache_and_checked(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = VGG19Features(layers=("relu1_1",)).state_dict()

    def fetch(url: str, path: str, *, hash_prefix: str, progress: bool) -> None:
        assert (url.rpartition("/")[2], hash_prefix) == ("vgg19-dcbb9e9d.pth", "dcbb9e9d")
        torch.save(state, path)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    network = load_vgg19(layers=("relu1_1",))
    assert torch.equal(network.features[0].weight, state["features.0.weight"])
    assert (tmp_path / "checkpoints" / "vgg19-dcbb9e9d.pth").is_file()


def test_vgg_weights_of_another_network_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"'features\.0\.weight' is missing or has another shape"):
        load_vgg19(layers=("relu1_1",), weights=path)


def test_vgg_weights_are_read_from_a_file(tmp_path: Any) -> None:
    state = VGG19Features(layers=("relu1_1",)).state_dict()
    torch.save(state, tmp_path / "vgg.pth")
    network = load_vgg19(layers=("relu1_1",), weights=tmp_path / "vgg.pth")
    assert torch.equal(network.features[0].weight, state["features.0.weight"])
    assert not any(p.requires_grad for p in network.parameters())


def test_vgg_weights_in_torchs_cache_are_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = VGG19Features(layers=("relu1_1",)).state_dict()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(state, tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth")
    network = load_vgg19(layers=("relu1_1",))
    assert torch.equal(network.features[0].weight, state["features.0.weight"])
