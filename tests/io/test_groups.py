"""Which pictures stay together: clips by their folders, runs by what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import ItemError
from p2pcli.image import Image
from p2pcli.io.codec import encode, read_image
from p2pcli.io.groups import group_pictures, small_picture


def scene(seed: int, shift: int = 0) -> Image:
    """A soft random picture, moved by `shift` px, as the next frame of a film is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.float64)
    wide = np.kron(coarse, np.ones((16, 16, 1)))
    return np.roll(wide, shift, axis=1).astype(np.uint8)


def frames(folder: str, count: int, *, start: int = 0, name: str = "frame_{:04d}") -> list[str]:
    return [f"{folder}{name.format(number)}" for number in range(start, start + count)]


def never(key: str) -> Image:
    raise AssertionError(f"{key} was looked at")


def different(key: str) -> Image:
    return scene(abs(hash(key)) % 10_000)


def test_sibling_folders_of_numbered_frames_are_one_group_each_without_a_look():
    keys = [key for clip in ("clip_00/", "clip_01/", "walk/take2/") for key in frames(clip, 5)]
    groups = group_pictures(keys, "auto", never)
    assert {groups.name_of(key) for key in keys} == {"clip_00/", "clip_01/", "walk/take2/"}
    assert groups.words == "3 folders of numbered frames"


def test_frames_of_a_clip_are_in_order_of_their_numbers():
    keys = sorted(frames("a/", 12, name="f{}") + frames("b/", 12, name="f{}"))
    names = list(group_pictures(keys, "auto", never).names)
    assert names[:12] == [f"a/f{number}" for number in range(12)]


@pytest.mark.parametrize(
    "keys",
    [
        frames("", 30, name="{:04d}"),
        frames("", 30, name="IMG_{:04d}"),
        frames("DIV2K_train_HR/", 9, name="{:04d}") + frames("DIV2K_valid_HR/", 9, name="{:04d}"),
        frames("train/", 9, name="{:04d}") + frames("val/", 9, name="{:04d}"),
        frames("100CANON/", 9, name="IMG_{:04d}") + frames("101CANON/", 9, name="IMG_{:04d}"),
        [f"{folder}/{folder}_{number}" for folder in ("n01", "n02") for number in (3, 17, 400, 1200)],
        ["a/kitchen", "a/garden", "b/street", "b/field"],
    ],
)
def test_photos_stay_single(keys: list[str]):
    groups = group_pictures(keys, "auto", different)
    assert dict(groups.names) == {}
    assert groups.words == ""


def test_classes_stay_single():
    keys = frames("cats/", 5) + frames("dogs/", 5)
    assert dict(group_pictures(keys, "auto", different, classes=("cats", "dogs")).names) == {}


def test_runs_of_near_equal_neighbours_are_groups():
    keys = frames("", 30, name="{}")

    def look(key: str) -> Image:
        number = int(key)
        return scene(number // 10, number % 10) if number < 20 else scene(100 + number)

    groups = group_pictures(sorted(keys), "auto", look)
    assert {groups.name_of(str(number)) for number in range(10)} == {"0…"}
    assert {groups.name_of(str(number)) for number in range(10, 20)} == {"10…"}
    assert [groups.name_of(str(number)) for number in range(20, 30)] == [str(n) for n in range(20, 30)]
    assert groups.words == "2 runs of near-equal neighbours (20 pictures)"


def test_a_large_folder_of_photos_is_not_looked_through():
    looked: set[str] = set()

    def look(key: str) -> Image:
        looked.add(key)
        return different(key)

    group_pictures(frames("", 2000), "auto", look)
    assert len(looked) <= 110


def test_what_cannot_be_read_stands_alone():
    def look(key: str) -> Image:
        if key == "2":
            raise ItemError("damaged")
        return scene(1, int(key))

    groups = group_pictures(["1", "2", "3", "4"], "auto", look)
    assert [groups.name_of(key) for key in ("1", "2", "3", "4")] == ["1", "2", "3…", "3…"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("folder", {"x/a1": "x/", "x/a2": "x/", "x/b1": "x/", "y/a1": "y/"}),
        ("stem", {"x/a1": "x/a", "x/a2": "x/a", "x/b1": "x/b", "y/a1": "y/a"}),
        ("none", {"x/a1": "x/a1", "x/a2": "x/a2", "x/b1": "x/b1", "y/a1": "y/a1"}),
    ],
)
def test_the_rule_can_be_said(rule, expected):
    groups = group_pictures(list(expected), rule, never)
    assert {key: groups.name_of(key) for key in expected} == expected


def test_by_stem_two_files_of_one_name_stay_together():
    groups = group_pictures(["0001", "0001x4", "0002", "0002_mask"], "stem", never)
    assert [groups.name_of(key) for key in ("0001", "0001x4", "0002", "0002_mask")] == ["0001"] * 2 + [
        "0002"
    ] * 2


def test_a_jpeg_is_looked_at_small(tmp_path: Path):
    path = tmp_path / "1.jpg"
    path.write_bytes(encode(np.repeat(np.repeat(scene(1), 4, 0), 4, 1), ".jpg"))
    assert small_picture(path).shape == (48, 64, 1)
    assert read_image(path).image.shape == (384, 512, 3)


@pytest.mark.real
def test_reported_clips_are_a_group_each(real_data: Path):
    root = real_data / "reported/frame-folders/clips"
    keys = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.png"))
    groups = group_pictures(keys, "auto", never)
    assert len(set(groups.names.values())) == 10


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "pattern"), [("kodak24", "*.webp"), ("pairs/facades", "*1*.jpg"), ("photos-cc0", "*.jpg")]
)
def test_real_photos_stay_single(real_data: Path, folder: str, pattern: str):
    paths = {
        f"{number:04d}": path for number, path in enumerate(sorted((real_data / folder).glob(pattern))[:60])
    }
    assert dict(group_pictures(list(paths), "auto", lambda key: small_picture(paths[key])).names) == {}


@pytest.mark.real
def test_real_frames_in_one_folder_are_runs(real_data: Path):
    clips = [real_data / "reported/frame-folders/clips" / name for name in ("clip_03", "clip_07")]
    paths = {
        f"f{clip}{number:02d}": path
        for clip, folder in enumerate(clips)
        for number, path in enumerate(sorted(folder.iterdir()))
    }
    groups = group_pictures(list(paths), "auto", lambda key: small_picture(paths[key]))
    assert sorted({groups.name_of(key) for key in paths}) == ["f000…", "f100…"]
