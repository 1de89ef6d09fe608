"""benchmarks/results.py: its measures by hand, its tables against one another, and a page from tiny data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import results
from shapes.data import LABELS, SIDE_PX, HeldOut, coloured, labels_of, nearest_labels
from shapes.experiments import EXPERIMENTS
from shapes.measures import MEASURES, Results
from shapes.runs import RUNS
from shapes.strips import strip
from shapes.verdicts import Larger, difference, verdict

from p2pcli.io.codec import encode
from p2pcli.recipe import load_recipe


def value(name: str, outcome: Results) -> float:
    measure = MEASURES[name]
    return measure.value(measure.statistics(outcome).sum(axis=0))


def noise(seed: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def outcome(made: list[np.ndarray], targets: list[np.ndarray], **further: object) -> Results:
    keys = tuple(str(number) for number in range(len(targets)))
    held_out = HeldOut(keys, tuple(targets), tuple(targets), further.pop("labels", ()))
    return Results(held_out, tuple(made), **further)


@pytest.mark.parametrize("name", ["energy", "gradient", "steepness", "L", "a", "b", "spread"])
def test_a_result_equal_to_its_target_has_the_value_of_real_pictures(name):
    pictures = [noise(1), noise(2), noise(3)]
    assert value(name, outcome(pictures, pictures)) == pytest.approx(1)


def test_half_the_contrast_has_a_quarter_of_the_gradient_energy():
    target = np.repeat(np.repeat(np.uint8([[100, 200] * 8]), 16, axis=0)[:, :, None], 3, axis=2)
    target = cv2.resize(target, (32, 32), interpolation=cv2.INTER_NEAREST)
    assert value("energy", outcome([(target // 2)], [target])) == pytest.approx(0.25)


def test_blur_and_noise_both_lower_the_gradient_histogram():
    target = cv2.GaussianBlur(noise(4), (0, 0), 1.0)
    made = {"blurred": cv2.GaussianBlur(target, (0, 0), 3.0), "noisy": noise(5)}
    assert all(value("steepness", outcome([picture], [target])) < 0.8 for picture in made.values())


def test_colours_that_no_real_picture_has_do_not_intersect():
    red, blue = np.full((8, 8, 3), (200, 0, 0), np.uint8), np.full((8, 8, 3), (0, 0, 200), np.uint8)
    assert value("b", outcome([red], [blue])) == 0
    assert value("b", outcome([red, blue], [blue, blue])) == pytest.approx(0.5)


def test_mean_iou_and_accuracy_by_hand():
    # Label 0 has 3 of 4 pixels right, label 1 all four and one that is not its own.
    truth, read = np.uint8([[0, 0, 0, 0, 1, 1, 1, 1]]), np.uint8([[0, 0, 0, 1, 1, 1, 1, 1]])
    seen = outcome(
        [coloured(read)], [coloured(truth)], labels=(truth,), read=lambda made: [read for _ in made]
    )
    assert value("accuracy", seen) == pytest.approx(7 / 8)
    assert value("iou", seen) == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_psnr_of_y_by_hand():
    target = np.full((16, 16, 3), 100, np.uint8)
    # Y spans 219 of 255 levels: 10 levels of gray are 10 · 219/255 of Y.
    expected = 10 * np.log10(255**2 / (10 * 219 / 255) ** 2)
    assert value("psnr", outcome([target + 10], [target])) == pytest.approx(expected, abs=0.02)


def test_results_that_ignore_their_input_have_no_spread_and_are_nearest_to_any_target():
    targets = [noise(seed) for seed in range(8)]
    same = outcome([noise(99)] * 8, targets)
    assert value("spread", same) == 0
    assert value("own", same) == pytest.approx(0.5)
    assert value("own", outcome(targets, targets)) == 1


def test_labels_are_read_back_off_their_own_colours():
    ids = np.repeat(np.repeat(np.arange(len(LABELS), dtype=np.uint8).reshape(2, 4), 32, axis=0), 32, axis=1)
    assert np.array_equal(nearest_labels(coloured(ids)), ids)
    assert (labels_of(coloured(ids)) == ids).mean() > 0.95


def test_a_difference_holds_only_where_it_does_for_nearly_all_draws():
    targets = [np.full((16, 16, 3), 100, np.uint8)] * 12
    near, far = [target + 1 for target in targets], [target + 9 for target in targets]
    mixed = [near[0] if number % 2 else far[0] for number in range(12)]
    other = [far[0] if number % 2 else near[0] for number in range(12)]
    rows = {"near": near, "far": far, "mixed": mixed, "other": other}
    made = {name: outcome(pictures, targets) for name, pictures in rows.items()}
    assert difference(Larger("l1", "far", "near"), made).holds
    assert not difference(Larger("l1", "near", "far"), made).holds
    assert not difference(Larger("l1", "mixed", "other"), made).holds


def test_verdicts_are_words_for_all_some_and_none():
    words = [verdict(held) for held in ([True, True], [True, False], [False, False])]
    assert words == ["shown", "shown in part", "not shown at this size"]


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_a_recipe_that_parses_and_starts_from_a_run_that_exists(name):
    run = RUNS[name]
    assert load_recipe(run.recipe, [*run.overrides, f"train.steps={run.steps}"]).train.steps == run.steps
    assert run.begins_with is None or run.begins_with in RUNS


@pytest.mark.parametrize("letter", EXPERIMENTS)
def test_every_experiment_names_runs_measures_and_rows_that_exist(letter):
    experiment = EXPERIMENTS[letter]
    assert set(experiment.rows.values()) <= set(RUNS)
    assert set(experiment.measures) <= set(MEASURES)
    assert {check.measure for check in experiment.checks} <= set(experiment.measures)
    assert {row for check in experiment.checks for row in (check.more, check.less)} <= set(experiment.rows)


def test_all_eight_claims_are_tried():
    assert "".join(EXPERIMENTS) == "abcdefgh"


def test_a_strip_has_a_column_for_input_real_picture_and_each_row():
    pictures = [noise(6, 40), noise(7, 40)]
    made = outcome(pictures, pictures)
    assert strip({"one": made, "two": made, "real pictures": made}).shape == (18 + 2 * 44, 4 * 44, 3)


def write_tiny_data(folder: Path) -> Path:
    """Two tiles to train on and one held out, each relief, shaded relief and satellite; three photos."""
    rng = np.random.default_rng(0)
    palette = np.uint8(list(LABELS.values()))
    for split, count in (("train", 2), ("val", 1)):
        (folder / "pairs" / "earth" / split).mkdir(parents=True)
        for number in range(count):
            coarse = palette[rng.integers(0, len(LABELS), (8, 8))]
            relief = cv2.resize(coarse, (2 * SIDE_PX,) * 2, interpolation=cv2.INTER_NEAREST)
            tile = np.concatenate([relief, relief, 255 - relief], axis=1)
            (folder / "pairs" / "earth" / split / f"{number}.png").write_bytes(encode(tile, ".png"))
    (folder / "photos").mkdir()
    for number in range(3):
        (folder / "photos" / f"{number}.png").write_bytes(encode(noise(number, 64), ".png"))
    return folder


def test_a_page_comes_out_and_the_second_time_nothing_is_trained(tmp_path, capsys):
    data = write_tiny_data(tmp_path / "data")
    words = ["--data", str(data), "--output", str(tmp_path / "out"), "--only", "a", "--budget", "0.0001"]
    page = results.main(words)
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "out" / "results.md"
    assert re.search(r"^\| a \| .+ \| \*\*(shown|shown in part|not shown at this size)\*\* \|$", text, re.M)
    assert (page.parent / "results" / "a.jpg").is_file()
    assert json.loads((tmp_path / "out" / "runs" / "l1" / "finished.json").read_text())["steps"] == 2
    assert "l1-cgan: 2 steps" in capsys.readouterr().out
    assert results.main(words).read_text(encoding="utf-8") == text
    assert "steps" not in capsys.readouterr().out


def test_an_unknown_claim_is_named_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        results.main(["--data", ".", "--only", "a,z"])
    assert "no claim 'z'. There are: a, b, c, d, e, f, g, h" in capsys.readouterr().err
