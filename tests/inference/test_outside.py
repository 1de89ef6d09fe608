"""Models of other projects through spandrel; the networks are spandrel's own, small and made here."""

from __future__ import annotations

import os
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.image import Image, as_gray8
from p2pcli.inference.outside import OutsideNetwork
from p2pcli.inference.tiling import Tiling
from p2pcli.inference.translator import load_model
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode, read_image
from p2pcli.io.video import VideoWriter, frame_times, probe
from p2pcli.jobs.translate import translate
from p2pcli.recipe import load_recipe
from p2pcli.tasks import build_generator

# Of spandrel's own constructors, which only these tests call outside `load_model`.
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


class Hostile:
    """Makes a folder when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("owned",)


def noise(height: int, width: int, channels: int = 3, *, dtype: str = "uint8", seed: int = 0) -> Image:
    top = int(np.iinfo(dtype).max) + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels)).astype(dtype)


@pytest.fixture
def outside(tmp_path: Path) -> Any:
    """Saves weights of one of spandrel's architectures; keyword arguments go to its constructor."""
    pytest.importorskip("spandrel")

    def save(kind: str = "compact", name: str = "x.pth", **options: int) -> Path:
        torch.manual_seed(0)
        path = tmp_path / name
        state = _network(kind, options).state_dict()
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
        return path

    return save


def _network(kind: str, options: dict[str, int]) -> nn.Module:
    if kind == "compact":
        from spandrel.architectures.Compact import Compact

        return Compact(**{"num_feat": 8, "num_conv": 2, "upscale": 4, **options})
    if kind == "esrgan":
        from spandrel.architectures.ESRGAN import ESRGAN

        return ESRGAN(**{"num_filters": 8, "num_blocks": 1, **options})
    from spandrel.architectures.SwinIR import SwinIR

    small = {"img_size": 16, "window_size": 8, "depths": [2], "num_heads": [2], "embed_dim": 8}
    return SwinIR(**{**small, "upsampler": "pixelshuffledirect", **options})


