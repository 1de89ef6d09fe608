"""make-pairs from end to end on tiny photos: the dataset, resuming, repeatable bytes, accounting."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import (
    EnvironmentFaultError,
    ExitCode,
    NothingMatchedError,
    ResumeMismatchError,
    UsageError,
)
from p2pcli.events import Advanced, Note, Stop
from p2pcli.io.codec import encode
from p2pcli.io.parquet import ParquetSource
from p2pcli.jobs import pairs_worker
from p2pcli.jobs.make_pairs import make_pairs


def photo(seed: int, *, width: int = 40, height: int = 30) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3.0), None, 0, 255, cv2.NORM_MINMAX)


def fill(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03d}.png").write_bytes(encode(photo(number), ".png"))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", 12)


@pytest.fixture
def mixed(photos: Path) -> Path:
    """12 good photos, two bad ones, a text file."""
    (photos / "empty.jpg").touch()
    (photos / "cut.png").write_bytes((photos / "001.png").read_bytes()[:200])
    (photos / "notes.md").write_text("not a picture")
    return photos


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the card, which is titled with the folder's name."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def rows(dataset: Path) -> list[dict]:
    return [row for file in sorted((dataset / "data").iterdir()) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("maker", ["edges", "gray", "downsample"])
def test_the_dataset_opens_with_two_image_columns(maker, photos, tmp_path):
    datasets = pytest.importorskip("datasets")
    make_pairs(maker, photos, tmp_path / "out", size=16, workers=1)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == {"train": 10, "validation": 1, "test": 1}
    features = loaded["train"].features
    assert isinstance(features["input"], datasets.Image)
    assert isinstance(features["target"], datasets.Image)
    assert loaded["train"][0]["input"].size == loaded["train"][0]["target"].size == (16, 16)


def test_our_own_source_reads_it_back(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    source = ParquetSource(tmp_path / "out")
    keys = [key for split in source.splits().values() for key in split]
    assert sorted(keys) == [f"{number:03d}" for number in range(12)]
    assert source.read("003").input.shape == (16, 16, 1)
    assert source.read("003").target.shape == (16, 16, 3)


def test_every_row_says_where_it_came_from(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, seed=3, options={"detail": 0.2})
    row = next(row for row in rows(tmp_path / "out") if row["key"] == "003")
    assert row["source"] == "003.png"
    assert row["source_sha256"] == hashlib.sha256((photos / "003.png").read_bytes()).hexdigest()
    assert (row["op"], row["seed"], row["frame_index"]) == ("edges", 3, None)
    assert json.loads(row["op_params"])["detail"] == 0.2
    assert row["crop_xywh"] == [5, 0, 30, 30]
    assert [row[name] for name in ("width", "height", "orig_width", "orig_height")] == [16, 16, 40, 30]
    assert row["target"]["path"] == "003.target.png"


def test_source_bytes_stay_untouched_where_nothing_changes(photos, tmp_path):
    jpeg = encode(photo(99), ".jpg", quality=80)
    (photos / "own.jpg").write_bytes(jpeg)
    make_pairs("gray", photos, tmp_path / "out", fit="source", workers=1)
    row = next(row for row in rows(tmp_path / "out") if row["key"] == "own")
    assert row["target"] == {"bytes": jpeg, "path": "own.target.jpg"}


def test_the_same_bytes_for_any_number_of_workers(tmp_path):
    photos = fill(tmp_path / "photos", 80)
    for workers in (1, 3):
        make_pairs("edges", photos, tmp_path / f"out{workers}", size=16, workers=workers, jitter=True)
    assert digests(tmp_path / "out1") == digests(tmp_path / "out3")


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    photos = fill(tmp_path / "photos", 150)
    call = "from p2pcli import make_pairs; make_pairs('edges', {!r}, {!r}, size=64, workers=1)"
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", call.format(str(photos), str(out))])
    until = time.monotonic() + 60
    while not list(out.glob(".p2p/shards/*.json")) and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (out / ".p2p/manifest.json").exists()
    report = make_pairs("edges", photos, out, size=64, workers=1)
    assert 0 < report.already_done < report.shards
    make_pairs("edges", photos, tmp_path / "whole", size=64, workers=1)
    assert digests(out) == digests(tmp_path / "whole")


def test_a_killed_worker_costs_nothing(tmp_path):
    photos = fill(tmp_path / "photos", 70)
    killed = []

    def kill_one(event: object) -> None:
        if isinstance(event, Advanced) and event.stage == "make-pairs" and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    report = make_pairs("edges", photos, tmp_path / "out", size=32, workers=2, observe=kill_one)
    assert killed
    assert (report.tally.written, report.tally.failed) == (70, [])
    make_pairs("edges", photos, tmp_path / "calm", size=32, workers=1)
    assert digests(tmp_path / "out") == digests(tmp_path / "calm")


def test_planned_is_written_plus_skipped_plus_failed(mixed, tmp_path):
    tally = make_pairs("edges", mixed, tmp_path / "out", size=16, workers=1).tally
    assert (tally.planned, tally.written) == (15, 12)
    assert tally.skipped == {"not an image or video": 1}
    assert sorted(failure.key for failure in tally.failed) == ["cut", "empty"]


def test_failures_change_the_exit_code_and_fill_the_table(mixed, tmp_path):
    report = make_pairs("edges", mixed, tmp_path / "out", size=16, workers=1)
    assert report.exit_code == ExitCode.ITEMS_FAILED
    table = pq.read_table(tmp_path / "out/.p2p/errors.parquet").to_pylist()
    assert sorted((row["status"], row["stage"]) for row in table) == [
        ("failed", "read"),
        ("failed", "read"),
        ("skipped", "listing"),
    ]
    assert all(row["message"] for row in table)


def test_a_picture_that_may_not_be_read_says_what_to_check(photos, tmp_path, monkeypatch):
    open_file = os.open

    def guarded(path: str, *rest: object, **options: object) -> int:
        if str(path).endswith("001.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *rest, **options)

    monkeypatch.setattr(os, "open", guarded)
    [failure] = make_pairs("gray", photos, tmp_path / "out", size=16, workers=1).tally.failed
    assert failure.message == "cannot be read (Permission denied). Check its permissions."


def test_a_folder_that_cannot_be_read_counts_as_failed(photos, tmp_path, lock):
    closed = lock(fill(photos / "closed", 2))
    report = make_pairs("gray", photos, tmp_path / "out", size=16, workers=1)
    assert [failure.source for failure in report.tally.failed] == [str(closed)]
    assert (report.tally.planned, report.tally.written, report.exit_code) == (13, 12, ExitCode.ITEMS_FAILED)


def test_a_finished_dataset_has_nothing_to_do(mixed, tmp_path):
    first = make_pairs("edges", mixed, tmp_path / "out", size=16, workers=1)
    before = digests(tmp_path / "out")
    again = make_pairs("edges", mixed, tmp_path / "out", size=16, workers=1)
    assert (first.nothing_to_do, again.nothing_to_do) == (False, True)
    assert again.tally == first.tally
    assert digests(tmp_path / "out") == before


@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_only_a_damaged_shard_is_made_again(damage, tmp_path):
    photos = fill(tmp_path / "photos", 60)
    make_pairs("gray", photos, tmp_path / "out", size=16, workers=1)
    before = digests(tmp_path / "out")
    shard = tmp_path / "out/data/train-00001-of-00002.parquet"
    content = bytearray(shard.read_bytes())
    content[300] ^= 255
    if damage == "delete":
        shard.unlink()
    else:
        shard.write_bytes(content if damage == "flip" else content[:-9])
    report = make_pairs("gray", photos, tmp_path / "out", size=16, workers=1)
    assert report.already_done == report.shards - 1
    assert digests(tmp_path / "out") == before


def test_other_options_do_not_resume_but_say_what_differs(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    with pytest.raises(ResumeMismatchError, match="size: 16 → 32") as caught:
        make_pairs("edges", photos, tmp_path / "out", size=32, workers=1)
    assert caught.value.exit_code == ExitCode.RESUME_MISMATCH


def test_changed_inputs_do_not_resume(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    fill(photos, 13)
    with pytest.raises(ResumeMismatchError, match="inputs:"):
        make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)


def test_overwrite_replaces_a_dataset_and_leaves_nothing_behind(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    make_pairs("edges", photos, tmp_path / "out", size=32, workers=1, overwrite=True)
    make_pairs("edges", photos, tmp_path / "fresh", size=32, workers=1)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out", "photos"]


def test_an_interrupted_overwrite_keeps_the_old_dataset_until_the_new_one_is_whole(tmp_path):
    photos = fill(tmp_path / "photos", 80)
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    stop = Stop()
    stopper = _stop_after_items(stop, 1)
    arguments = {"size": 32, "workers": 1, "overwrite": True}
    make_pairs("edges", photos, tmp_path / "out", **arguments, stop=stop, observe=stopper)
    assert len(ParquetSource(tmp_path / ".out.replaced").splits()["train"]) > 60
    report = make_pairs("edges", photos, tmp_path / "out", **arguments)
    assert report.already_done == 1
    assert not (tmp_path / ".out.replaced").exists()


def _stop_after_items(stop: Stop, items: int):
    def observe(event: object) -> None:
        if isinstance(event, Advanced) and event.stage == "make-pairs" and event.done >= items:
            stop.set()

    return observe


def test_a_stopped_run_finishes_its_shard_and_says_so(tmp_path):
    photos = fill(tmp_path / "photos", 80)
    stop = Stop()
    observe = _stop_after_items(stop, 1)
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, stop=stop, observe=observe)
    assert report.interrupted
    assert 0 < report.tally.written < 80
    assert report.tally.skipped == {"interrupted": 80 - report.tally.written}
    assert not (tmp_path / "out/.p2p/manifest.json").exists()


def test_a_folder_with_other_files_is_never_written_to(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter.txt").write_text("dear reader")
    with pytest.raises(UsageError, match="holds files that make-pairs did not write"):
        make_pairs("edges", photos, tmp_path / "out", overwrite=True, workers=1)
    assert os.listdir(tmp_path / "out") == ["letter.txt"]  # noqa: PTH208


def test_output_inside_the_input_is_left_out_of_it(photos):
    first = make_pairs("edges", photos, photos / "pairs/edges", size=16, workers=1)
    again = make_pairs("edges", photos, photos / "pairs/edges", size=16, workers=1)
    assert (first.tally.planned, again.nothing_to_do) == (12, True)


def test_a_dry_run_counts_and_estimates_and_writes_nothing(photos, tmp_path):
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, dry_run=True)
    real = make_pairs("edges", photos, tmp_path / "real", size=16, workers=1)
    assert not (tmp_path / "out").exists()
    assert (report.splits, report.shards) == (real.splits, real.shards)
    assert 0 < report.bytes < real.bytes


def test_a_folder_without_pictures_is_its_own_error(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("words")
    with pytest.raises(NothingMatchedError, match="no image and no video; 1 other files were found"):
        make_pairs("edges", tmp_path / "notes", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_everything_fails_no_dataset_is_written_and_the_reasons_are_told(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.jpg").touch()
    told = []
    report = make_pairs("edges", folder, tmp_path / "out", workers=1, observe=told.append)
    assert report.exit_code == ExitCode.ITEMS_FAILED
    assert not (tmp_path / "out").exists()
    warning = next(event.text for event in told if isinstance(event, Note))
    assert warning.startswith("not one pair could be made, so no dataset was written (a.jpg: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"sigmma": 1.0}}, "Did you mean 'sigma'?"),
        ({"size": 0}, "size 0: expected 1 to 65500 px."),
        ({"quality": 0}, "quality 0: expected 1 to 100."),
        ({"workers": 0}, "workers 0: expected 1 or more."),
        ({"limit": 0}, "limit 0: expected 1 or more."),
        ({"fit": "cover"}, "fit cover: expected one of crop, pad, stretch, inside, source."),
        (
            {"kernel": "cubic"},
            "kernel cubic: expected one of auto, area, bilinear, bicubic, lanczos, nearest.",
        ),
        ({"encoding": "gif"}, "encoding gif: expected png, jpg or webp."),
        ({"preview": "sheet.txt"}, "preview sheet.txt: expected a file name that ends in .png."),
        ({"split": (1.0, 0.5, 0.0)}, "expected three shares"),
        ({"split": (float("nan"), 0.0, 0.0)}, "expected three shares"),
        ({"seed": 2**63}, "expected 0 to 9223372036854775807."),
        ({"options": {"high": float("inf")}}, "high: Input should be a finite number"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_opened(arguments, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        make_pairs("edges", tmp_path / "not there", tmp_path / "out", **arguments)
    assert message in str(caught.value)


def test_limit_takes_the_first_so_many(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, limit=5)
    assert sorted(row["key"] for row in rows(tmp_path / "out")) == [f"{number:03d}" for number in range(5)]


def test_jitter_draws_options_anew_for_each_pair(photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, jitter=True, options={"sigma": 1.0})
    drawn = [json.loads(row["op_params"]) for row in rows(tmp_path / "out")]
    assert {options["sigma"] for options in drawn} == {1.0}
    assert len({options["detail"] for options in drawn}) == 12


@pytest.mark.parametrize(
    ("encoding", "magic"), [("png", b"\x89PNG"), ("jpg", b"\xff\xd8"), ("webp", b"RIFF")]
)
def test_targets_have_the_asked_encoding_and_drawings_stay_png(encoding, magic, photos, tmp_path):
    make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, encoding=encoding)
    row = rows(tmp_path / "out")[0]
    assert row["target"]["bytes"].startswith(magic)
    assert row["target"]["path"].endswith(f".target.{encoding}")
    assert row["input"]["bytes"].startswith(b"\x89PNG")


def test_the_preview_goes_where_it_is_asked(photos, tmp_path):
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1, preview=tmp_path / "s/x.png")
    assert report.preview == tmp_path / "s/x.png"
    assert (tmp_path / "s/x.png").read_bytes().startswith(b"\x89PNG")
    assert "![" not in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("source", ["photos", "photos/*.png", "photos/001.png"])
def test_a_preview_never_replaces_a_source(source, photos, tmp_path):
    before = (photos / "001.png").read_bytes()
    with pytest.raises(UsageError, match="among the sources"):
        make_pairs("gray", tmp_path / source, tmp_path / "out", preview=photos / "001.png")
    assert (photos / "001.png").read_bytes() == before


def test_a_preview_lies_beside_the_sources_only_in_the_output(photos):
    with pytest.raises(UsageError, match="among the sources"):
        make_pairs("gray", photos, photos / "out", size=16, workers=1, preview=photos / "sheet.png")
    for _ in range(2):
        report = make_pairs("gray", photos, photos / "out", size=16, workers=1, preview=photos / "out/s.png")
    assert report.nothing_to_do


def test_a_picture_that_kills_its_worker_twice_is_one_failure(photos, tmp_path):
    settings = _settings_of(photos, tmp_path)
    shard, plan_settings = settings
    record = pairs_worker.make_shard(
        shard, plan_settings, str(tmp_path / "x"), advance=lambda _: None, deadly=frozenset({"004"})
    )
    assert [(failure.key, failure.stage) for failure in record.failures] == [("004", "read")]
    assert record.rows == record.planned - 1


def test_an_option_of_another_method_is_named(photos, tmp_path):
    said: list[object] = []
    options = {"method": "xdog", "detail": 0.2, "p": 20.0}
    make_pairs("edges", photos, tmp_path / "out", options=options, size=16, workers=1, observe=said.append)
    assert [event.text for event in said if isinstance(event, Note)] == [
        "detail changes nothing here: it is for method canny."
    ]


def test_a_photo_replaced_by_a_pipe_after_planning_fails_at_once(photos, tmp_path):
    shard, settings = _settings_of(photos, tmp_path)
    (photos / "003.png").unlink()
    os.mkfifo(photos / "003.png")
    (photos / "005.png").unlink()
    record = pairs_worker.make_shard(shard, settings, str(tmp_path / "x"), advance=lambda _: None)
    assert [(failure.key, failure.message) for failure in record.failures] == [
        ("003", "no plain file any more. Check the path."),
        ("005", "no longer there. Check the path."),
    ]


def _settings_of(photos: Path, tmp_path: Path):
    from p2pcli.io.listing import list_media
    from p2pcli.jobs.pairs_plan import PairSettings, Sampling, build_plan

    settings = PairSettings("gray", {}, 16, "crop", "auto", 0, "png", 95, 10**6, 255, False)
    plan = build_plan(list_media(photos), settings, sampling=Sampling(), split=(1.0, 0.0, 0.0), limit=None)
    return plan.shards[0], settings


def test_a_full_disk_ends_the_run_and_keeps_finished_shards(tmp_path, monkeypatch):
    photos = fill(tmp_path / "photos", 80)
    write, calls = pairs_worker.write_shard, []

    def full_the_second_time(path: Path, *rest: object, **options: object) -> int:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        return write(path, *rest, **options)

    monkeypatch.setattr(pairs_worker, "write_shard", full_the_second_time)
    with pytest.raises(EnvironmentFaultError, match="No space left"):
        make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    assert report.already_done == 1
    assert report.tally.written == 80


def test_workers_do_not_import_torch():
    code = "import sys, p2pcli.jobs.pairs_pool; print('torch' in sys.modules, 'av' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def test_a_worker_that_is_still_starting_when_all_is_done_ends_quietly(photos, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if any('spawn_main' in word for word in sys.orig_argv):\n"
        "    try:\n"
        f"        open({str(tmp_path / 'first')!r}, 'x').close()\n"
        "    except FileExistsError:\n"
        "        time.sleep(4)\n"
    )
    words = ["make-pairs", "gray", str(photos), "-o", str(tmp_path / "out"), "--limit", "3", "-j", "2", "-q"]
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(
        [sys.executable, "-m", "p2pcli", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="a terminal's Ctrl-C is a signal to a group")
def test_ctrl_c_while_workers_start_ends_cleanly_and_says_how_to_go_on(tmp_path):
    photos, seen = fill(tmp_path / "photos", 80), tmp_path / "seen"
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, sys, time\n"
        "if any('spawn_main' in word for word in sys.orig_argv):\n"
        f"    pathlib.Path({str(seen)!r}).touch()\n"
        "    time.sleep(2)\n"
    )
    words = ["make-pairs", "gray", str(photos), "-o", str(tmp_path / "out"), "--size", "16", "-j", "2"]
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pcli", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    while not seen.exists() and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "To go on from here:\np2p make-pairs gray" in error
    assert "could not start" not in error


@pytest.mark.parametrize("ends", ["two Ctrl-C", "a kill"])
def test_workers_remove_what_they_have_half_written(tmp_path, ends):
    photos, out = fill(tmp_path / "photos", 70), tmp_path / "out"
    # Enlarged to 1024 px a shard takes seconds.
    words = ["make-pairs", "gray", str(photos), "-o", str(out), "--size", "1024", "-j", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pcli", *words], stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 60
    while not (halves := list(out.glob("data/.*.tmp"))) and time.monotonic() < until:
        time.sleep(0.01)
    assert halves
    if ends == "a kill":
        process.kill()
    while process.poll() is None and ends == "two Ctrl-C":
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert process.wait() == (-signal.SIGKILL if ends == "a kill" else 130)
    until = time.monotonic() + 10
    while list(out.glob("data/.*.tmp")) and time.monotonic() < until:
        time.sleep(0.01)
    assert list(out.glob("data/.*.tmp")) == []


def test_an_unguarded_script_is_told_what_to_do(tmp_path):
    photos = fill(tmp_path / "photos", 80)
    script = tmp_path / "script.py"
    script.write_text(
        "from p2pcli import make_pairs\n"
        f"make_pairs('edges', {str(photos)!r}, {str(tmp_path / 'out')!r}, size=16, workers=2)\n"
    )
    answer = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert answer.returncode != 0
    assert "if __name__ == '__main__':" in answer.stderr.splitlines()[-1]


@pytest.mark.real
def test_every_hostile_file_is_accounted_for(real_data, tmp_path):
    report = make_pairs("edges", real_data / "hostile", tmp_path / "out", size=64, workers=2)
    files = sum(path.is_file() for path in (real_data / "hostile").rglob("*"))
    assert report.tally.planned == report.tally.done == files
    assert report.tally.written > 60


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_workers_start_says_how_to_go_on(tmp_path, number, code):
    photos = fill(tmp_path / "photos", 70)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "if any('spawn_main' in word for word in sys.orig_argv):\n"
        f"    open({str(tmp_path / 'begun')!r}, 'w').close()\n"
        "    time.sleep(1)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = ["make-pairs", "gray", str(photos), "-o", str(tmp_path / "out"), "--size", "16", "-j", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pcli", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.splitlines()[-2].startswith("Stopped after")


@pytest.mark.parametrize("output", ["photo.png", "photo.png/pairs"])
def test_a_file_is_no_place_for_a_dataset_and_stays(tmp_path, output):
    photos = fill(tmp_path / "photos", 2)
    (tmp_path / "photo.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"photo.png is a file. Choose a folder with -o."):
        make_pairs("edges", photos, tmp_path / output, workers=1)


def test_a_link_to_nowhere_is_no_place_for_a_dataset(photos, tmp_path):
    (tmp_path / "out").symlink_to("gone")
    with pytest.raises(UsageError, match="is a link to gone, which is not there"):
        make_pairs("edges", photos, tmp_path / "out", workers=1)


def test_a_name_that_parquet_cannot_open_is_refused(photos, tmp_path):
    with pytest.raises(UsageError, match="bytes that are no UTF-8"):
        make_pairs("edges", photos, tmp_path / "out\udcff", workers=1)


def test_a_name_with_a_line_break_is_a_pair_like_any_other(photos, tmp_path):
    (photos / "000.png").rename(photos / "two\nlines.png")
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    assert (report.tally.written, report.preview.is_file()) == (12, True)


def test_an_unknown_kernel_is_refused_before_the_first_picture(photos, tmp_path):
    with pytest.raises(UsageError, match="kernel foo: expected one of auto, area,"):
        make_pairs("edges", photos, tmp_path / "out", kernel="foo", workers=1)


def test_the_row_of_a_film_that_fails_names_no_path_of_this_machine(photos, tmp_path):
    (photos / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 100)
    report = make_pairs("edges", photos, tmp_path / "out", size=16, workers=1)
    (failure,) = report.tally.failed
    assert failure.source == "film.mp4"
    assert str(tmp_path) not in failure.message


def with_metadata(folder: Path) -> Path:
    """Two JPEGs of 32 px and one of 48 with EXIF, an animation of three pictures."""
    folder.mkdir()
    exif = PillowImage.Exif()
    exif[271] = "Camera Co"
    for name, side in (("a", 32), ("b", 32), ("c", 48)):
        PillowImage.fromarray(photo(1, width=side, height=side)).save(folder / f"{name}.jpg", exif=exif)
    first, *others = [PillowImage.fromarray(photo(seed)) for seed in range(3)]
    first.save(folder / "d.gif", save_all=True, append_images=others)
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_what_pairs_do_not_carry_is_said_once(tmp_path: Path, workers: int) -> None:
    said: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note):
            said.append(event.text)

    sources = with_metadata(tmp_path / "photos")
    out = tmp_path / "pairs"
    report = make_pairs("gray", sources, out, size=32, workers=workers, observe=observe)
    assert report.left_out == {"EXIF": 1, "pictures": 2}
    assert report.kept == {"EXIF": 2}
    assert said[-3:] == [
        "left out of the pairs: EXIF (1 file)",
        "kept in targets that are stored as their files are: EXIF (2 files)",
        "several pictures in one file, of which the first alone was used: d.gif (3)",
    ]
    assert report.as_json()["left_out"] == report.left_out
    again = make_pairs("gray", sources, out, size=32, workers=workers, observe=observe)
    assert (again.left_out, len(said)) == (report.left_out, 3)


def test_a_dataset_of_an_older_version_is_still_finished(tmp_path: Path) -> None:
    sources, out = with_metadata(tmp_path / "photos"), tmp_path / "pairs"
    make_pairs("gray", sources, out, size=32)
    for path in (out / ".p2p" / "shards").iterdir():
        values = json.loads(path.read_text())
        for name in ("pictures", "left_out", "kept"):
            del values[name]
        path.write_text(json.dumps(values))
    assert make_pairs("gray", sources, out, size=32).nothing_to_do
