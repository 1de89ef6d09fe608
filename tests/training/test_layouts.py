"""How a run reads DATA where it could be read in several ways, that it says so, and that old runs go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ResumeMismatchError, UsageError
from p2pcli.events import Event, Note
from p2pcli.image import Image
from p2pcli.io.pair_folders import find_pairs
from p2pcli.io.sidebyside import is_side_by_side
from p2pcli.jobs.train import train
from p2pcli.recipe import load_recipe
from p2pcli.training.dataset import PairData, first_sample, open_pairs

Made = Callable[..., Path]


def noise(seed: int, width: int = 40, height: int = 40) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    return np.asarray(PillowImage.fromarray(coarse).resize((width, height)))


def save(path: Path, image: Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(image).save(path)
    return path


def opened(path: Path, *settings: str) -> PairData:
    return open_pairs(path, load_recipe("quick", settings))


def notes_of(data: Path, output: Path, overrides: list[str], **options: object) -> list[str]:
    notes: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    train(
        data,
        recipe="pix2pix",
        output=output,
        overrides=overrides,
        device="cpu",
        observe=observe,
        **options,  # type: ignore[arg-type]
    )
    return notes


@pytest.fixture
def panoramas(tmp_path: Path) -> Path:
    for index in range(6):
        save(tmp_path / f"wide/p{index}.png", noise(index, 80, 40))
    return tmp_path / "wide"


def test_photos_for_a_maker_stay_whole_whatever_their_shape(panoramas: Path) -> None:
    pairs = opened(panoramas, "pairs.maker=edges")
    assert not pairs.source.is_paired
    assert pairs.source.read("p0").input.shape == (40, 80, 3)


def test_halves_are_taken_for_a_maker_where_it_is_said(panoramas: Path) -> None:
    pairs = opened(panoramas, "pairs.maker=edges", "data.layout=side-by-side")
    target = pairs.source.read("p0").target
    assert target is not None and target.shape == (40, 40, 3)


def test_a_folder_of_which_some_are_of_twice_the_width_is_not_side_by_side(tmp_path: Path) -> None:
    for index in range(300):
        save(tmp_path / f"{index:03d}.png", np.zeros((4, 9 if index == 201 else 8, 3), np.uint8))
    from p2pcli.io.listing import list_media

    assert not is_side_by_side(list_media(tmp_path).entries)
    (tmp_path / "201.png").unlink()
    assert is_side_by_side(list_media(tmp_path).entries)


def test_pairs_of_another_shape_are_refused_with_the_layout_to_set(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / f"{index}.png", noise(index, 120, 20))
    with pytest.raises(UsageError, match=r"data\.layout=side-by-side"):
        opened(tmp_path)
    sample = opened(tmp_path, "data.layout=side-by-side").source.read("0")
    assert sample.input.shape == (20, 60, 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "Layout: side-by-side: 6 pictures of twice the width, .*data.layout=photos"),
        (["pairs.maker=gray"], "Layout: photos: each stays whole, .*data.layout=side-by-side"),
    ],
)
def test_the_layout_of_wide_pictures_is_said_and_how_to_say_the_other(
    panoramas: Path, tmp_path: Path, tiny: list[str], settings: list[str], said: str
) -> None:
    import re

    notes = notes_of(panoramas, tmp_path / "run", [*tiny, *settings], dry_run=True)
    assert [note for note in notes if re.search(said, note)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            [],
            "Layout: folders: masks/ → images/ (A is masks/). "
            "The other way round: --set data.direction=BtoA.",
        ),
        (
            ["data.direction=BtoA"],
            "Layout: folders: images/ → masks/ (A is masks/). The other way round: "
            "--set data.direction=AtoB.",
        ),
        (
            ["pairs.maker=edges"],
            "Layout: folders: masks/ and images/ hold the same pictures; those of images/ are taken, and "
            "inputs made. To learn from masks/ as it is: --set pairs.maker=none. For all of both: --set "
            "data.layout=photos.",
        ),
    ],
)
def test_the_direction_of_folders_is_said(
    tmp_path: Path, tiny: list[str], settings: list[str], said: str
) -> None:
    for folder in ("images", "masks"):
        for index in range(3):
            save(tmp_path / f"data/{folder}/{index}.png", noise(index))
    assert said in notes_of(tmp_path / "data", tmp_path / "run", [*tiny, *settings], dry_run=True)


def test_sides_can_be_named_in_the_recipe(tmp_path: Path) -> None:
    for folder, seed in (("left", 1), ("right", 2)):
        save(tmp_path / f"{folder}/0.png", noise(seed))
        save(tmp_path / f"{folder}/1.png", noise(seed))
    sample = opened(tmp_path, "data.input_folder=right", "data.target_folder=left").source.read("0")
    assert np.array_equal(sample.input, noise(2))


def clips(root: Path, *, flat: bool = False) -> Path:
    for clip in range(10):
        for number in range(6):
            frame = np.roll(np.kron(noise(clip, 20, 20), np.ones((4, 4, 1), np.uint8)), number, axis=1)
            save(
                root / (f"f{10 * clip + number:04d}.png" if flat else f"clip_{clip}/{number:03d}.png"), frame
            )
    return root


@pytest.mark.parametrize("flat", [False, True])
def test_frames_of_one_clip_are_held_out_together(tmp_path: Path, flat: bool) -> None:
    split = opened(clips(tmp_path, flat=flat), "pairs.maker=gray").split
    assert split.train and split.validation

    def clip_of(key: str) -> str:
        return key[1:4] if flat else key.partition("/")[0]

    assert {clip_of(key) for key in split.train} & {clip_of(key) for key in split.validation} == set()
    assert ("10 runs" if flat else "10 folders of numbered frames") in split.groups


def test_groups_can_be_left_out(tmp_path: Path) -> None:
    split = opened(clips(tmp_path), "pairs.maker=gray", "data.group=none", "data.validation=0.5").split
    assert {key.partition("/")[0] for key in split.train} & {
        key.partition("/")[0] for key in split.validation
    }
    assert split.groups == ""


def test_one_clip_alone_gives_its_end_to_validation(tmp_path: Path) -> None:
    for number in range(20):
        save(tmp_path / f"{number}.png", np.roll(noise(0), number, axis=1))
    split = opened(tmp_path, "pairs.maker=gray").split
    assert split.validation == ("18", "19")


def without_layout(run: Path) -> None:
    """Take from a run what runs did not have that were begun before layouts and groups."""
    about = run / ".p2p/run.json"
    if not about.is_file():
        about = next(path for path in run.rglob("*.json") if "plan" in json.loads(path.read_text()))
    values = json.loads(about.read_text())
    del values["plan"]["data: layout"]
    about.write_text(json.dumps(values))
    recipe = run / "recipe.toml"
    keys = ("layout =", "input_folder =", "target_folder =", "group =")
    kept = [line for line in recipe.read_text().splitlines() if not line.startswith(keys)]
    recipe.write_text("\n".join(kept))


@pytest.mark.parametrize(
    ("layout", "maker"),
    [("side-by-side", "gray"), ("photos", "gray")],
)
def test_a_run_from_before_layouts_goes_on_with_the_pictures_it_was_begun_with(
    panoramas: Path, tmp_path: Path, tiny: list[str], layout: str, maker: str
) -> None:
    if layout == "photos":
        # Two folders that were pooled then.
        for folder in ("hr", "lr"):
            for number in range(4):
                save(tmp_path / f"data/{folder}/{number:03d}.png", noise(number))
    data = panoramas if layout == "side-by-side" else tmp_path / "data"
    settings = [*tiny, f"pairs.maker={maker}", f"data.layout={layout}", "data.group=none", "train.epochs=1"]
    notes_of(data, tmp_path / "run", [*settings, "train.decay_epochs=0"])
    without_layout(tmp_path / "run")
    report = train(None, output=tmp_path / "run", resume=True, device="cpu")
    assert report.steps == report.total_steps
    assert report.training_pairs + report.validation_pairs == (6 if layout == "side-by-side" else 8)


def test_a_run_does_not_resume_under_another_layout(panoramas: Path, tmp_path: Path, tiny: list[str]) -> None:
    short = [*tiny, "train.epochs=1", "train.decay_epochs=0", "pairs.maker=gray"]
    notes_of(panoramas, tmp_path / "run", short)
    with pytest.raises(ResumeMismatchError, match="data: layout"):
        train(
            None, output=tmp_path / "run", resume=True, device="cpu", overrides=["data.layout=side-by-side"]
        )


def test_the_step_of_a_gray_ramp_is_named_from_all_maps(tmp_path: Path) -> None:
    for index, values in enumerate(((0, 50), (100, 150))):
        label = np.tile(np.repeat(np.asarray(values, np.uint8), 20), (40, 1))
        save(tmp_path / f"label/{index}.png", label)
        save(tmp_path / f"img/{index}.png", noise(index))
    recipe = load_recipe("quick", ["data.labels=4"])
    with pytest.raises(
        UsageError, match=r"label 50 at .*ids times 50: set data.palette=\[\[0, 0, 0\], \[50,"
    ):
        first_sample(open_pairs(tmp_path, recipe))
    palette = "data.palette=[[0, 0, 0], [50, 50, 50], [100, 100, 100], [150, 150, 150]]"
    pairs = open_pairs(tmp_path, load_recipe("quick", ["data.labels=4", palette]))
    first_sample(pairs)
    assert {int(value) for key in ("0", "1") for value in np.unique(pairs.load(key, 40).input)} == {
        0,
        1,
        2,
        3,
    }


def test_old_names_of_folders_are_told_from_new_ones() -> None:
    from p2pcli.io.name_tree import tree_of
    from p2pcli.io.pair_sides import Asked

    found = {
        names: find_pairs(tree_of(f"{name}/1.png" for name in names), Asked(), where="x")[0].has_first_names
        for names in (("A", "B"), ("train_label", "train_img"), ("hr", "lr"))
    }
    assert list(found.values()) == [True, True, False]
