"""Whatever one item raises is one failed row, in every verb; only the machine's faults end a run."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import EnvironmentFaultError, ExitCode, ItemError, NothingMatchedError, item_border
from p2pcli.inference.translator import Translator
from p2pcli.io.video import VideoWriter
from p2pcli.jobs import pairs_worker
from p2pcli.jobs.make_pairs import make_pairs
from p2pcli.jobs.train import train
from p2pcli.jobs.translate import translate
from p2pcli.plan import Tally

ODD = [
    AssertionError("palette"),
    IndexError("list index out of range"),
    RuntimeError("odd"),
    MemoryError(),
    KeyError("x"),
    av.error.InvalidDataError(1094995529, "Invalid data found when processing input"),
    av.error.PermissionError(1, "Operation not permitted"),
    av.error.OSError(5, "Input/output error"),
    OSError(errno.EACCES, "Permission denied"),
]
"""What libraries raise on damaged files. Some carry numbers that would mean a fault of the machine."""


def photo(path: Path, *, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    PillowImage.fromarray(values).save(path)
    return path


def film(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 80 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def require_whole(tally: Tally) -> None:
    assert tally.planned == tally.written + sum(tally.skipped.values()) + len(tally.failed)


@pytest.fixture(
    params=ODD, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}-{error.args[:1]}"
)
def odd(request: pytest.FixtureRequest) -> Exception:
    error: Exception = request.param
    return error


def breaking(monkeypatch: pytest.MonkeyPatch, place: str, error: Exception) -> None:
    """What `place` names raises `error` for files whose name begins with "bad"."""
    module, name = place.rsplit(".", 1)
    whole = getattr(importlib.import_module(module), name)

    def broken(source: object, *rest: object, **options: object) -> object:
        path = getattr(source, "path", source)
        if isinstance(path, str | os.PathLike) and Path(path).name.startswith("bad"):
            raise error
        return whole(source, *rest, **options)

    monkeypatch.setattr(place, broken)


@pytest.mark.parametrize(
    "place",
    [
        "p2pcli.inference.pictures.read_image",
        "p2pcli.inference.film.probe",
        "p2pcli.inference.film.read_frames",
        "p2pcli.inference.outputs.probe",
        "p2pcli.inference.outputs.output_suffix",
        "p2pcli.io.video.side_streams.clock_of",
        "p2pcli.io.video.writer.SideStreams",
    ],
)
def test_translate_goes_on_behind_any_error(
    place: str,
    odd: Exception,
    tmp_path: Path,
    tiny_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "pictures" in place:
        photo(tmp_path / "in" / "bad.png", seed=0), photo(tmp_path / "in" / "good.png", seed=1)
    else:
        film(tmp_path / "in" / "bad.mp4"), film(tmp_path / "in" / "good.mp4")
    breaking(monkeypatch, place, odd)
    report = translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out", device="cpu")
    is_only_planned = "outputs" in place
    assert [row.key for row in report.tally.failed] == ([] if is_only_planned else ["bad"])
    assert report.exit_code == (ExitCode.OK if is_only_planned else ExitCode.ITEMS_FAILED)
    assert [path.stem for path in (tmp_path / "out").glob("good*")] == ["good"]
    require_whole(report.tally)
    assert all(row.message for row in report.tally.failed)


@pytest.mark.parametrize("at", ["mux_one", "encode"])
@pytest.mark.parametrize(
    ("error", "ends_the_run"),
    [
        (av.error.InvalidDataError(1094995529, "Invalid data found when processing input"), False),
        (av.error.PermissionError(1, "Operation not permitted"), False),
        (av.error.ArgumentError(22, "Invalid argument"), False),
        (av.error.OSError(errno.ENOSPC, "No space left on device"), True),
        (av.error.PermissionError(errno.EACCES, "Permission denied"), True),
    ],
    ids=["invalid-data", "minus-one", "invalid-argument", "full", "denied"],
)
def test_a_film_that_cannot_be_written_ends_the_run_only_where_the_machine_refuses(
    at: str,
    error: Exception,
    ends_the_run: bool,
    tmp_path: Path,
    tiny_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film(tmp_path / "in" / "bad.mp4"), film(tmp_path / "in" / "good.mp4")
    whole = VideoWriter._mux if at == "mux_one" else VideoWriter._finish_side_streams

    def broken(self: VideoWriter, *rest: object) -> None:
        if self.path.stem == "bad":
            raise error
        whole(self, *rest)

    monkeypatch.setattr(VideoWriter, whole.__name__, broken)
    if ends_the_run:
        with pytest.raises(EnvironmentFaultError, match="cannot be written"):
            translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out", device="cpu")
        return
    report = translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert [(row.key, row.stage) for row in report.tally.failed] == [("bad", "write")]
    assert "Check the disk" not in report.tally.failed[0].message
    assert report.tally.written == 1


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("p2pcli.jobs.pairs_worker.read_image", "bad.png"),
        ("p2pcli.io.video.probe", "bad.mp4"),
        ("p2pcli.io.video.film_frames", "bad.mp4"),
        ("p2pcli.io.video.read_frames", "bad.mp4"),
        ("p2pcli.jobs.pairs_worker._film_sha256", "bad.mp4"),
    ],
)
def test_make_pairs_goes_on_behind_any_error(
    place: str, name: str, odd: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        photo(tmp_path / "in" / f"good{number}.png", seed=number)
    if name.endswith(".png"):
        photo(tmp_path / "in" / name, seed=9)
        whole = pairs_worker._content_of
        # Pictures are read from their bytes.
        monkeypatch.setattr(
            pairs_worker, "_content_of", lambda path: Path(path) if "bad" in path else whole(path)
        )
    else:
        film(tmp_path / "in" / name)
    breaking(monkeypatch, place, odd)
    report = make_pairs("gray", tmp_path / "in", tmp_path / "out", size=16, workers=1)
    assert {row.source for row in report.tally.failed} == {name}
    assert (report.tally.written, report.exit_code) == (3, ExitCode.ITEMS_FAILED)
    require_whole(report.tally)
    assert all(row.message for row in report.tally.failed)


@pytest.mark.parametrize("task", ["paired", "unpaired"])
def test_train_goes_on_behind_any_error(
    task: str, odd: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from p2pcli.io import domains, folder, pairs_folder

    sides = ("A", "B") if task == "paired" else ("trainA", "trainB")
    for side in sides:
        for number in range(4):
            photo(tmp_path / "in" / side / f"{number}.png", seed=number)
    (
        photo(tmp_path / "in" / sides[0] / "bad.png", seed=9),
        photo(tmp_path / "in" / sides[1] / "bad.png", seed=9),
    )
    for module in (domains, folder, pairs_folder):
        breaking(monkeypatch, f"{module.__name__}.read_image", odd)
    overrides = [
        f"task={task}",
        "data.size=16",
        "data.load_size=16",
        "data.validation=0",
        "generator.channels=4",
        "discriminator.channels=4",
        "discriminator.receptive_field=1",
        "train.epochs=1",
        "train.decay_epochs=0",
        "train.precision=float32",
    ]
    recipe = tmp_path / "r.toml"
    recipe.write_text('[generator]\nname = "resnet"\nblocks = 1\n')
    report = train(tmp_path / "in", recipe=recipe, output=tmp_path / "run", overrides=overrides, device="cpu")
    assert {row.key.rpartition("/")[2] for row in report.tally.failed} == {"bad"}
    assert report.exit_code == ExitCode.ITEMS_FAILED
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_the_border_lets_what_ends_a_run_pass() -> None:
    with pytest.raises(NothingMatchedError), item_border("x"):
        raise NothingMatchedError("nothing")
    with pytest.raises(KeyboardInterrupt), item_border("x"):
        raise KeyboardInterrupt
    with pytest.raises(ItemError, match=r"x: cannot be used \(IndexError: odd\)") as caught, item_border("x"):
        raise IndexError("odd")
    assert isinstance(caught.value.__cause__, IndexError)


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("broken/damaged-ts-then-intact", ["a.mp4", "z.mp4"]),
        (
            "films/sound-that-does-not-fit",
            ["a.mp4", "b.mp4", "dvd_pcm.mp4", "gen_adpcm.mp4", "vc1_wmapro.mp4"],
        ),
    ],
)
def test_real_folders_are_translated_to_their_last_film(
    folder: str,
    names: list[str],
    real_data: Path,
    tmp_path: Path,
    tiny_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the network makes of the pictures is no matter here, and its time is long.
    monkeypatch.setattr(Translator, "run", lambda self, inputs, sources, keys: sources)
    report = translate(
        real_data / "reported" / folder, model=tiny_model(), output=tmp_path / "out", device="cpu"
    )
    assert report.tally.failed == [] and report.tally.written == len(names)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == names


@pytest.mark.real
def test_make_pairs_reads_every_real_film_whose_sound_does_not_fit(real_data: Path, tmp_path: Path) -> None:
    report = make_pairs(
        "gray", real_data / "reported" / "films" / "sound-that-does-not-fit", tmp_path / "out", workers=1
    )
    require_whole(report.tally)
    assert report.tally.failed == []
