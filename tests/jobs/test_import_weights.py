"""Import of published weights and export back: what is written, asked and refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from p2pcli import export_weights, import_weights, load_model
from p2pcli.errors import UsageError
from p2pcli.inference.model_file import read_model
from p2pcli.inference.modes import inference_mode
from p2pcli.nets import DISCRIMINATORS, GENERATORS, PatchGAN, ResNet, UNet
from p2pcli.tasks import build_discriminator


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def small_unet() -> UNet:
    torch.manual_seed(0)
    return UNet(channels=2, depth=5)


def test_an_imported_unet_translates_as_it_did(tmp_path: Path) -> None:
    network = small_unet().eval()
    file = saved(network, tmp_path / "latest_net_G.pth")
    import_weights(file, tmp_path / "model.safetensors", statistics="running")
    translator = load_model(tmp_path / "model.safetensors", device="cpu", precision="float32")
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        expected = ((network(x)[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    assert np.abs(translator(image).astype(int) - expected.astype(int)).max() <= 1


GENERATOR_CASES: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"channels": 2, "depth": 6, "norm": "instance", "input_channels": 1}),
    ("unet", {"channels": 2, "depth": 5, "bias": True}),
    ("resnet", {"channels": 2, "blocks": 1, "norm": "instance_affine", "dropout": True}),
    ("resnet", {"channels": 2, "blocks": 1, "upsampling": "resize"}),
    ("pix2pixhd_global", {"channels": 2, "downsamplings": 3, "blocks": 1, "input_channels": 36}),
    ("pix2pixhd_local", {"channels": 2, "downsamplings": 2, "blocks": 1, "local_blocks": 1}),
    ("spade", {"channels": 1, "hidden": 2, "input_channels": 4}),
]


@pytest.mark.parametrize(("name", "options"), GENERATOR_CASES)
def test_every_published_generator_goes_in_and_comes_out_again(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = GENERATORS[name](**options)
    import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "model.safetensors")
    export_weights(tmp_path / "model.safetensors", tmp_path / "out.pth")
    state = torch.load(tmp_path / "out.pth", weights_only=True)
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(state[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "conditional"),
    [
        ("patchgan", {"channels": 2}, True),
        ("patchgan", {"channels": 2, "input_channels": 3, "norm": "instance"}, False),
        ("patchgan", {"channels": 2, "receptive_field": 1}, True),
        ("multiscale", {"channels": 2, "input_channels": 39, "scales": 3}, True),
        ("spade_multiscale", {"channels": 2, "input_channels": 39}, True),
    ],
)
def test_every_published_discriminator_goes_in(
    tmp_path: Path, name: str, options: dict[str, Any], conditional: bool
) -> None:
    network = DISCRIMINATORS[name](**options)
    import_weights(saved(network, tmp_path / "D.pth"), tmp_path / "d.safetensors")
    state, recipe, info = read_model(tmp_path / "d.safetensors")
    assert (info.role, recipe.discriminator.conditional) == ("discriminator", conditional)
    build_discriminator(recipe).load_state_dict(state)


def test_a_discriminator_beside_its_generator_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    files = [saved(small_unet(), tmp_path / "G.pth"), saved(PatchGAN(channels=2), tmp_path / "D.pth")]
    report = import_weights(files, tmp_path / "model.safetensors")
    assert [path.name for path in report.outputs] == ["model.safetensors", "model.discriminator.safetensors"]
    recipes = [read_model(path)[1] for path in report.outputs]
    assert recipes[0] == recipes[1]
    assert (recipes[0].generator.channels, recipes[0].discriminator.channels) == (2, 2)


def test_safetensors_without_a_recipe_are_imported_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {key: tensor.contiguous() for key, tensor in small_unet().state_dict().items()}
    save_file(state, tmp_path / "G.safetensors")
    report = import_weights(tmp_path / "G.safetensors", tmp_path / "model.safetensors")
    assert report.tally.written == 1


def test_what_keys_cannot_tell_is_named_with_the_option_that_tells_it(tmp_path: Path) -> None:
    report = import_weights(saved(small_unet(), tmp_path / "G.pth"), tmp_path / "model.safetensors")
    assert report.assumed == [
        "direction AtoB (--direction BtoA)",
        "statistics sample (--statistics running)",
        "trained with dropout (--no-dropout)",
    ]


OLD_OPTIONS = """------------ Options -------------
which_direction: BtoA
no_dropout: True
fineSize: 128
-------------- End ----------------
"""
NEW_OPTIONS = """----------------- Options ---------------
              direction: BtoA                          \t[default: AtoB]
             no_dropout: True                          \t[default: False]
              crop_size: 128                           \t[default: 256]
