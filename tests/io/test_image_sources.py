"""Folders as sources: photos, side by side, two folders; and the door that tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ItemError, NothingMatchedError, UsageError
from p2pcli.io import SOURCES, open_source
from p2pcli.io.codec import encode
from p2pcli.io.folder import FolderSource
from p2pcli.io.pairs_folder import PairsFolderSource
from p2pcli.io.sidebyside import SideBySideSource


def _write(path: Path, width: int = 8, height: int = 8, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(np.full((height, width, 3), value, np.uint8), path.suffix))


def _pairs(root: Path, a: str, b: str, names: tuple[str, ...] = ("1", "2")) -> None:
    for name in names:
        _write(root / a / f"{name}.png", value=10)
        _write(root / b / f"{name}.bmp", value=20)


def test_plain_photos_have_no_target(tmp_path: Path) -> None:
    _write(tmp_path / "x/1.png", 5, 4, 7)
    source = open_source(tmp_path)
    assert isinstance(source, FolderSource)
    assert not source.is_paired
    assert source.splits() == {"all": ["x/1"]}
    sample = source.read("x/1")
    assert sample.input.shape == (4, 5, 3)
    assert sample.target is None
    assert sample.meta["source"] == "x/1.png"


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val"), {"train": 1, "validation": 1}),
        (("train", "valid", "test"), {"train": 1, "validation": 1, "test": 1}),
        (("Train", "Validation"), {"train": 1, "validation": 1}),
        (("train", "other"), {"all": 2}),
        (("test",), {"test": 1}),
    ],
)
def test_split_folders_are_known_by_their_usual_names(
    tmp_path: Path, folders: tuple[str, ...], splits: dict[str, int]
) -> None:
    for folder in folders:
        _write(tmp_path / folder / "1.png")
    assert {name: len(keys) for name, keys in open_source(tmp_path).splits().items()} == splits


def test_images_of_twice_the_width_are_cut_into_left_and_right(tmp_path: Path) -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 4:] = 200
    (tmp_path / "train").mkdir()
    (tmp_path / "train/1.png").write_bytes(encode(image, ".png"))
    source = open_source(tmp_path)
    assert isinstance(source, SideBySideSource)
    assert source.is_paired
    sample = source.read("train/1")
    assert sample.input.shape == (4, 4, 3)
    assert not sample.input.any()
    assert sample.target is not None
    assert (sample.target == 200).all()


def test_an_odd_column_goes_to_the_right_half(tmp_path: Path) -> None:
    _write(tmp_path / "1.png", 9, 4)
    sample = SideBySideSource(tmp_path).read("1")
    assert sample.target is not None
    assert (sample.input.shape[1], sample.target.shape[1]) == (4, 5)


def test_one_photo_of_another_shape_makes_a_folder_plain(tmp_path: Path) -> None:
    _write(tmp_path / "1.png", 16, 8)
    _write(tmp_path / "2.png", 12, 8)
    assert isinstance(open_source(tmp_path), FolderSource)


def test_a_corrupt_image_does_not_hide_the_layout_and_fails_alone(tmp_path: Path) -> None:
    _write(tmp_path / "1.png", 16, 8)
    (tmp_path / "2.png").write_bytes(b"")
    source = open_source(tmp_path)
    assert isinstance(source, SideBySideSource)
    with pytest.raises(ItemError, match=r"2\.png: an empty file"):
        source.read("2")


def test_a_layout_can_be_asked_for_by_name(tmp_path: Path) -> None:
    _write(tmp_path / "1.png", 12, 8)
    assert isinstance(open_source(tmp_path, layout="side-by-side"), SideBySideSource)


def test_a_split_without_pairs_beside_one_with_pairs_is_refused(tmp_path: Path) -> None:
    for folder in ("train/A", "train/B"):
        _write(tmp_path / folder / "1.png", 8, 8)
    (tmp_path / "val/A").mkdir(parents=True)
    (tmp_path / "val/B").mkdir()
    with pytest.raises(UsageError, match=r"0 pairs in val/A/ \+ val/B/; .*fill this one"):
        open_source(tmp_path)


def test_pairs_of_two_sizes_are_found_before_any_is_decoded(tmp_path: Path) -> None:
    for name in ("1", "2"):
        _write(tmp_path / f"A/{name}.png", 8, 8)
        _write(tmp_path / f"B/{name}.png", 8 if name == "1" else 9, 8)
    source = open_source(tmp_path)
    assert isinstance(source, PairsFolderSource)
    with pytest.raises(UsageError, match=r"2: two pictures .*A/2.png is 8×8, B/2.png is 9×8"):
        source.require_usable()


def test_a_third_picture_of_another_size_is_found_too(tmp_path: Path) -> None:
    for folder, width in (("label", 8), ("img", 8), ("inst", 7)):
        _write(tmp_path / f"{folder}/1.png", width, 8)
    source = open_source(tmp_path, extras=("inst",))
    assert isinstance(source, PairsFolderSource)
    with pytest.raises(UsageError, match=r"inst/1.png is 7×8, img/1.png is 8×8"):
        source.require_usable()


def test_pairs_with_nan_are_refused_with_their_name(tmp_path: Path) -> None:
    _write(tmp_path / "B/1.png", 8, 8)
    (tmp_path / "A").mkdir()
    PillowImage.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "A/1.tiff")
    source = open_source(tmp_path)
    assert isinstance(source, PairsFolderSource)
    with pytest.raises(UsageError, match=r"1.tiff: 32-bit float values from nan to nan"):
        source.require_usable()


@pytest.mark.parametrize(
    ("a", "b", "keys"),
    [
        ("A", "B", {"all": ["1", "2"]}),
        ("input", "target", {"all": ["1", "2"]}),
        ("label", "img", {"all": ["1", "2"]}),
        ("labels", "images", {"all": ["1", "2"]}),
        ("trainA", "trainB", {"train": ["train/1", "train/2"]}),
        ("val_A", "val_B", {"validation": ["validation/1", "validation/2"]}),
        ("train_label", "train_img", {"train": ["train/1", "train/2"]}),
        ("train/A", "train/B", {"train": ["train/1", "train/2"]}),
        ("train/label", "train/img", {"train": ["train/1", "train/2"]}),
        ("A/test", "B/test", {"test": ["test/1", "test/2"]}),
        ("A/deep/er", "B/deep/er", {"all": ["deep/er/1", "deep/er/2"]}),
    ],
)
def test_published_layouts_of_two_folders_are_recognised(
    tmp_path: Path, a: str, b: str, keys: dict[str, list[str]]
) -> None:
    _pairs(tmp_path, a, b)
    source = open_source(tmp_path)
    assert isinstance(source, PairsFolderSource)
    assert source.is_paired
    assert source.splits() == keys
    sample = source.read(next(iter(keys.values()))[0])
    assert sample.target is not None
    assert (sample.input[0, 0, 0], sample.target[0, 0, 0]) == (10, 20)


def test_several_splits_are_joined_in_their_order(tmp_path: Path) -> None:
    for split in ("test", "val", "train"):
        _pairs(tmp_path, f"{split}A", f"{split}B", ("1",))
    assert open_source(tmp_path).splits() == {
        "train": ["train/1"],
        "validation": ["validation/1"],
        "test": ["test/1"],
    }


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    _pairs(tmp_path, "A", "B")
    _write(tmp_path / "A/3.png")
    _write(tmp_path / "B/4.png")
    source = PairsFolderSource(tmp_path)
    assert source.splits() == {"all": ["1", "2"]}
    assert source.unmatched == ("A/3.png", "B/4.png")
    with pytest.raises(UsageError, match=r"2 files have no partner \(A/3\.png, B/4\.png\)"):
        PairsFolderSource(tmp_path, strict=True)


def test_folders_where_nothing_matches_are_refused_with_counts_and_names(tmp_path: Path) -> None:
    for index in range(3):
        _write(tmp_path / f"A/photo{index}.png")
        _write(tmp_path / f"B/edge{index}.png")
    with pytest.raises(
        UsageError, match=r"0 pairs in A/ \+ B/; 6 files have no partner \(A/photo0\.png, .*…\)"
    ):
        open_source(tmp_path)


def test_two_kinds_of_pairs_in_one_folder_are_refused(tmp_path: Path) -> None:
    _pairs(tmp_path, "A", "B")
    _pairs(tmp_path, "input", "target")
    with pytest.raises(UsageError, match="several kinds of pairs"):
        open_source(tmp_path)


def test_a_pair_of_two_sizes_is_an_item_error_with_both(tmp_path: Path) -> None:
    _write(tmp_path / "A/1.png", 8, 6)
    _write(tmp_path / "B/1.png", 4, 3)
    with pytest.raises(ItemError, match=r"A/1\.png is 8×6, B/1\.png is 4×3"):
        open_source(tmp_path).read("1")


def test_a_folder_without_images_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(
        NothingMatchedError, match=r"nothing to read\. Looked for: a Parquet dataset.*A/ \+ B/"
    ):
        open_source(tmp_path)


def test_an_unknown_layout_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown layout 'pair'\. Did you mean 'pairs'\?"):
        open_source(tmp_path, layout="pair")


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        open_source(tmp_path / "gone")


@pytest.mark.parametrize("layout", ["pairs", "side-by-side", "photos"])
def test_an_unknown_key_is_a_usage_error(tmp_path: Path, layout: str) -> None:
    assert layout in SOURCES
    _pairs(tmp_path, "A", "B")
    with pytest.raises(UsageError, match="'gone'"):
        open_source(tmp_path, layout=layout).read("gone")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "kind", "counts"),
    [
        ("pairs/facades", SideBySideSource, {"all": 500}),
        ("pairs/edges2shoes", SideBySideSource, {"all": 20}),
        ("pairs/brooklyn1887", SideBySideSource, {"all": 63}),
        ("pairs/camvid", PairsFolderSource, {"train": 200, "validation": 60}),
        ("kodak24", FolderSource, {"all": 24}),
        ("photos", FolderSource, {"all": 163}),
    ],
)
def test_real_datasets_are_recognised(real_data: Path, name: str, kind: type, counts: dict[str, int]) -> None:
    source = open_source(real_data / name)
    assert isinstance(source, kind)
    assert {split: len(keys) for split, keys in source.splits().items()} == counts
    key = next(iter(source.splits().values()))[0]
    assert (source.read(key).target is not None) is source.is_paired
