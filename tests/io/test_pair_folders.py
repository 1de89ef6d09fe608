"""Which two folders, or files, are the sides of pairs: told by names, said where names do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import UsageError
from p2pcli.io import open_source
from p2pcli.io.codec import encode
from p2pcli.io.folder import FolderSource
from p2pcli.io.name_tree import tree_of
from p2pcli.io.pair_folders import find_pairs
from p2pcli.io.pair_names import folder_name, is_first_the_input, mark_of, plain_stem
from p2pcli.io.pair_sides import Asked
from p2pcli.io.pairs_folder import PairsFolderSource

INPUT, TARGET = 10, 200
"""What the pictures of each side are filled with."""


def write(
    root: Path, pattern: str, value: int, *, names: tuple[str, ...] = ("0001", "0002"), px: int = 8
) -> None:
    for name in names:
        path = root / pattern.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((px, px, 3), value, np.uint8), path.suffix))


def sides(*relatives: str, **asked: object) -> list[tuple[str, str, str]]:
    """(prefix, input, target) of each set that is found in a tree of these files."""
    found = find_pairs(tree_of(relatives), Asked(**asked), where="data")  # type: ignore[arg-type]
    return [(one.prefix, one.input.shown, one.target.shown) for one in found]


def both(first: str, second: str) -> list[str]:
    """Two files of each of two patterns."""
    return [pattern.format(name) for pattern in (first, second) for name in ("0001", "0002")]


@pytest.mark.parametrize(
    ("source", "target", "split"),
    [
        ("lr/{}.png", "hr/{}.png", "all"),
        ("LR/{}.png", "HR/{}.jpg", "all"),
        ("LQ/{}_x4.png", "GT/{}.png", "all"),
        ("input/{}.png", "gt/{}.png", "all"),
        ("source/{}.png", "target/{}.png", "all"),
        ("masks/{}.png", "images/{}.jpg", "all"),
        ("mask/{}_mask.png", "img/{}.jpg", "all"),
        ("label/mask_{}.png", "img/img_{}.png", "all"),
        ("conditioning_images/{}.png", "images/{}.png", "all"),
        ("A/{}x4.png", "B/{}.png", "all"),
        ("low_res/{}.png", "high-res/{}.PNG", "all"),
        ("noisy/{}.png", "clean/{}.png", "all"),
        ("sketches/{}.png", "photos/{}.jpg", "all"),
        ("SegmentationClass/{}.png", "JPEGImages/{}.jpg", "all"),
        ("faces_masks/{}.png", "faces_images/{}.png", "all"),
        ("DIV2K_train_LR_bicubic/X4/{}x4.png", "DIV2K_train_HR/{}.png", "train"),
        ("DIV2K_valid_LR_unknown/X2/{}x2.png", "DIV2K_valid_HR/{}.png", "validation"),
        ("Flickr2K_LR_bicubic/X4/{}x4.png", "Flickr2K_HR/{}.png", "all"),
        ("train/lr/{}.png", "train/hr/{}.png", "train"),
        ("lr/train/{}.png", "hr/train/{}.png", "train"),
        ("trainLR/{}.png", "trainHR/{}.png", "train"),
        ("val_lq/{}.png", "val_gt/{}.png", "validation"),
        ("dataset/train/source/{}.png", "dataset/train/target/{}.png", "train"),
        ("Canon/Train/4/Canon_{}_LR4.png", "Canon/Train/4/Canon_{}_HR.png", "train"),
        ("base/cmp_b{}.png", "base/cmp_b{}.jpg", "all"),
        ("{}.png", "{}.jpeg", "all"),
        ("{}_input.png", "{}_target.png", "all"),
        ("{}_mask.png", "{}.jpg", "all"),
    ],
)
def test_pairs_as_people_have_them_are_read_in_the_right_direction(
    tmp_path: Path, source: str, target: str, split: str
) -> None:
    write(tmp_path, source, INPUT)
    write(tmp_path, target, TARGET)
    pairs = open_source(tmp_path)
    assert isinstance(pairs, PairsFolderSource)
    assert {name: len(keys) for name, keys in pairs.splits().items()} == {split: 2}
    sample = pairs.read(pairs.splits()[split][0])
    assert sample.target is not None
    # JPEG may be off by one.
    assert abs(int(sample.input[0, 0, 0]) - INPUT) < 3 and abs(int(sample.target[0, 0, 0]) - TARGET) < 3


@pytest.mark.parametrize("photos_do", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ("left/{}.png", "right/{}.png", "--input left --target right"),
        ("images/{}.png", "gt/{}.png", "--input gt --target images"),
        ("train/one/{}.png", "train/two/{}.png", "--input one --target two"),
        ("one/train/{}.png", "two/train/{}.png", "--input one --target two"),
        ("set/one/{}.png", "set/two/{}_x2.png", "--input one --target two"),
        ("{}.webp", "{}.png", r"--input '\*.(png|webp)' --target '\*.(png|webp)'"),
    ],
)
def test_two_folders_of_the_same_names_that_do_not_tell_are_refused_with_both_and_the_option(
    tmp_path: Path, first: str, second: str, how: str, photos_do: bool
) -> None:
    write(tmp_path, first, INPUT)
    write(tmp_path, second, TARGET)
    with pytest.raises(UsageError, match=rf"hold the same names \(2\).*{how}.*data\.layout=photos"):
        open_source(tmp_path, photos_do=photos_do)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("left/{}.png", "right/{}.png", ("left", "right")),
        ("left/{}.png", "right/{}.png", ("LEFT/", "right")),
        ("train/left/{}.png", "train/right/{}.png", ("left", "right")),
        ("left/train/{}.png", "right/train/{}.png", ("left", "right")),
        ("{}.webp", "{}.png", ("*.webp", "*.png")),
        ("images/{}.png", "masks/{}.png", ("images", "masks")),
    ],
)
def test_the_sides_can_be_named(tmp_path: Path, first: str, second: str, names: tuple[str, str]) -> None:
    write(tmp_path, first, INPUT)
    write(tmp_path, second, TARGET)
    source = open_source(tmp_path, input_side=names[0], target_side=names[1])
    sample = source.read(next(iter(source.splits().values()))[0])
    assert sample.target is not None
    assert (sample.input[0, 0, 0], sample.target[0, 0, 0]) == (INPUT, TARGET)


def test_one_named_side_of_two_is_enough() -> None:
    assert sides(*both("left/{}.png", "right/{}.png"), target="left") == [("", "right/", "left/")]


def test_a_side_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, "left/{}.png", 0)
    with pytest.raises(
        UsageError, match=r"no two sides for --input gone and --target left. Its folders: left/"
    ):
        open_source(tmp_path, input_side="gone", target_side="left")


def test_photos_can_be_asked_for_where_two_folders_look_like_pairs(tmp_path: Path) -> None:
    for folder in ("hr", "lr"):
        write(tmp_path, f"{folder}/{{}}.png", 0)
    source = open_source(tmp_path, layout="photos", photos_do=True)
    assert isinstance(source, FolderSource)
    assert len(source.splits()["all"]) == 4


@pytest.mark.parametrize(
    "names",
    [
        both("a/{}.png", "b/{}.png") + both("c/{}.png", "d/{}.png"),
        both("clip_00/{}.png", "clip_01/{}.png") + both("clip_02/{}.png", "clip_03/{}.png"),
        ["train/0001.png", "val/0001.png"],
        ["cats/1.png", "cats/2.png", "dogs/7.png", "dogs/8.png"],
        ["IMG_0001.jpg", "IMG_0002.jpg", "scan.png"],
        ["0001.png", "0002.png"],
    ],
)
def test_clips_splits_and_plain_photos_are_no_pairs(names: list[str]) -> None:
    assert sides(*names, must_match=True) == []


def test_classes_with_the_same_names_are_no_pairs() -> None:
    assert sides(*both("cats/{}.png", "dogs/{}.png"), classes=("cats", "dogs")) == []


def test_further_pictures_are_no_side() -> None:
    names = both("label/{}.png", "img/{}.png") + both("mask/{}.png", "pose/{}.png")
    assert sides(*names) == [("", "label/", "img/")]
    assert sides(*both("mask/{}.png", "img/{}.png"), *both("edges/{}.png", "x/{}.txt"), extras=("mask",)) == [
        ("", "edges/", "img/")
    ]


def test_one_of_several_scales_is_chosen_by_the_scale() -> None:
    names = both("HR/{}.png", "LR_bicubic/X2/{}x2.png") + both("LR_bicubic/X4/{}x4.png", "readme/{}.txt")
    assert sides(*names, scale=4) == [("", "LR_bicubic/X4/", "HR/")]
    with pytest.raises(UsageError, match=r"several kinds of pairs .*--input LR_bicubic/X2 --target HR"):
        sides(*names)


def test_pairs_in_many_folders_keep_their_folder_in_the_key(tmp_path: Path) -> None:
    for scene in ("scene1", "scene2"):
        write(tmp_path, f"train/{scene}/blur/{{}}.png", INPUT)
        write(tmp_path, f"train/{scene}/sharp/{{}}.png", TARGET)
    assert list(open_source(tmp_path).splits()["train"]) == [
        f"train/{scene}/{name}" for scene in ("scene1", "scene2") for name in ("0001", "0002")
    ]


def test_pairs_of_two_sizes_name_the_scale(tmp_path: Path) -> None:
    write(tmp_path, "hr/{}.png", 0, px=32)
    write(tmp_path, "lr/{}.png", 0, px=8)
    source = open_source(tmp_path)
    assert isinstance(source, PairsFolderSource)
    with pytest.raises(UsageError, match=r"lr/0001.png is 8×8, hr/0001.png is 32×32. .*data.scale=4"):
        source.require_usable()


def test_a_maker_takes_the_targets_of_pairs_of_two_sizes(tmp_path: Path) -> None:
    write(tmp_path, "hr/{}.png", TARGET, px=32)
    write(tmp_path, "lr/{}.png", INPUT, px=8)
    source = open_source(tmp_path, photos_do=True)
    assert isinstance(source, PairsFolderSource)
    source.require_usable()
    target = source.read("0001").target
    assert target is not None and target.shape == (32, 32, 3) and (target == TARGET).all()


def test_pictures_outside_the_sides_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "lr/{}.png", 0)
    write(tmp_path, "hr/{}.png", 0)
    write(tmp_path, "extra/more/{}.png", 0, names=("a", "b", "c"))
    write(tmp_path, "{}.png", 0, names=("preview",))
    source = open_source(tmp_path)
    assert isinstance(source, PairsFolderSource)
    assert (len(source.splits()["all"]), source.beside) == (2, 1)


def test_globs_are_never_pooled_either(tmp_path: Path) -> None:
    write(tmp_path, "lr/{}.png", INPUT)
    write(tmp_path, "hr/{}.png", TARGET)
    source = open_source(f"{tmp_path}/*/*.png")
    sample = source.read("0001")
    assert sample.target is not None
    assert (sample.input[0, 0, 0], sample.target[0, 0, 0]) == (INPUT, TARGET)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("hr", "lr", False),
        ("noisy_images", "clean_images", True),
        ("images", "conditioning_images", False),
        ("photos", "photos_edges", False),
        ("images", "img", None),
        ("left", "right", None),
        ("clip_00", "clip_01", None),
    ],
)
def test_names_tell_which_is_the_input(first: str, second: str, expected: bool | None) -> None:
    assert is_first_the_input(folder_name(first).words, folder_name(second).words) is expected


@pytest.mark.parametrize(
    ("stem", "plain"),
    [
        ("0001x4", "0001"),
        ("0001x4m", "0001"),
        ("Canon_001_LR4", "canon_001"),
        ("IMG_0001", "0001"),
        ("aachen_000000_000019_leftImg8bit", "aachen_000000_000019"),
        ("box4", "box4"),
        ("mask", "mask"),
        ("x4", "x4"),
    ],
)
def test_what_a_stem_has_more_is_left_aside(stem: str, plain: str) -> None:
    assert plain_stem(stem) == plain


def test_a_mark_is_a_known_word_behind_the_stem() -> None:
    assert [mark_of(stem) for stem in ("x_LR4", "x_mask", "IMG_0001", "x")] == [
        ("x", "lr"),
        ("x", "mask"),
        ("img_0001", ""),
        ("x", ""),
    ]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "sides_shown", "count"),
    [
        ("hrlr", "lr/ + hr/", 8),
        ("gtlq", "LQ/ + GT/", 8),
        ("div2k", "DIV2K_train_LR_bicubic/X4/ + DIV2K_train_HR/", 8),
        ("ab", "A/ + B/", 8),
        ("abx4", "A/ + B/", 8),
        ("imsk", "masks/ + images/", 8),
        ("cmp", "base/*.png + base/*.jpg", 8),
        ("../two-to-one/st21", "source/ + target/", 8),
    ],
)
def test_reported_folders_are_recognised(real_data: Path, name: str, sides_shown: str, count: int) -> None:
    source = open_source(real_data / "reported/hr-lr-folders" / name, scale=4)
    assert isinstance(source, PairsFolderSource)
    assert [one.shown for one in source.folders] == [sides_shown]
    assert not source.unmatched
    keys = [key for split in source.splits().values() for key in split]
    assert len(keys) == count
    sample = source.read(keys[0])
    assert sample.target is not None and sample.input.shape[0] <= sample.target.shape[0]


def test_a_link_to_itself_is_no_folder(tmp_path: Path) -> None:
    for side in ("A", "B"):
        write(tmp_path, f"{side}/{{}}.png", 9)
        (tmp_path / side / "loop.png").symlink_to("loop.png")
    keys = [key for some in open_source(tmp_path).splits().values() for key in some]
    assert {"0001", "0002"} <= set(keys)
