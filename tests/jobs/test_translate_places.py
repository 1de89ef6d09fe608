"""Where translations go and where sources lie: odd places, what is left behind, what is said of faults."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.inference.translator import load_model
from p2pcli.io import atomic
from p2pcli.io.atomic import atomic_path, write_bytes
from p2pcli.io.codec import encode
from p2pcli.jobs.translate import translate


def photo(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 36, 3)).astype(np.uint8)
    write_bytes(path, encode(pixels, path.suffix))
    return path


def test_what_a_killed_run_left_of_a_single_file_is_swept(tmp_path: Path, tiny_model: Callable[..., Path]):
    source, out = photo(tmp_path / "a.png"), tmp_path / "b.png"
    left, others = atomic._temporary_sibling(out, ""), atomic._temporary_sibling(tmp_path / "c.png", "")
    left.touch()
    others.touch()
    report = translate(source, model=tiny_model(), output=out, device="cpu")
    assert (report.tally.written, left.exists(), others.exists()) == (1, False, True)


@pytest.mark.parametrize("name", ["out", "deep/out", "b.png"])
def test_an_output_below_a_file_is_refused(tmp_path: Path, tiny_model: Callable[..., Path], name: str):
    source, file = photo(tmp_path / "a.png"), photo(tmp_path / "file.png")
    with pytest.raises(UsageError, match=r"file\.png is a file\. Choose a folder with -o\."):
        translate(source, model=tiny_model(), output=file / name, device="cpu")


def test_a_limit_on_file_sizes_ends_the_run(tmp_path: Path, tiny_model: Callable[..., Path], monkeypatch):
    def refused(path: Path, data: bytes) -> None:
        with atomic_path(path):
            raise OSError(errno.EFBIG, "File too large")

    source = photo(tmp_path / "a.png")
    model = tiny_model()
    monkeypatch.setattr("p2pcli.inference.pictures.write_bytes", refused)
    with pytest.raises(EnvironmentFaultError, match="takes no file so large"):
        translate(source, model=model, output=tmp_path / "out", device="cpu")


def test_a_link_to_nothing_fails_in_a_sentence(tmp_path: Path, tiny_model: Callable[..., Path]):
    folder = tmp_path / "photos"
    photo(folder / "a.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    report = translate(folder, model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert [failure.message for failure in report.tally.failed] == [
        "gone.png: cannot be read (No such file or directory). Check the path and its permissions."
    ]


def test_a_model_in_a_folder_that_may_not_be_searched_is_not_taken_for_an_output(tmp_path: Path, monkeypatch):
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    # What `is_dir` and `open` meet there.
    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UsageError, match=r"best\.safetensors: cannot be read \(Permission denied\)"):
        load_model(tmp_path / "best.safetensors", device="cpu")


def test_a_name_that_the_disk_does_not_take_fails_in_a_sentence(
    tmp_path: Path, tiny_model: Callable[..., Path]
):
    folder = tmp_path / "photos"
    photo(folder / f"{'l' * 250}.png")
    photo(folder / "a.png").replace(folder / f"{'l' * 250}.bmp")
    report = translate(folder, model=tiny_model(), output=tmp_path / "out", encoding="png", device="cpu")
    (failure,) = report.tally.failed
    assert (report.tally.written, failure.stage) == (1, "write")
    assert "cannot be written (File name too long). Make room for it or choose" in failure.message


@pytest.mark.parametrize("name", ["b.mp4", "b.avi", "b.heic"])
def test_a_suffix_that_a_picture_is_not_written_as_is_refused(
    tmp_path: Path, tiny_model: Callable[..., Path], name: str
):
    source = photo(tmp_path / "a.png")
    with pytest.raises(
        UsageError, match=r"a\.png is a picture, which is not written as '\.\w+'\. Choose one of"
    ):
        translate(source, model=tiny_model(), output=tmp_path / name, device="cpu")
    assert not (tmp_path / name).exists()


def test_a_named_file_and_another_encoding_contradict(tmp_path: Path, tiny_model: Callable[..., Path]):
    source = photo(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"b\.png and --encoding jpg ask for two formats"):
        translate(source, model=tiny_model(), output=tmp_path / "b.png", encoding="jpg", device="cpu")


def test_an_unknown_encoding_lists_the_known_ones(tmp_path: Path, tiny_model: Callable[..., Path]):
    source = photo(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"cannot be written as 'mp3'\. Known: png, apng, jpg"):
        translate(source, model=tiny_model(), output=tmp_path / "out", encoding="mp3", device="cpu")


def test_an_animation_of_which_the_first_picture_is_translated_is_named(
    tmp_path: Path, tiny_model: Callable[..., Path]
):
    first, *others = [PillowImage.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 90, 180)]
    (tmp_path / "photos").mkdir()
    for name in ("still.png", "a.gif", "b.tiff"):
        first.save(tmp_path / "photos" / name, save_all=name != "still.png", append_images=others)
    report = translate(tmp_path / "photos", model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert report.notes[-1] == (
        "several pictures in one file, of which the first alone was translated: a.gif (3), b.tiff (3)"
    )


def test_a_link_to_nothing_is_no_output_folder(tmp_path: Path, tiny_model: Callable[..., Path]):
    (tmp_path / "out").symlink_to("nowhere")
    source = photo(tmp_path / "a.png")
    with pytest.raises(UsageError, match="out is a link to nowhere, which is not there"):
        translate(source, model=tiny_model(), output=tmp_path / "out", device="cpu")


@pytest.mark.parametrize("option", ["batch_size", "limit", "max_pixels", "workers", "seed"])
def test_a_number_out_of_range_is_refused(tmp_path: Path, tiny_model: Callable[..., Path], option: str):
    source = photo(tmp_path / "a.png")
    with pytest.raises(UsageError, match=f"{option} -1: expected"):
        translate(source, model=tiny_model(), output=tmp_path / "out", **{option: -1})


def test_a_link_in_the_output_folder_does_not_lead_a_result_onto_its_source(
    tmp_path: Path, tiny_model: Callable[..., Path]
):
    source = photo(tmp_path / "photos" / "sub" / "a.png")
    before = source.read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(source.parent)
    with pytest.raises(UsageError, match=r"a\.png is the source .*a\.png, through a link"):
        translate(
            tmp_path / "photos", model=tiny_model(), output=tmp_path / "out", overwrite=True, device="cpu"
        )
    assert source.read_bytes() == before