def spandrels_own(path: Path, image: Image) -> Image:
    from spandrel import ModelLoader

    unit = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    made = ModelLoader().load_from_state_dict(torch.load(path, weights_only=True))(unit)
    result: Image = (made[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
    return result


@pytest.mark.parametrize(
    ("kind", "options", "scale"),
    [
        ("compact", {"upscale": 1}, 1),
        ("compact", {"upscale": 3}, 3),
        ("esrgan", {"scale": 4}, 4),
        ("esrgan", {"scale": 2, "in_nc": 12, "shuffle_factor": 2}, 1),
        ("swinir", {"upscale": 2}, 2),
    ],
)
def test_the_result_is_as_many_times_larger_as_the_model_says(outside, kind, options, scale):
    model = load_model(outside(kind, **options), device="cpu")
    assert model.scale == scale
    for height, width in ((33, 21), (1, 3)):
        assert model(noise(height, width)).shape == (height * scale, width * scale, 3)


@pytest.mark.parametrize("kind", ["compact", "esrgan", "swinir"])
def test_the_pixels_are_those_that_spandrel_itself_makes(outside, kind):
    path, image = outside(kind), noise(32, 48)
    made = load_model(path, device="cpu", precision="float32")(image)
    # Another memory layout sums in another order: a value on the edge of rounding may fall either way.
    steps = np.abs(made.astype(int) - spandrels_own(path, image))
    assert steps.max() <= 1 and np.mean(steps > 0) < 1e-3


def test_safetensors_and_wrapped_weights_give_the_same_picture(outside, tmp_path):
    image, path = noise(20, 20), outside()
    torch.save({"params_ema": torch.load(path, weights_only=True)}, tmp_path / "wrapped.pth")
    made = load_model(path)(image)
    for other in (outside(name="x.safetensors"), tmp_path / "wrapped.pth"):
        assert np.array_equal(load_model(other)(image), made)


def test_a_gray_model_sees_and_makes_gray(outside):
    model, image = load_model(outside(num_in_ch=1, num_out_ch=1)), noise(16, 16)
    made = model(image)
    assert made.shape == (64, 64, 1)
    assert np.array_equal(made, model(as_gray8(image)))


def test_alpha_is_enlarged_and_sixteen_bits_stay(outside):
    image = noise(16, 16, 4, dtype="uint16")
    image[:, :, 3] = 1000
    made = load_model(outside())(image)
    assert (made.shape, made.dtype) == ((64, 64, 4), np.dtype("uint16"))
    assert (made[:, :, 3] == 1000).all()


def test_any_batch_size_gives_the_same_pictures(outside):
    model = load_model(outside(), device="cpu", precision="float32")
    images = [noise(20, 24, seed=seed) for seed in range(3)]
    together = model.translate_batch(images)
    assert all(np.array_equal(model(image), one) for image, one in zip(images, together, strict=True))


def test_tiles_that_reach_far_enough_into_each_other_leave_no_seam(outside):
    model, image = load_model(outside(), device="cpu", precision="float32"), noise(70, 101)
    whole = model(image)
    model.tiling = Tiling(side_px=32, margin_px=8, scale=4)
    steps = np.abs(model(image).astype(int) - whole)
    assert steps.max() <= 1 and np.mean(steps > 0) < 1e-3


def test_memory_is_asked_for_one_tile_not_for_the_whole_picture(outside, monkeypatch):
    model = load_model(outside(), device="cpu")
    model.tiling = Tiling(side_px=32, margin_px=8, scale=4)
    monkeypatch.setattr("p2pcli.inference.needs.free_memory", lambda: int(32 * 32 * model.bytes_per_pixel))
    assert model(noise(100, 100)).shape == (400, 400, 3)


def test_a_format_that_the_architecture_does_not_compute_in_is_refused_only_when_asked(outside):
    path = outside("swinir")
    with pytest.raises(UsageError, match=r"SwinIR networks do not compute in float16\. Use --precision"):
        load_model(path, precision="float16")
    assert load_model(path, precision="auto").dtype in (torch.float32, torch.bfloat16)


def test_the_network_itself_takes_and_gives_our_range(outside):
    model = load_model(outside(), device="cpu", precision="bfloat16")
    made = model.network(torch.full((1, 3, 8, 8), -1.0))
    assert (made.dtype, made.shape) == (torch.float32, (1, 3, 32, 32))
    assert made.min() >= -1 and made.max() <= 1
    assert model.recipe is None


def test_what_it_is_and_its_licence_are_told(outside, tmp_path):
    path = outside()
    assert load_model(path).about == (
        "RealESRGAN Compact (8nf, 2nc), enlarges 4 times, through spandrel; its file names no licence: see "
        "where it comes from"
    )
    licensed = tmp_path / "licensed.safetensors"
    state = torch.load(path, weights_only=True)
    save_file(state, licensed, metadata={"modelspec.license": "CC-BY-4.0"})
    assert load_model(licensed).about.endswith("through spandrel; licence CC-BY-4.0")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"statistics": "running"}, "--statistics"),
        ({"dropout": True}, "--dropout"),
        ({"direction": "BtoA"}, "--direction"),
        ({"prepare": "maker"}, "--prepare maker"),
    ],
)
def test_what_only_our_own_models_have_is_refused(outside, given, name):
    with pytest.raises(UsageError, match=f"{name} is for models that p2p trained or imported"):
        load_model(outside(), **given)


def test_a_folder_is_enlarged_once_and_then_done(outside, tmp_path):
    write_bytes(tmp_path / "in" / "a.png", encode(noise(20, 12), ".png"))
    model = outside(upscale=2)
    report = translate(tmp_path / "in", model=model, output=tmp_path / "out")
    assert read_image(tmp_path / "out" / "a.png").image.shape == (40, 24, 3)
    assert "x.pth: RealESRGAN Compact" in "\n".join(report.notes)
    assert translate(tmp_path / "in", model=model, output=tmp_path / "out").tally.skipped == {
        "done already": 1
    }
    other = outside(name="other.pth", upscale=2, num_conv=3)
    assert translate(tmp_path / "in", model=other, output=tmp_path / "out").tally.written == 1


