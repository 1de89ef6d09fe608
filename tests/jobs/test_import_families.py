"""All networks of one published run at once: imported, translating, trained further, exported again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from p2pcli import export_weights, import_weights, load_model
from p2pcli.errors import UsageError
from p2pcli.inference.model_file import read_model
from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS, PatchGAN, ResNet, UNet
from p2pcli.recipe import parse_recipe
from p2pcli.tasks.networks import state_of
from p2pcli.training.initialise import initialise
from p2pcli.training.state import new_state

HD_PLANES = {"input_channels": 4 + 3}
SPADE = {"channels": 1, "hidden": 128, "input_channels": 4, "style_grid": (2, 2)}


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def cyclegan() -> dict[str, nn.Module]:
    generators = {f"G_{letter}": ResNet(channels=2, blocks=6) for letter in "AB"}
    judges = {f"D_{letter}": PatchGAN(channels=2, input_channels=3, norm="instance") for letter in "AB"}
    return {**generators, **judges}


def pix2pix() -> dict[str, nn.Module]:
    return {"G": UNet(channels=2, depth=7), "D": PatchGAN(channels=2)}


def pix2pixhd() -> dict[str, nn.Module]:
    return {
        "G": GENERATORS["pix2pixhd_global"](channels=2, downsamplings=1, blocks=1, **HD_PLANES),
        "E": ENCODERS["pix2pixhd_features"](channels=2, downsamplings=1),
        "D": DISCRIMINATORS["multiscale"](channels=2, input_channels=4 + 3),
    }


def pix2pixhd_local() -> dict[str, nn.Module]:
    options = {"channels": 1, "downsamplings": 1, "blocks": 1, "local_blocks": 1}
    return {**pix2pixhd(), "G": GENERATORS["pix2pixhd_local"](**HD_PLANES, **options)}


def spade() -> dict[str, nn.Module]:
    return {
        "G": GENERATORS["spade"](**SPADE),
        "E": ENCODERS["spade_style"](channels=1),
        "D": DISCRIMINATORS["spade_multiscale"](channels=1, input_channels=4 + 3, layers=2),
    }


FAMILIES: dict[str, Callable[[], dict[str, nn.Module]]] = {
    "pix2pix": pix2pix,
    "cyclegan": cyclegan,
    "pix2pixhd": pix2pixhd,
    "pix2pixhd local": pix2pixhd_local,
    "spade": spade,
}


def files_of(networks: Mapping[str, nn.Module], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [saved(network, folder / f"latest_net_{name}.pth") for name, network in networks.items()]


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_imported_is_exported_bit_for_bit_and_imported_again(tmp_path: Path, family: str) -> None:
    torch.manual_seed(0)
    networks = FAMILIES[family]()
    model = tmp_path / "model.safetensors"
    import_weights(files_of(networks, tmp_path / "in"), model)
    (tmp_path / "out").mkdir()
    report = export_weights(model, tmp_path / "out" / "latest_net_G.pth")
    assert {path.name for path in report.outputs} == {f"latest_net_{name}.pth" for name in networks}
    for name, network in networks.items():
        state = torch.load(tmp_path / "out" / f"latest_net_{name}.pth", weights_only=True)
        assert type(state).__name__ == "OrderedDict"
        assert list(state) == list(network.state_dict())
        assert equal(state, network.state_dict())
    again = tmp_path / "again.safetensors"
    import_weights(sorted((tmp_path / "out").iterdir()), again)
    first, second = read_model(model), read_model(again)
    assert equal(first[0], second[0])
    assert first[1].model_copy(update={"title": ""}) == second[1].model_copy(update={"title": ""})


@pytest.mark.parametrize("family", FAMILIES)
def test_training_starts_from_all_that_was_imported(tmp_path: Path, family: str) -> None:
    torch.manual_seed(0)
    networks = FAMILIES[family]()
    model = tmp_path / "model.safetensors"
    import_weights(files_of(networks, tmp_path / "in"), model)
    values = read_model(model)[1].model_dump(mode="json")
    values["train"] |= {"init_from": [str(model)]}
    values["losses"] |= {"perceptual": 0.0}
    run = new_state(parse_recipe(values, where="test"), torch.device("cpu"))
    notes = initialise(run)
    assert len(notes) == 1
    endings = {"generator": "G", "AtoB": "G_A", "BtoA": "G_B", "discriminator": "D"}
    endings |= {"feature_encoder": "E", "style_encoder": "E", "D_A": "D_A", "D_B": "D_B"}
    trained = {**run.task.generators, **run.task.discriminators}
    assert {endings[name] for name in trained} == set(networks)
    for name, network in trained.items():
        assert equal(network.state_dict(), networks[endings[name]].state_dict())


def test_both_ways_of_cyclegan_translate_by_the_names_of_their_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = cyclegan()
    files = files_of(networks, tmp_path / "in")
    report = import_weights(reversed(files), tmp_path / "model.safetensors")
    assert report.assumed == []
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    for direction, name in (("AtoB", "G_A"), ("BtoA", "G_B")):
        model = load_model(tmp_path / "model.safetensors", device="cpu", direction=direction)
        with torch.no_grad():
            assert torch.equal(model.network(x), networks[name].eval()(x))


def test_without_letters_the_first_generator_goes_from_a_to_b_and_that_is_said(tmp_path: Path) -> None:
    files = [saved(ResNet(channels=2, blocks=1), tmp_path / name) for name in ("winter.pth", "summer.pth")]
    report = import_weights(files, tmp_path / "model.safetensors")
    assert report.assumed == ["winter.pth translates A to B (the other way round: name summer.pth first)"]
    first = torch.load(files[0], weights_only=True)
    assert equal(state_of(read_model(report.output)[0], "AtoB"), first)


def test_one_of_cyclegans_generators_alone_knows_its_way_by_its_name(tmp_path: Path) -> None:
    file = saved(ResNet(channels=2, blocks=1), tmp_path / "latest_net_G_B.pth")
    report = import_weights(file, tmp_path / "model.safetensors")
    assert report.assumed == []
    assert read_model(report.output)[1].data.direction == "BtoA"


@pytest.mark.parametrize(("letter", "of_run"), [("A", "AtoB"), ("B", "AtoB"), ("A", "BtoA"), ("B", "BtoA")])
def test_the_option_text_of_a_cyclegan_run_does_not_turn_its_generator_b_round(
    tmp_path: Path, letter: str, of_run: str
) -> None:
    (tmp_path / "train_opt.txt").write_text(f"direction: {of_run}\n", encoding="utf-8")
    file = saved(ResNet(channels=2, blocks=1), tmp_path / f"latest_net_G_{letter}.pth")
    report = import_weights(file, tmp_path / "model.safetensors")
    expected = "AtoB" if (letter, of_run) in (("A", "AtoB"), ("B", "BtoA")) else "BtoA"
    assert read_model(report.output)[1].data.direction == expected


def test_a_cyclegan_trained_from_b_to_a_has_its_generator_a_translate_b(tmp_path: Path) -> None:
    networks = cyclegan()
    files = files_of(networks, tmp_path / "in")
    (tmp_path / "in" / "train_opt.txt").write_text("direction: BtoA\n", encoding="utf-8")
    report = import_weights(files, tmp_path / "model.safetensors")
    state = read_model(report.output)[0]
    assert equal(state_of(state, "BtoA"), networks["G_A"].state_dict())
    assert equal(state_of(read_model(report.outputs[1])[0], "D_B"), networks["D_A"].state_dict())
    assert report.assumed == ["latest_net_G_A.pth translates B to A (the option text: direction BtoA)"]


def test_the_first_stage_beside_the_local_enhancer_becomes_a_model_of_its_own(tmp_path: Path) -> None:
    networks = {**pix2pixhd_local(), "G_stage1": pix2pixhd()["G"]}
    report = import_weights(files_of(networks, tmp_path / "in"), tmp_path / "model.safetensors")
    names = ["model.safetensors", "model.discriminator.safetensors", "model.global.safetensors"]
    assert [path.name for path in report.outputs] == names
    assert read_model(report.outputs[0])[1].generator.name == "pix2pixhd_local"
    state, recipe, _ = read_model(report.outputs[2])
    assert recipe.generator.name == "pix2pixhd_global"
    assert equal(state_of(state, "generator"), networks["G_stage1"].state_dict())


def pix2pixhd_of_two() -> dict[str, nn.Module]:
    two = {"channels": 2, "downsamplings": 2, "blocks": 1, **HD_PLANES}
    return {**pix2pixhd(), "G": GENERATORS["pix2pixhd_global"](**two)}


@pytest.mark.parametrize(
    ("names", "text"), [("GE", ""), ("GD", "label_nc: 6\n"), ("G", "netG: global\n"), ("GED", "")]
)
def test_a_global_generator_of_two_downsamplings_is_told_from_a_resnet_by_what_lies_beside(
    tmp_path: Path, names: str, text: str
) -> None:
    networks = {name: network for name, network in pix2pixhd_of_two().items() if name in names}
    if names == "GD":
        networks["D"] = DISCRIMINATORS["multiscale"](channels=2, input_channels=10)
    files = files_of(networks, tmp_path / "in")
    (tmp_path / "in" / "opt.txt").write_text(text, encoding="utf-8")
    report = import_weights(files, tmp_path / "model.safetensors")
    recipe = read_model(report.output)[1]
    assert (recipe.generator.name, recipe.generator.downsamplings) == ("pix2pixhd_global", 2)
    assert recipe.data.labels == (3 if "E" in names else 6)
    assert report.networks[0].startswith("pix2pixhd_global generator: ")


def test_the_first_stage_of_two_downsamplings_is_known_beside_its_local_enhancer(tmp_path: Path) -> None:
    options = {"downsamplings": 2, "blocks": 1, **HD_PLANES}
    networks = {
        "G": GENERATORS["pix2pixhd_local"](channels=1, local_blocks=1, **options),
        "G_stage1": GENERATORS["pix2pixhd_global"](channels=2, **options),
    }
    report = import_weights(files_of(networks, tmp_path / "in"), tmp_path / "model.safetensors")
    assert [path.name for path in report.outputs] == ["model.safetensors", "model.global.safetensors"]


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        ("", {}, {"labels": 3, "instances": "inst", "dontcare": None}),
        ("", {"instances": "labels"}, {"labels": 3, "instances": "labels", "dontcare": None}),
        ("", {"instances": "none"}, {"labels": 4, "instances": None, "dontcare": None}),
        ("", {"labels": 4}, {"labels": 4, "instances": None, "dontcare": None}),
        ("", {"labels": 2}, {"labels": 2, "instances": "inst", "dontcare": 255}),
        ("", {"labels": 0}, {"labels": None, "instances": "inst", "input_channels": 3}),
        ("label_nc: 3\nno_instance: True\n", {}, {"labels": 3, "instances": None, "dontcare": 255}),
        ("label_nc: 4\nno_instance: True\n", {}, {"labels": 4, "instances": None, "dontcare": None}),
    ],
)
def test_the_planes_of_a_label_map_are_as_told_or_as_published(
    tmp_path: Path, text: str, told: dict[str, Any], expected: dict[str, Any]
) -> None:
    network = GENERATORS["pix2pixhd_global"](channels=2, downsamplings=1, blocks=1, input_channels=4)
    (tmp_path / "opt.txt").write_text(text, encoding="utf-8")
    import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "model.safetensors", **told)
    data = read_model(tmp_path / "model.safetensors")[1].data
    assert {name: getattr(data, name) for name in expected} == expected
    assert data.input_planes == 4


@pytest.mark.parametrize(("planes", "expected"), [(184, (182, 255, "inst")), (151, (151, None, None))])
def test_published_spade_models_are_known_by_their_planes(
    tmp_path: Path, planes: int, expected: tuple[Any, ...]
) -> None:
    network = GENERATORS["spade"](channels=1, hidden=2, input_channels=planes)
    import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "model.safetensors")
    data = read_model(tmp_path / "model.safetensors")[1].data
    assert (data.labels, data.dontcare, data.instances) == expected


def test_a_network_of_one_plane_in_and_two_out_colourises(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = {"G": UNet(channels=2, depth=5, input_channels=1, output_channels=2)}
    networks["D"] = PatchGAN(channels=2, input_channels=3)
    report = import_weights(files_of(networks, tmp_path / "in"), tmp_path / "m.safetensors")
    assert "1 plane in and 2 out are L, and a and b of Lab: colourisation as published" in report.assumed
    assert all(read_model(path)[1].data.color == "lab" for path in report.outputs)
    gray = np.full((32, 32, 3), 100, np.uint8)
    coloured = load_model(report.output, device="cpu")(gray)
    assert coloured.shape == gray.shape
    assert np.ptp(coloured.mean((0, 1))) > 1


@pytest.mark.parametrize("text", ["", "dataset_mode: ade20k\nlabel_nc: 150\ncontain_dontcare_label: True\n"])
def test_ade20k_has_151_labels_also_where_the_option_text_says_150_and_unknown(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "opt.txt").write_text(f"{text}no_instance: True\n", encoding="utf-8")
    network = GENERATORS["spade"](channels=1, hidden=2, input_channels=151)
    import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "m.safetensors")
    data = read_model(tmp_path / "m.safetensors")[1].data
    assert (data.labels, data.dontcare, data.instances) == (151, None, None)


def test_a_generator_that_sees_features_asks_for_their_encoder(tmp_path: Path) -> None:
    files = files_of(pix2pixhd(), tmp_path / "in")
    with pytest.raises(UsageError, match=r"generator 7 in and 3 out\. .* name latest_net_E\.pth too"):
        import_weights([files[0], files[2]], tmp_path / "m.safetensors")
    (tmp_path / "in" / "opt.txt").write_text(
        "label_nc: 3\ninstance_feat: True\nfeat_num: 3\n", encoding="utf-8"
    )
    with pytest.raises(UsageError, match=r"7 channels, 3 of them features .* such as latest_net_E\.pth"):
        import_weights(files[0], tmp_path / "m.safetensors")
    assert import_weights(files, tmp_path / "m.safetensors").tally.written == 3


def test_an_imported_label_network_translates_label_maps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = GENERATORS["pix2pixhd_global"](channels=2, downsamplings=1, blocks=1, input_channels=3).eval()
    import_weights(
        saved(network, tmp_path / "G.pth"), tmp_path / "m.safetensors", labels=2, instances="labels"
    )
    model = load_model(tmp_path / "m.safetensors", device="cpu", precision="float32")
    labels = np.zeros((8, 8, 1), np.uint8)
    labels[:, 4:] = 1
    planes = torch.zeros(1, 3, 8, 8)
    planes[0, 0, :, :4], planes[0, 1, :, 4:], planes[0, 2, :, 3:5] = 1, 1, 1
    with torch.no_grad():
        expected = ((network(planes)[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    assert np.abs(model(labels).astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ({"E": ENCODERS["pix2pixhd_features"](channels=2, downsamplings=1)}, "serves a generator: name that"),
        ({"G": UNet(channels=2, depth=5), "E": pix2pixhd()["E"]}, "takes nothing of it"),
        ({**cyclegan(), "D_B": ResNet(channels=2, blocks=1)}, "3 generators"),
        ({name: cyclegan()[name] for name in ("G_A", "G_B", "D_A")}, "one discriminator for two generators"),
        ({**cyclegan(), "E": pix2pixhd()["E"]}, "an encoder beside two generators"),
        ({**cyclegan(), "G_B": ResNet(channels=2, blocks=2)}, "blocks 6 and 2"),
        ({**cyclegan(), "G_B": UNet(channels=2, depth=5)}, "resnet and unet"),
        ({"D_A": PatchGAN(channels=2), "D_B": PatchGAN(channels=2)}, "2 discriminators"),
    ],
)
def test_files_of_different_runs_are_refused(tmp_path: Path, networks: Any, said: str) -> None:
    with pytest.raises(UsageError) as error:
        import_weights(files_of(networks, tmp_path / "in"), tmp_path / "model.safetensors")
    assert said in str(error.value)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_labels_that_cannot_be_are_refused(tmp_path: Path) -> None:
    network = GENERATORS["pix2pixhd_global"](channels=2, downsamplings=1, blocks=1, input_channels=9)
    with pytest.raises(UsageError, match=r"5 labels .*: the network sees 9 planes"):
        import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "model.safetensors", labels=5)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("pix2pix", "--netG unet_128 --ngf 2 --norm batch --ndf 2 --netD basic"),
        (
            "cyclegan",
            "--model cycle_gan --netG resnet_6blocks --ngf 2 --norm instance --no_dropout --ndf 2 "
            "--netD basic",
        ),
        (
            "pix2pixhd",
            "--netG global --ngf 2 --n_downsample_global 1 --n_blocks_global 1 --norm instance --label_nc 3 "
            "--instance_feat --feat_num 3 --nef 2 --n_downsample_E 1 --ndf 2 --n_layers_D 3 --num_D 2",
        ),
        (
            "pix2pixhd local",
            "--netG local --ngf 1 --n_downsample_global 1 --n_blocks_global 1 --norm instance "
            "--n_local_enhancers 1 --n_blocks_local 1 --label_nc 3 --instance_feat --feat_num 3 --nef 2 "
            "--n_downsample_E 1 --ndf 2 --n_layers_D 3 --num_D 2",
        ),
        (
            "spade",
            "--netG spade --ngf 1 --num_upsampling_layers normal --norm_G spectralspadesyncbatch3x3 "
            "--use_vae --label_nc 3 --nef 1 --norm_E spectralinstance --ndf 1 --n_layers_D 2 --num_D 2 "
            "--norm_D spectralinstance",
        ),
    ],
)
def test_export_says_how_the_published_code_builds_the_networks(
    tmp_path: Path, family: str, words: str
) -> None:
    import_weights(files_of(FAMILIES[family](), tmp_path / "in"), tmp_path / "model.safetensors")
    report = export_weights(tmp_path / "model.safetensors", tmp_path / "out.pth", dry_run=True)
    assert report.options == words
    assert report.outputs and not any(path.exists() for path in report.outputs)


def test_export_knows_pix2pixhds_generator_of_two_down_samplings(tmp_path: Path) -> None:
    networks = pix2pixhd()
    networks["G"] = GENERATORS["pix2pixhd_global"](channels=2, downsamplings=2, blocks=1, **HD_PLANES)
    import_weights(files_of(networks, tmp_path / "in"), tmp_path / "model.safetensors")
    report = export_weights(tmp_path / "model.safetensors", tmp_path / "out.pth", dry_run=True)
    assert report.options.startswith("--netG global --ngf 2 --n_downsample_global 2 --n_blocks_global 1")


def test_both_ways_of_cyclegan_in_one_file_become_one_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    there, back = (ResNet(channels=2, blocks=1) for _ in range(2))
    torch.save({"G_A": there.state_dict(), "G_B": back.state_dict(), "epoch": 3}, tmp_path / "both.pth")
    report = import_weights(tmp_path / "both.pth", tmp_path / "m.safetensors")
    state, recipe, _ = read_model(tmp_path / "m.safetensors")
    assert (recipe.task, report.tally.written, report.assumed) == ("unpaired", 2, [])
    assert any("'G_A'" in quirk for quirk in report.quirks)
    for name, network in (("AtoB", there), ("BtoA", back)):
        assert all(torch.equal(state[f"{name}.{key}"], one) for key, one in network.state_dict().items())


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("", (3, 4)),
        ("crop_size: 192\naspect_ratio: 3.0\n", (2, 6)),
        ("crop_size: 128\naspect_ratio: 0.75\nnum_upsampling_layers: normal\n", (3, 4)),
        ("crop_size: 384\naspect_ratio: 12\n", (1, 12)),
    ],
)
def test_a_style_enters_at_the_cells_that_crop_and_aspect_give(
    tmp_path: Path, text: str, grid: tuple[int, int]
) -> None:
    network = GENERATORS["spade"](channels=1, hidden=2, input_channels=4, style_grid=(3, 4))
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    (tmp_path / "opt.txt").write_text(text, encoding="utf-8")
    report = import_weights(tmp_path / "latest_net_G.pth", tmp_path / "m.safetensors")
    assert read_model(tmp_path / "m.safetensors")[1].generator.style_grid == grid
    assert any("a style of 3 × 4 cells" in line for line in report.assumed) == (not text)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("name", ["spade_multiscale", "patchgan of n_layers 0", "patchgan of n_layers 7"])
def test_networks_of_other_norms_and_lengths_come_out_bit_for_bit(
    tmp_path: Path, name: str, norm: str
) -> None:
    options: dict[str, Any] = {"channels": 2, "norm": norm}
    if name == "spade_multiscale":
        network = DISCRIMINATORS[name](input_channels=39, layers=3, **options)
    else:
        options |= {"receptive_field": 1150} if "7" in name else {"receptive_field": 16, "widens": False}
        network = DISCRIMINATORS["patchgan"](input_channels=6, **options)
    torch.save(network.state_dict(), tmp_path / "latest_net_D.pth")
    import_weights(tmp_path / "latest_net_D.pth", tmp_path / "d.safetensors")
    report = export_weights(tmp_path / "d.safetensors", tmp_path / "out.pth")
    state = torch.load(tmp_path / "out.pth", weights_only=True)
    assert all(torch.equal(state[key], one) for key, one in network.state_dict().items())
    words = {"spade_multiscale": "--norm_D", "patchgan of n_layers 0": "--n_layers_D 0"}
    assert words.get(name, "--n_layers_D 7") in report.options
