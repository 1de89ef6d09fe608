"""Which pictures make-pairs takes of what it finds, and what stays together in its split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from p2pcli.errors import ResumeMismatchError, UsageError
from p2pcli.events import Note
from p2pcli.io.codec import encode
from p2pcli.io.parquet import ParquetSource
from p2pcli.jobs.make_pairs import MakePairsReport, make_pairs


def fill(root: Path, *relatives: str) -> Path:
    for number, relative in enumerate(relatives):
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        path.write_bytes(encode(pixels, path.suffix))
    return root


def names(pattern: str, count: int = 3) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def made(sources: Path | str, output: Path, **options: object) -> tuple[MakePairsReport, list[str]]:
    notes: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    report = make_pairs("gray", [sources], output, size=16, workers=1, observe=observe, **options)  # type: ignore[arg-type]
    return report, notes


def sources_of(dataset: Path) -> set[str]:
    source = ParquetSource(dataset)
    return {str(source.read(key).meta["source"]) for keys in source.splits().values() for key in keys}


def splits_of_folders(dataset: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for split, keys in ParquetSource(dataset).splits().items():
        for key in keys:
            found.setdefault(key.partition("/")[0], set()).add(split)
    return found


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        ("lr/{}.png", "hr/{}.png"),
        ("masks/{}.png", "images/{}.jpg"),
        ("train/LQ/{}x4.png", "train/GT/{}.png"),
        ("base/{}.png", "base/{}.jpg"),
    ],
)
def test_of_two_folders_of_the_same_pictures_the_targets_are_taken_and_it_is_said(
    tmp_path: Path, other: str, taken: str
) -> None:
    root = fill(tmp_path / "in", *names(other), *names(taken))
    report, notes = made(root, tmp_path / "out")
    assert sources_of(tmp_path / "out") == set(names(taken))
    assert report.tally.planned == 6
    assert dict(report.tally.skipped) == {"the other side of a pair": 3}
    assert any("hold the same pictures" in note and "--layout photos" in note for note in notes)


def test_two_folders_that_do_not_tell_are_refused_until_it_is_said(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", *names("left/{}.png"), *names("right/{}.png"))
    with pytest.raises(UsageError, match=r"left/ and right/ hold .*--input left --target right"):
        made(root, tmp_path / "out")
    made(root, tmp_path / "out", target_folder="right")
    assert sources_of(tmp_path / "out") == set(names("right/{}.png"))
    made(root, tmp_path / "all", layout="photos")
    assert len(sources_of(tmp_path / "all")) == 6


def test_two_folders_named_as_sources_are_not_pooled_either(tmp_path: Path) -> None:
    root = fill(tmp_path, *names("lr/{}.png"), *names("hr/{}.png"))
    report = make_pairs("gray", [root / "lr", root / "hr"], tmp_path / "out", size=16, workers=1)
    assert report.tally.written == 3


def test_photos_twice_as_wide_stay_whole(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    (root / "1.png").write_bytes(encode(np.zeros((16, 32, 3), np.uint8), ".png"))
    make_pairs("gray", root, tmp_path / "out", fit="source", workers=1)
    target = ParquetSource(tmp_path / "out").read("1").target
    assert target is not None and target.shape[:2] == (16, 32)


def test_a_clip_lies_in_one_split_and_none_divides_it_again(tmp_path: Path) -> None:
    relatives = [f"clip_{clip:02d}/frame_{number:04d}.png" for clip in range(6) for number in range(8)]
    root = fill(tmp_path / "in", *relatives)
    _, notes = made(root, tmp_path / "out")
    places = splits_of_folders(tmp_path / "out")
    assert all(len(splits) == 1 for splits in places.values())
    assert {split for splits in places.values() for split in splits} == {"train", "validation", "test"}
    assert any("6 folders of numbered frames" in note and "--group none" in note for note in notes)
    made(root, tmp_path / "single", group="none", split=(0.4, 0.3, 0.3))
    assert any(len(splits) > 1 for splits in splits_of_folders(tmp_path / "single").values())


def test_a_repeated_call_finds_nothing_to_do(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", *names("a/{}.png"), *names("b/{}.png"), *names("c/f{}.png"))
    made(root, tmp_path / "out", layout="photos")
    again, _ = made(root, tmp_path / "out", layout="photos")
    assert again.nothing_to_do
    with pytest.raises(ResumeMismatchError, match="group:"):
        made(root, tmp_path / "out", layout="photos", group="none")


def as_it_was_once(dataset: Path) -> None:
    """Take from the plan what datasets did not have that were made before layouts and groups."""
    path = dataset / ".p2p/plan.json"
    plan = json.loads(path.read_text())
    del plan["layout"], plan["group"]
    path.write_text(json.dumps(plan))


def test_a_dataset_from_before_layouts_and_groups_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    relatives = [f"{clip}/{number:04d}.png" for clip in ("hr", "lr") for number in range(8)]
    root = fill(tmp_path / "in", *relatives)
    made(root, tmp_path / "out", layout="photos", group="none")
    as_it_was_once(tmp_path / "out")
    again, _ = made(root, tmp_path / "out")
    assert again.nothing_to_do
    assert again.tally.written == 16
    fresh, _ = made(root, tmp_path / "out", overwrite=True)
    assert fresh.tally.written == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "photo"}, "unknown layout 'photo'. Did you mean 'photos'"),
        ({"group": "stems"}, "unknown group 'stems'. Did you mean 'stem'"),
        ({"layout": "photos", "input_folder": "a"}, "takes all pictures"),
        ({"layout": "folders"}, "no two folders of pairs"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    root = fill(tmp_path / "in", *names("{}.png"))
    with pytest.raises(UsageError, match=message):
        made(root, tmp_path / "out", **options)


@pytest.mark.real
@pytest.mark.parametrize("name", ["hrlr", "gtlq", "div2k", "ab", "abx4", "imsk", "cmp"])
def test_reported_folders_are_not_pooled(real_data: Path, tmp_path: Path, name: str) -> None:
    report = make_pairs(
        "edges", real_data / "reported/hr-lr-folders" / name, tmp_path / "out", size=32, dry_run=True
    )
    assert sum(report.splits.values()) == 8


@pytest.mark.real
def test_reported_clips_are_never_divided(real_data: Path, tmp_path: Path) -> None:
    clips = real_data / "reported/frame-folders/clips"
    make_pairs("gray", clips, tmp_path / "out", size=16, workers=1)
    places = splits_of_folders(tmp_path / "out")
    assert len(places) == 10
    assert all(len(splits) == 1 for splits in places.values())
