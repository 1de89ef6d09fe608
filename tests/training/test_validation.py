"""Measuring, showing and writing: nothing here may disturb the run."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from p2pcli.recipe import load_recipe
from p2pcli.training.augment import Square
from p2pcli.training.curves import Curve, draw_chart, round_ticks, thin
from p2pcli.training.estimate import duration_text, seconds_per_step
from p2pcli.training.report_page import render_report
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.samples import SampleRow, draw_grid
from p2pcli.training.state import TrainState, new_state
from p2pcli.training.validation import (
    VALIDATIONS,
    HeldOut,
    is_better,
    measure,
    measure_baseline,
    spread,
    translate_squares,
)


@pytest.fixture
def run(tiny: list[str]) -> TrainState:
    return new_state(load_recipe("pix2pix", tiny), torch.device("cpu"))


def some_squares(count: int, *, input_channels: int = 3, target_channels: int = 3) -> list[Square]:
    rng = np.random.default_rng(0)
    return [
        Square(
            rng.integers(0, 256, (32, 32, input_channels), dtype=np.uint8),
            rng.integers(0, 256, (32, 32, target_channels), dtype=np.uint8),
        )
        for _ in range(count)
    ]


def fingerprint(run: TrainState) -> list[torch.Tensor]:
    both = (run.task.generator, run.task.discriminator)
    return [value.clone() for net in both for value in net.state_dict().values()] + [torch.get_rng_state()]


def test_validation_disturbs_neither_weights_nor_statistics_nor_random_numbers(run: TrainState) -> None:
    before = fingerprint(run)
    with_dropout = run.recipe.inference.model_copy(update={"dropout": True})
    translate_squares(run.task.generator, some_squares(3), inference=with_dropout, precision=run.precision)
    assert all(torch.equal(a, b) for a, b in zip(before, fingerprint(run), strict=True))
    assert run.task.generator.training


def test_the_estimate_disturbs_nothing_and_is_positive(run: TrainState) -> None:
    before = fingerprint(run)
    assert seconds_per_step(run) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, fingerprint(run), strict=True))


def test_results_do_not_depend_on_how_many_are_measured(run: TrainState) -> None:
    squares = some_squares(6)
    settings = {"inference": run.recipe.inference, "precision": run.precision}
    together = translate_squares(run.task.generator, squares, **settings)
    alone = [translate_squares(run.task.generator, [square], **settings)[0] for square in squares]
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_a_perfect_result_measures_as_such() -> None:
    (square,) = some_squares(1)
    same = Square(square.target, square.target)
    numbers = measure_baseline([same])
    assert numbers == {"l1": 0.0, "psnr": 100.0, "ssim": pytest.approx(1.0)}


def test_measures_are_means_over_pairs() -> None:
    squares = some_squares(2)
    results = [torch.zeros(3, 32, 32), torch.ones(3, 32, 32)]
    each = [measure([result], [square]) for result, square in zip(results, squares, strict=True)]
    both = measure(results, squares)
    assert both["l1"] == pytest.approx((each[0]["l1"] + each[1]["l1"]) / 2)


@pytest.mark.parametrize(("inputs", "targets"), [(1, 3), (3, 1)])
def test_the_baseline_fits_any_channels(inputs: int, targets: int) -> None:
    numbers = measure_baseline(some_squares(1, input_channels=inputs, target_channels=targets))
    assert numbers["l1"] > 0


def test_lower_l1_and_higher_ssim_are_better() -> None:
    assert is_better(0.1, 0.2, metric="l1") and not is_better(0.1, 0.2, metric="ssim")
    assert is_better(0.1, None, metric="psnr")


def test_measured_pairs_are_spread_evenly() -> None:
    assert spread([str(n) for n in range(10)], 3) == ("0", "3", "6")
    assert spread(["a"], 3) == ("a",)


def test_a_grid_shows_the_three_pictures_of_each_row() -> None:
    cells = [np.full((32, 32, 3), value, np.uint8) for value in (10, 120, 200)]
    gray = np.full((32, 32, 1), 60, np.uint8)
    rows = [SampleRow("a", *cells), SampleRow("b", gray, cells[1], cells[2])]
    grid = draw_grid(rows, caption="step 1")
    top = grid.shape[0] - 2 * 36
    lefts = [column * (grid.shape[1] - 4) // 3 for column in range(3)]
    centres = [int(grid[top + 16, left + 4 + 16, 0]) for left in lefts]
    assert centres == [10, 120, 200] and int(grid[top + 36 + 16, 20, 2]) == 60


@pytest.mark.parametrize("side", [32, 64, 256])
def test_what_is_written_above_a_grid_is_never_cut(side: int) -> None:
    row = SampleRow("a", *[np.full((side, side, 3), 248, np.uint8)] * 3)
    caption = "step 2000, epoch 12: L1 0.272, PSNR 12.1 dB, SSIM 0.342"
    grid = draw_grid([row], caption=caption, columns=("input", "output", "back again"))
    assert (grid[:, -2:] == 248).all()
    # As much ink as on a sheet that is wide enough for one line.
    wide = draw_grid(
        [SampleRow("a", *[np.full((512, 512, 3), 248, np.uint8)] * 3)],
        caption=caption,
        columns=("input", "output", "back again"),
        cell_px=512,
    )
    assert (grid < 200).sum() == pytest.approx((wide < 200).sum(), rel=0.03)


def test_the_pairs_of_a_grid_are_spread_over_those_that_are_measured(run: TrainState) -> None:
    squares = tuple(some_squares(9))
    held_out = HeldOut(tuple(f"k{number}" for number in range(9)), squares)
    found = VALIDATIONS["paired"](run.generators, run.recipe, held_out, precision=run.precision, shown=3)
    assert [row.key for row in found.rows] == ["k0", "k3", "k6"]


def test_ticks_are_round_numbers_inside_the_range() -> None:
    assert round_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert round_ticks(0.31, 0.36) == pytest.approx([0.31, 0.32, 0.33, 0.34, 0.35, 0.36])


def test_long_curves_are_averaged_to_few_points() -> None:
    points = thin([(float(x), float(x % 2)) for x in range(4000)])
    assert len(points) <= 400 and all(abs(y - 0.5) < 0.1 for _, y in points)


def test_a_chart_is_well_formed_and_leaves_out_what_is_not_finite() -> None:
    chart = draw_chart("a < b", [Curve("x & y", "#000", [(0, 1.0), (1, float("inf")), (2, 3.0)])])
    assert ElementTree.fromstring(chart) is not None
    line = re.search(r'points="([^"]+)"', chart)
    assert line is not None and len(line[1].split()) == 2


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (600, "10 min"), (3 * 3600, "3.0 h"), (3e5, "3.5 days")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_the_report_is_self_contained_and_escapes_names(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a<b")
    folder.path.mkdir()
    folder.write_about({"headline": "x & <script>", "steps": 4, "environment": {"torch": "2"}})
    log = RunLog(folder.log)
    for step in range(1, 5):
        losses = {"fake": 0.3, "real": 0.4, "gan": 0.7, "l1": 30.0 / step}
        row = {"epoch": 0, "losses": losses, "learning_rate": 1e-4, "images_per_second": 2.0}
        log.write("step", step, row)
    baseline = {"l1": 0.9, "psnr": 6.0, "ssim": 0.1}
    log.write("validation", 4, {"l1": 0.5, "psnr": 9.0, "ssim": 0.2, "baseline": baseline})
    log.write("health", 4, {"text": "D's loss is < 0.01"})
    page = render_report(folder)
    assert "<script" not in page and "http" not in page
    assert page.count("<svg") == 7
    assert "untranslated input" in page and "D&#x27;s loss is &lt; 0.01" in page


def test_a_report_of_a_run_that_just_began_can_be_drawn(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_about({"headline": "new"})
    assert "new" in render_report(folder)
