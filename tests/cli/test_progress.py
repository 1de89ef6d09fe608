"""How events become lines: not too many, none lost that matters."""

from __future__ import annotations

import io
import os
import subprocess

import pytest

from p2pcli.cli.invocation import command_line
from p2pcli.cli.progress import Bars, Lines, drawing, duration, training_line
from p2pcli.events import Advanced, Ended, Note, Started, TrainProgress


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(events: list[tuple[float, object]], *, verbose: bool = False) -> list[str]:
    """What a non-terminal shows of events that come at the given seconds."""
    stream, clock = io.StringIO(), Clock()
    lines = Lines(verbose=verbose, stream=stream, clock=clock)
    for seconds, event in events:
        clock.now = seconds
        lines.observe(event)
    return stream.getvalue().splitlines()


def test_a_slow_stage_says_something_every_ten_seconds():
    events = [(0.0, Started("make", 10_000, "images"))]
    events += [(float(second), Advanced("make", second)) for second in range(1, 31)]
    assert lines_of(events) == [
        "make: 10 of 10000 images, 1.0 a second",
        "make: 20 of 10000 images, 1.0 a second",
        "make: 30 of 10000 images, 1.0 a second",
    ]


def test_a_faster_stage_says_something_every_ten_percent():
    events = [(0.0, Started("make", 100, "images"))]
    events += [(done / 8, Advanced("make", done)) for done in range(1, 101)]
    shown = [line.split()[1] for line in lines_of(events)]
    assert shown == ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]


def test_a_stage_over_in_a_blink_is_one_line_at_its_end():
    events = [(0.0, Started("make", 100, "images"))]
    events += [(done / 1000, Advanced("make", done, failed=done // 50)) for done in range(1, 101)]
    events += [(0.1, Ended("make"))]
    assert lines_of(events) == ["make: 100 of 100 images, 2 failed, 1000.0 a second"]


def test_what_was_skipped_counts_in_no_rate():
    events = [(0.0, Started("make", 100, "images")), (0.01, Advanced("make", 90, free=90))]
    events += [(5.0, Advanced("make", 100, free=90)), (5.0, Ended("make"))]
    assert lines_of(events)[-1] == "make: 100 of 100 images, 2.0 a second"


def test_a_long_item_shows_no_rate_of_zero():
    events = [
        (0.0, Started("translate", 1, "file")),
        (60.0, Advanced("translate", 1)),
        (60.0, Ended("translate")),
    ]
    assert lines_of(events) == ["translate: 1 of 1 files"]


def test_details_are_shown_with_verbose_alone():
    events = [(0.0, Note("a")), (0.0, Note("b", "detail")), (0.0, Note("c", "warning"))]
    assert lines_of(events) == ["a", "warning: c"]
    assert lines_of(events, verbose=True) == ["a", "b", "warning: c"]


def test_training_says_losses_rate_time_left_and_health():
    event = TrainProgress(50, 100, 1, 2, 8.25, 75.0, {"gan": 1.5, "l1": 0.25}, "healthy")
    assert lines_of([(0.0, Started("train", 100, "steps")), (20.0, event)]) == [
        "train: step 50 of 100, epoch 1 of 2, 8.2 images/s, 1 min 15 s left · gan 1.5  l1 0.25 · healthy"
    ]


def test_health_alone_needs_no_separator():
    assert training_line(TrainProgress(1, 2, 1, 1, 1.0, None, {}, "healthy")) == "healthy"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")],
)
def test_durations_are_read_by_people(seconds, text):
    assert duration(seconds) == text


def test_off_a_terminal_no_control_characters_are_written(capsys):
    with drawing(quiet=False, verbose=False) as observe:
        observe(Started("make", 1, "images"))
        observe(Advanced("make", 1))
        observe(Ended("make"))
    assert "\x1b" not in capsys.readouterr().err


def test_bars_take_every_event_in_any_order():
    with Bars(verbose=True) as bars:
        for event in [
            Advanced("unknown", 1),
            Ended("unknown"),
            Started("make", None, "frames"),
            Started("make", 5, "frames"),
            Advanced("make", 3, failed=1, detail="x.mp4"),
            TrainProgress(1, 2, 1, 1, 1.0, None, {"gan": 1.0}, "healthy"),
            Note("careful", "warning"),
            Ended("make"),
        ]:
            bars.observe(event)


def test_names_of_files_are_shown_as_they_are_on_bars():
    event = Advanced("[/a].mp4", 1, detail="[/b].png")
    with Bars(verbose=True) as bars:
        bars.observe(Started("[/a].mp4", 2, "frame"))
        bars.observe(event)
        (row,) = bars._progress.get_renderables()
        bars._console.print(row)


def test_names_of_files_do_not_steer_the_terminal():
    shown = lines_of([(0.0, Note("a\nb\x1b[31m.png: empty"))])
    assert shown == ["a\\nb\\x1b[31m.png: empty"]


@pytest.mark.parametrize("word", ["a b", "a\nb", "a\x1b[31m'\\", b"a\xff".decode("utf-8", "surrogateescape")])
def test_a_command_to_be_pasted_holds_what_was_typed(word):
    command = command_line(["translate", word])
    assert command.isprintable()
    shell = ["bash", "-c", f"{command.replace('p2p', 'printf %s:', 1)}"]
    assert (
        subprocess.run(shell, capture_output=True, check=True).stdout
        == b"translate:" + os.fsencode(word) + b":"
    )
