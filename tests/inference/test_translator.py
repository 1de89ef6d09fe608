"""A loaded model as a function from picture to picture."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.image import as_gray8
from p2pcli.inference.modes import inference_mode
from p2pcli.inference.precision import pick_dtype
from p2pcli.inference.translator import load_model
from p2pcli.pairs import MAKERS
from p2pcli.tensors import to_batch, to_images


def noise(height: int, width: int, channels: int = 3, *, dtype: str = "uint8", seed: int = 0):
    top = int(np.iinfo(dtype).max) + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels)).astype(dtype)


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (100, 31), (5, 3), (1, 1), (17, 64)])
def test_the_result_has_the_size_of_the_source(tiny_model, size):
    assert load_model(tiny_model())(noise(*size)).shape == (*size, 3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("channels", "expected"), [(1, 3), (3, 3), (4, 4)])
def test_depth_and_alpha_of_the_source_stay(tiny_model, dtype, channels, expected):
    image = noise(40, 36, channels, dtype=dtype)
    result = load_model(tiny_model())(image)
    assert (result.shape, result.dtype) == ((40, 36, expected), image.dtype)
    if channels == 4:
        assert np.array_equal(result[:, :, 3], image[:, :, 3])


def test_a_gray_picture_may_have_two_axes(tiny_model):
    translator = load_model(tiny_model())
    image = noise(32, 32, 1)
    assert np.array_equal(translator(image[:, :, 0]), translator(image))


def test_a_gray_target_gives_one_channel(tiny_model):
    translator = load_model(tiny_model(data={"target_channels": 1}))
    assert translator(noise(32, 32)).shape == (32, 32, 1)
    assert translator(noise(32, 32, 4)).shape == (32, 32, 4)


def test_one_input_channel_is_the_gray_of_the_source(tiny_model):
    translator = load_model(tiny_model(data={"input_channels": 1}))
    image = noise(32, 32)
    assert np.array_equal(translator(image), translator(as_gray8(image)))


def test_a_picture_that_fits_is_what_the_network_alone_makes_of_it(tiny_model):
    translator = load_model(tiny_model(), precision="float32", device="cpu")
    image = noise(64, 32)
    with inference_mode(translator.network, statistics="sample"):
        alone = to_images(translator.network(to_batch([image])))[0]
    assert np.array_equal(translator(image), alone)


@pytest.mark.parametrize("statistics", [None, "sample", "running"])
def test_the_network_called_alone_has_the_statistics_of_the_model(tiny_model, statistics):
    translator = load_model(tiny_model(), precision="float32", device="cpu", statistics=statistics)
    image = noise(64, 32)
    alone = to_images(translator.network(to_batch([image])))[0]
    assert np.array_equal(translator(image), alone)


@pytest.mark.parametrize("channels", [{"input_channels": 7}, {"target_channels": 2}])
def test_a_network_that_sees_or_makes_no_picture_says_so(tiny_model, channels):
    with pytest.raises(
        UsageError, match=r"sees \d channels and makes \d .*; a picture has 1 or 3\. Feed it tensors"
    ):
        load_model(tiny_model(data=channels))(noise(32, 32))


def test_padding_is_a_reflection_around_the_middle(tiny_model):
    translator = load_model(tiny_model(), precision="float32", device="cpu")
    image = noise(32, 28)
    padded = np.pad(image, ((0, 0), (2, 2), (0, 0)), mode="reflect")
    assert np.array_equal(translator(image), translator(padded)[:, 2:30])


def test_a_picture_smaller_than_its_pad_repeats_its_edge(tiny_model):
    translator = load_model(tiny_model(), precision="float32", device="cpu")
    image = noise(32, 4)
    padded = np.pad(image, ((0, 0), (14, 14), (0, 0)), mode="edge")
    assert np.array_equal(translator(image), translator(padded)[:, 14:18])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_any_batch_size_gives_the_same_pictures(tiny_model, precision, norm):
    translator = load_model(tiny_model(generator={"norm": norm}), precision=precision, device="cpu")
    images = [noise(40, 64, seed=seed) for seed in range(10)]
    alone = [translator(image) for image in images]
    for size in (2, 3, 5, 7):
        batched = [
            result
            for start in range(0, 10, size)
            for result in translator.translate_batch(images[start : start + size])
        ]
        assert np.array_equal(np.stack(batched), np.stack(alone))


def test_pictures_of_different_sizes_share_a_batch_where_their_padded_sizes_agree(tiny_model):
    translator = load_model(tiny_model(), precision="float32", device="cpu")
    images = [noise(30, 40), noise(32, 33)]
    together = translator.translate_batch(images)
    assert [one.shape for one in together] == [(30, 40, 3), (32, 33, 3)]
    assert all(np.array_equal(translator(image), one) for image, one in zip(images, together, strict=True))


def test_running_statistics_differ_from_each_pictures_own(tiny_model):
    model, image = tiny_model(), noise(32, 32)
    assert not np.array_equal(load_model(model, statistics="running")(image), load_model(model)(image))


def test_the_recipe_says_which_statistics_and_dropout_unless_told_otherwise(tiny_model):
    model = tiny_model(inference={"statistics": "running", "dropout": True})
    translator = load_model(model)
    assert (translator.statistics, translator.dropout) == ("running", True)
    told = load_model(model, statistics="sample", dropout=False)
    assert (told.statistics, told.dropout) == ("sample", False)


def dropping_model(tiny_model):
    # Dropout sits from level 4 to depth - 2 only.
    return tiny_model(data={"size": 64, "load_size": 64}, generator={"depth": 6})


def test_without_dropout_two_runs_are_equal(tiny_model):
    model, image = dropping_model(tiny_model), noise(64, 64)
    assert np.array_equal(load_model(model)(image), load_model(model)(image))


def test_dropout_is_drawn_from_seed_and_key_not_from_the_batch(tiny_model):
    model = dropping_model(tiny_model)
    images, keys = [noise(64, 64, seed=seed) for seed in range(3)], ["a", "b", "c"]
    translator = load_model(model, dropout=True, seed=5)
    together = translator.translate_batch(images, keys=keys)
    alone = [load_model(model, dropout=True, seed=5)(images[i], key=keys[i]) for i in (2, 1, 0)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not np.array_equal(translator(images[0], key="a"), translator(images[0], key="z"))
    assert not np.array_equal(load_model(model, dropout=True, seed=6)(images[0], key="a"), together[0])


def test_dropout_leaves_the_global_generator_alone(tiny_model):
    translator = load_model(dropping_model(tiny_model), dropout=True, device="cpu")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    translator(noise(64, 64))
    assert torch.equal(before, torch.random.get_rng_state())


def test_bfloat16_stays_within_a_few_steps_of_float32(tiny_model):
    model, image = tiny_model(), noise(64, 64)
    exact = load_model(model, precision="float32")(image).astype(int)
    near = load_model(model, precision="bfloat16")(image).astype(int)
    assert np.abs(exact - near).mean() < 3


def test_the_network_takes_float32_whatever_the_precision(tiny_model):
    translator = load_model(tiny_model(), precision="bfloat16", device="cpu")
    assert translator.network(torch.zeros(1, 3, 32, 32)).dtype == torch.float32


def test_the_pair_maker_of_the_recipe_is_applied_first(tiny_model):
    image = noise(64, 64)
    model = tiny_model(pairs={"maker": "gray"})
    gray = load_model(model)(image)
    made = MAKERS["gray"].make(image, rng=np.random.default_rng(), options=MAKERS["gray"].options())
    assert np.array_equal(gray, load_model(model, prepare="none")(made))
    assert not np.array_equal(gray, load_model(model, prepare="none")(image))


def test_a_maker_that_degrades_is_not_applied_unless_asked(tiny_model):
    model = tiny_model(pairs={"maker": "downsample"})
    image = noise(64, 64)
    plain = load_model(model, prepare="none")(image)
    assert np.array_equal(load_model(model)(image), plain)
    assert not np.array_equal(load_model(model, prepare="maker")(image), plain)


def test_asking_for_a_maker_that_is_not_recorded_is_refused(tiny_model):
    with pytest.raises(UsageError, match="does not record a pair maker"):
        load_model(tiny_model(), prepare="maker")


@pytest.mark.parametrize("names", [["model"], ["model", "best"]])
def test_a_run_folder_gives_its_best_model(tiny_model, names):
    for name in names:
        model = tiny_model(f"runs/a/{name}.safetensors")
    assert load_model(model.parent).path == model


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"neither best\.safetensors nor model\.safetensors"):
        load_model(tmp_path)


def test_weights_of_another_shape_are_refused_by_name(tiny_model, tmp_path):
    from p2pcli.inference.model_file import ModelInfo, read_model, save_model

    state, recipe, _ = read_model(tiny_model())
    state.popitem()
    save_model(tmp_path / "torn.safetensors", state, recipe=recipe, info=ModelInfo())
    with pytest.raises(UsageError, match="do not fit the network"):
        load_model(tmp_path / "torn.safetensors")


def test_a_device_that_is_not_here_is_named(tiny_model):
    with pytest.raises(EnvironmentFaultError, match="cuda:99"):
        load_model(tiny_model(), device="cuda:99")


def test_an_unknown_precision_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'bfloat16'"):
        pick_dtype("bflaot16", torch.device("cpu"))


def test_other_dtypes_are_refused(tiny_model):
    with pytest.raises(UsageError, match="float64"):
        load_model(tiny_model())(np.zeros((32, 32, 3)))


def test_a_picture_too_large_for_the_memory_is_refused_before_it_is_tried(tiny_model, monkeypatch):
    translator = load_model(tiny_model(), device="cpu")
    monkeypatch.setattr("p2pcli.inference.needs.free_memory", lambda: 100_000)
    with pytest.raises(MemoryError, match="64×64 px need about"):
        translator(noise(64, 64))


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (3, "int"),
        ([[[0, 0, 0]]], "list"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"an array of shape \(1, 4, 4, 3\)"),
        (np.zeros((3, 32, 64), np.uint8), r"an array of shape \(3, 32, 64\)"),
        (np.zeros((0, 4, 3), np.uint8), r"an array of shape \(0, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(tiny_model, picture, found):
    with pytest.raises(
        UsageError, match=rf"a uint8 array \(H, W, 3\), RGB, a Pillow image or a path, not {found}\."
    ):
        load_model(tiny_model())(picture)


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("RGB", 3), ("L", 3), ("1", 3), ("P", 3), ("CMYK", 3), ("RGBA", 4), ("LA", 4), ("I;16", 3)],
)
def test_a_pillow_image_of_any_mode_is_a_picture(tiny_model, mode, channels):
    image = PillowImage.new(mode, (32, 32))
    assert load_model(tiny_model())(image).shape == (32, 32, channels)


def test_a_path_is_the_picture_in_the_file(tiny_model, tmp_path):
    picture, model = noise(32, 32), load_model(tiny_model())
    PillowImage.fromarray(picture).save(tmp_path / "a.png")
    assert np.array_equal(model(tmp_path / "a.png"), model(picture))
    assert np.array_equal(model(str(tmp_path / "a.png")), model(picture))


def test_a_palette_holds_the_ids_of_a_label_map(tiny_model, tmp_path):
    model = load_model(tiny_model(data={"labels": 4}))
    ids = np.arange(4, dtype=np.uint8).repeat(8)[None].repeat(32, axis=0)
    palette = PillowImage.fromarray(ids, "L")
    palette.putpalette([9, 8, 7] * 256)
    palette.save(tmp_path / "map.png")
    expected = model(ids)
    assert np.array_equal(model(palette), expected)
    assert np.array_equal(model(tmp_path / "map.png"), expected)


def test_a_model_shows_what_it_is(tiny_model):
    path = tiny_model()
    assert repr(load_model(path, device="cpu", precision="float32")).startswith(
        f"<Translator {path}: unet, trained at 32 px; CPU"
    )


def test_translating_does_not_load_the_compiler_of_torch(tiny_model):
    # A second before the first picture, and 140 MB.
    program = (
        "import sys, numpy, p2pcli.jobs.translate\n"
        f"p2pcli.load_model({str(tiny_model())!r})(numpy.zeros((32, 32, 3), numpy.uint8))\n"
        "print(sorted({'torch', 'torch._dynamo', 'torch._inductor', 'triton', 'sympy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['torch']\n"
