"""The quickstart's material and its whole way through, with a few seconds of training."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from p2pcli.errors import ExitCode
from p2pcli.events import Note, Stop
from p2pcli.io.video import probe
from p2pcli.jobs.quickstart import MATERIAL, QuickstartReport, quickstart


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> QuickstartReport:
    """One quickstart that trains for four seconds."""
    return quickstart(tmp_path_factory.mktemp("quickstart") / "out", train_seconds=4, device="cpu")


@pytest.mark.timeout(600)
def test_everything_that_is_promised_is_there(report):
    made = [
        report.contact_sheet,
        report.model,
        report.report_page,
        report.translated,
        report.comparison,
        report.dataset / "README.md",
    ]
    assert [path for path in made if path is None or not path.is_file()] == []


def test_even_seconds_of_training_beat_the_untranslated_input(report):
    assert report.beats_input
    assert report.exit_code == ExitCode.OK


def test_the_clip_keeps_frames_size_and_sound(report):
    before, after = probe(MATERIAL / "clip.mp4"), probe(report.translated)
    assert (after.width, after.height) == (before.width, before.height)
    assert _streams(report.translated) == _streams(MATERIAL / "clip.mp4")


def test_every_pair_and_the_clip_are_accounted_for(report):
    tally = report.tally
    assert (tally.done, len(tally.failed)) == (tally.planned, 0)


def test_a_dry_run_counts_what_the_run_makes_and_writes_nothing(report, tmp_path):
    plan = quickstart(tmp_path / "out", dry_run=True)
    made = len(pq.read_table(report.dataset / "data", columns=["key"]))
    assert (plan.planned_pairs, plan.exit_code, list(tmp_path.iterdir())) == (made, ExitCode.OK, [])
    assert (plan.tally.planned, plan.tally.done) == (report.tally.planned, plan.tally.planned)


def test_a_stop_ends_it_at_the_first_verb(tmp_path):
    stop = Stop()
    stop.set()
    notes = []
    report = quickstart(tmp_path / "out", observe=notes.append, stop=stop)
    headings = [event.text[:6] for event in notes if isinstance(event, Note) and " of 3" in event.text]
    assert (report.interrupted, headings) == (True, ["1 of 3"])


def test_the_material_is_small_and_every_file_of_it_is_credited():
    files = [path for path in MATERIAL.rglob("*") if path.is_file()]
    credits = (MATERIAL / "CREDITS.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in files) < 2_000_000
    assert {path.suffix for path in (MATERIAL / "photos").iterdir()} == {".jpg"}
    assert f"`photos/*.jpg` ({len(list((MATERIAL / 'photos').iterdir()))})" in credits
    rest = {path.name for path in MATERIAL.iterdir() if path.is_file()} - {"CREDITS.md"}
    assert [name for name in sorted(rest) if f"`{name}`" not in credits] == []


def _streams(path: Path) -> list[tuple[str, int]]:
    """Kind and number of packets of each stream."""
    import av

    with av.open(str(path)) as container:
        counts = {stream.index: [stream.type, 0] for stream in container.streams}
        for packet in container.demux():
            counts[packet.stream.index][1] += packet.size > 0
    return [(kind, count) for kind, count in counts.values()]