----------------- End -------------------
"""


@pytest.mark.parametrize(("name", "text"), [("opt.txt", OLD_OPTIONS), ("train_opt.txt", NEW_OPTIONS)])
def test_the_option_text_beside_the_weights_answers(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    file = saved(small_unet(), tmp_path / "G.pth")
    report = import_weights(file, tmp_path / "model.safetensors", statistics="running")
    _, recipe, info = read_model(tmp_path / "model.safetensors")
    assert report.assumed == []
    assert (recipe.data.direction, recipe.generator.dropout, info.trained_size) == ("BtoA", False, 128)


def test_what_the_caller_says_wins_over_the_option_text(tmp_path: Path) -> None:
    (tmp_path / "opt.txt").write_text(OLD_OPTIONS, encoding="utf-8")
    file = saved(small_unet(), tmp_path / "G.pth")
    import_weights(file, tmp_path / "model.safetensors", direction="AtoB", dropout=True)
    _, recipe, _ = read_model(tmp_path / "model.safetensors")
    assert (recipe.data.direction, recipe.generator.dropout) == ("AtoB", True)


def test_spade_translates_with_running_statistics(tmp_path: Path) -> None:
    network = GENERATORS["spade"](channels=1, hidden=2, input_channels=4)
    import_weights(saved(network, tmp_path / "G.pth"), tmp_path / "model.safetensors", doublings="more")
    _, recipe, _ = read_model(tmp_path / "model.safetensors")
    assert (recipe.inference.statistics, recipe.generator.doublings) == ("running", "more")


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_a_hostile_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    torch.save({"model.model.0.weight": Hostile(str(tmp_path / "made"))}, tmp_path / "evil.pth")
    with pytest.raises(UsageError, match="could run code"):
        import_weights(tmp_path / "evil.pth", tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("absent.pth", None, "cannot be read"),
        ("empty.pth", b"", "not opened: an empty file. Expected a state dict"),
        ("text.pth", b"not weights at all", "not opened: neither a PyTorch nor a safetensors file. Expected"),
        ("tar.pth", bytes(2000), "not opened: a tar archive, as torch wrote before 2017, or nothing"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "not a whole safetensors file"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused_by_name(
    tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as error:
        import_weights(tmp_path / name, tmp_path / "model.safetensors")
    assert str(error.value).startswith(f"{tmp_path / name}: {said}")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_that_was_cut_short_is_called_so(tmp_path: Path, is_zip: bool) -> None:
    torch.save(small_unet().state_dict(), tmp_path / "G.pth", _use_new_zipfile_serialization=is_zip)
    data = (tmp_path / "G.pth").read_bytes()
    (tmp_path / "G.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError) as error:
        import_weights(tmp_path / "G.pth", tmp_path / "model.safetensors")
    assert str(error.value) == (
        f"{tmp_path / 'G.pth'}: not opened: a PyTorch file that was cut short or damaged; copy it again. "
        "Expected a state dict: torch.save(net.state_dict(), FILE)."
    )


def test_what_a_pickle_holds_besides_tensors_is_named(tmp_path: Path) -> None:
    torch.save({"weights": small_unet().state_dict(), "options": SimpleNamespace(ngf=2)}, tmp_path / "G.pth")
    with pytest.raises(UsageError) as error:
        import_weights(tmp_path / "G.pth", tmp_path / "model.safetensors")
    assert "a pickle that holds more than tensors (types.SimpleNamespace), which could run code" in str(
        error.value
    )
    assert "weights_only" not in str(error.value)


def test_values_that_are_no_network_are_refused_by_name(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UsageError, match=r"list\.pth: holds a list"):
        import_weights(tmp_path / "list.pth", tmp_path / "model.safetensors")
    file = saved(nn.Linear(2, 2), tmp_path / "linear.pth")
    with pytest.raises(UsageError, match=r"linear\.pth: keys of no network that is known here"):
        import_weights(file, tmp_path / "model.safetensors")


def test_a_model_of_our_own_needs_no_import(tmp_path: Path) -> None:
    import_weights(saved(small_unet(), tmp_path / "G.pth"), tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="a p2p model already"):
        import_weights(tmp_path / "model.safetensors", tmp_path / "again.safetensors")


def test_a_discriminator_of_another_run_is_refused(tmp_path: Path) -> None:
    judge = PatchGAN(channels=2, input_channels=5)
    files = [saved(small_unet(), tmp_path / "G.pth"), saved(judge, tmp_path / "D.pth")]
    with pytest.raises(UsageError, match="discriminator sees 5 channels, and the generator 3 in and 3 out"):
        import_weights(files, tmp_path / "model.safetensors")


def test_an_output_that_is_there_stays_unless_told(tmp_path: Path) -> None:
    file = saved(small_unet(), tmp_path / "G.pth")
    (tmp_path / "model.safetensors").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is there already"):
        import_weights(file, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_text(encoding="utf-8") == "mine"
    import_weights(file, tmp_path / "model.safetensors", overwrite=True)
    read_model(tmp_path / "model.safetensors")


def test_a_file_named_twice_is_refused_and_not_taken_for_both_ways_of_cyclegan(tmp_path: Path) -> None:
    file = saved(small_unet(), tmp_path / "G.pth")
    with pytest.raises(UsageError) as error:
        import_weights([file, tmp_path / "." / "G.pth"], tmp_path / "model.safetensors")
    assert str(error.value) == f"{file}: named twice. Expected every network of a run once."


def test_an_output_that_is_also_an_input_is_refused_even_with_overwrite(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "G.discriminator.safetensors"
    save_file(PatchGAN(channels=2).state_dict(), file)
    files = [saved(small_unet(), tmp_path / "G.pth"), file]
    for output in (tmp_path / "G.safetensors", file):
        with pytest.raises(UsageError, match=r"the output .*G\.discriminator\.safetensors is also an input"):
            import_weights(files, output, overwrite=True)


def test_an_output_that_is_a_folder_or_below_a_file_is_refused(tmp_path: Path) -> None:
    file = saved(small_unet(), tmp_path / "G.pth")
    (tmp_path / "models.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"models\.safetensors: a folder\. Name a file in it with -o"):
        import_weights(file, tmp_path / "models.safetensors", overwrite=True)
    with pytest.raises(UsageError, match=r"G\.pth is a file\. Choose a folder with -o\."):
        import_weights(file, file / "model.safetensors")
    with pytest.raises(UsageError, match=r"ends in \.safetensors\. Use -o .*/model\.safetensors\."):
        import_weights(file, tmp_path)


def test_a_dry_run_recognises_and_writes_nothing(tmp_path: Path) -> None:
    file = saved(small_unet(), tmp_path / "G.pth")
    report = import_weights(file, tmp_path / "model.safetensors", dry_run=True)
    assert report.networks[0].startswith("unet generator: ")
    assert not (tmp_path / "model.safetensors").exists()


def test_export_names_the_options_of_the_published_code(tmp_path: Path) -> None:
    import_weights(saved(ResNet(channels=2, blocks=6), tmp_path / "G.pth"), tmp_path / "m.safetensors")
    report = export_weights(tmp_path / "m.safetensors", tmp_path / "out.pth")
    assert report.options == "--netG resnet_6blocks --ngf 2 --norm instance --no_dropout"


def test_export_refuses_an_output_that_is_there(tmp_path: Path) -> None:
    import_weights(saved(small_unet(), tmp_path / "G.pth"), tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="is there already"):
        export_weights(tmp_path / "m.safetensors", tmp_path / "G.pth")


def test_export_never_writes_over_the_model(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    import_weights(saved(small_unet(), tmp_path / "G.pth"), model)
    with pytest.raises(UsageError) as error:
        export_weights(model, model, overwrite=True)
    assert str(error.value) == f"{model}: expected a name that ends in .pth. Use -o {tmp_path / 'm.pth'}."
    (tmp_path / "m.pth").symlink_to(model)
    with pytest.raises(UsageError, match="is also an input"):
        export_weights(model, tmp_path / "m.pth", overwrite=True)
    read_model(model)


@pytest.mark.real
@pytest.mark.parametrize("statistics", ["running", "sample"])
def test_the_imported_reference_discriminator_reproduces_its_outputs(
    real_data: Path, tmp_path: Path, statistics: Any
) -> None:
    file = real_data / "reference-weights" / "patchgan70_batch_net_D.pth"
    import_weights(file, tmp_path / "d.safetensors", statistics=statistics)
    state, recipe, _ = read_model(tmp_path / "d.safetensors")
    network = build_discriminator(recipe)
    network.load_state_dict(state)
    arrays = np.load(file.with_suffix(".npz"))
    with inference_mode(network, statistics=recipe.inference.statistics):
        result = network(torch.from_numpy(arrays["x"]))
    assert (result - torch.from_numpy(arrays[f"y_{statistics}_stats"])).abs().max() < 1e-5


@pytest.mark.real
@pytest.mark.parametrize("name", ["patchgan70_batch_net_D", "pix2pixhd_global_net_G", "unet256_batch_net_G"])
def test_reference_weights_come_out_again_bit_for_bit(real_data: Path, tmp_path: Path, name: str) -> None:
    file = real_data / "reference-weights" / f"{name}.pth"
    import_weights(file, tmp_path / "m.safetensors")
    export_weights(tmp_path / "m.safetensors", tmp_path / "out.pth")
    before, after = (torch.load(path, weights_only=True) for path in (file, tmp_path / "out.pth"))
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


REFERENCES = ["pix2pixhd_global_net_G", "resnet9_instance_net_G_A", "unet256_batch_net_G"]


@pytest.mark.real
@pytest.mark.parametrize("statistics", ["running", "sample"])
@pytest.mark.parametrize("name", REFERENCES)
def test_imported_reference_weights_reproduce_their_outputs(
    real_data: Path, tmp_path: Path, name: str, statistics: Any
) -> None:
    folder = real_data / "reference-weights"
    import_weights(folder / f"{name}.pth", tmp_path / "m.safetensors", statistics=statistics)
    arrays = np.load(folder / f"{name}.npz")
    translator = load_model(tmp_path / "m.safetensors", device="cpu", precision="float32")
    with inference_mode(translator.network, statistics=translator.statistics):
        result = translator.network(torch.from_numpy(arrays["x"]))
    assert (result - torch.from_numpy(arrays[f"y_{statistics}_stats"])).abs().max() < 1e-5