def test_a_film_is_enlarged_frame_by_frame(outside, tmp_path, monkeypatch):
    source, out = film(tmp_path / "film.mp4"), tmp_path / "out.mp4"
    model, whole = outside(upscale=2), OutsideNetwork.forward
    calls = []

    def fail_first(self, x):
        calls.append(x)
        if len(calls) == 1:
            raise RuntimeError("cannot")
        return whole(self, x)

    monkeypatch.setattr(OutsideNetwork, "forward", fail_first)
    report = translate(source, model=model, output=out, batch_size=1)
    assert (report.frames, report.frames_failed) == (4, 1)
    # Also where the first frame shows the source.
    assert (probe(out).width, probe(out).height) == (128, 96)
    assert frame_times(out) == frame_times(source)


def film(path: Path) -> Path:
    start = probe(_seed(path.with_name("seed.mp4")))
    with VideoWriter(path, like=start) as writer:
        for number in range(4):
            writer.write(noise(48, 64, seed=number), number * 2 + number // 2)
    return path


def _seed(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 25)
        output.mux(video.encode(av.VideoFrame.from_ndarray(noise(48, 64), format="rgb24")))
        output.mux(video.encode(None))
    return path


def test_without_spandrel_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    torch.save({"body.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "x.pth")
    with pytest.raises(EnvironmentFaultError, match=r"not installed\. Run pip install 'p2pcli\[spandrel\]'"):
        load_model(tmp_path / "x.pth")


def test_a_hostile_pickle_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": Hostile()}, "x.pth")
    with pytest.raises(UsageError, match=r"x\.pth: not opened: a pickle that holds more than tensors"):
        load_model("x.pth")
    assert not Path("owned").exists()


def test_a_torchscript_archive_is_refused_without_a_warning(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for name in ("version", "constants.pkl", "data.pkl", "byteorder"):
            archive.writestr(f"x/{name}", "3")
    with pytest.raises(UsageError, match=r"x\.pt: not opened: .*TorchScript"):
        load_model(tmp_path / "x.pt")


def test_published_pix2pix_weights_are_sent_to_import(tmp_path):
    network = build_generator(load_recipe("quick"))
    torch.save(network.state_dict(), tmp_path / "latest_net_G.pth")
    with pytest.raises(UsageError, match=r"p2p import .*latest_net_G\.pth -o latest_net_G\.safetensors"):
        load_model(tmp_path / "latest_net_G.pth")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"stem.weight": torch.zeros(3)}, "weights of no network that p2p or spandrel"),
        ({"body.0.weight": torch.zeros(8, 3, 3, 3), "body.1.weight": torch.zeros(8)}, "spandrel"),
    ],
)
def test_weights_that_spandrel_does_not_know_are_refused(tmp_path, state, words):
    pytest.importorskip("spandrel")
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UsageError, match=words):
        load_model(tmp_path / "x.pth")


class Stub:
    """As much of a descriptor as the adapter asks for; sees a hole, and takes no channels-last."""

    scale, input_channels, output_channels, purpose = 1, 3, 3, "Inpainting"
    supports_half = supports_bfloat16 = False

    def __init__(self) -> None:
        from types import SimpleNamespace as Name

        self.model = nn.Conv2d(3, 3, 1)
        self.architecture, self.tiling = Name(name="Stub"), Name(name="SUPPORTED")
        self.size_requirements = Name(multiple_of=8, minimum=16, square=True)

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
            raise RuntimeError("view size is not compatible")
        return image * (1 - mask) + mask


def test_one_that_fills_holes_sees_them_as_its_last_plane_and_is_never_tiled():
    network = OutsideNetwork(Stub())
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., :8] = 1
    made = network(torch.cat([torch.zeros(1, 3, 16, 16), hole], 1))
    assert (made[..., :8] == 1).all() and (made[..., 8:] == 0).all()
    assert (network.tiles_well, network.size_needs.is_square) == (False, True)


@pytest.mark.parametrize(("length", "multiple_of"), [(5, 1), (64, 1), (65, 1), (130, 8), (1000, 16)])
def test_tiles_cover_a_side_once_and_reach_into_each_other(length, multiple_of):
    tiling = Tiling(side_px=64, margin_px=8, multiple_of=multiple_of)
    spans = tiling.spans(length)
    kept = [px for _, first, last in spans for px in range(first, last)]
    assert kept == list(range(length))
    for start, first, last in spans:
        assert start == 0 or first - start >= 8
        assert start + 64 >= length or start + 64 - last >= 8
        assert start % multiple_of == 0 or start + 64 == length
