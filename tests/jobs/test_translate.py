"""The translate job on pictures and films made here."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ExitCode, NothingMatchedError, UsageError
from p2pcli.events import Note
from p2pcli.image import Image, over
from p2pcli.inference.translator import Translator, load_model
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import encode, read_image
from p2pcli.io.video import frame_times
from p2pcli.jobs.translate import newest_model, translate
from p2pcli.jobs.translate_report import TranslateReport


def noise(
    height: int = 40, width: int = 36, channels: int = 3, *, seed: int = 0, dtype: str = "uint8"
) -> Image:
    top = int(np.iinfo(dtype).max) + 1
    return np.random.default_rng(seed).integers(0, top, (height, width, channels)).astype(dtype)


def photo(path: Path, *, seed: int = 0, channels: int = 3, dtype: str = "uint8") -> Path:
    write_bytes(path, encode(noise(seed=seed, channels=channels, dtype=dtype), path.suffix))
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    photo(folder / "a.png")
    photo(folder / "deep" / "b.jpg", seed=1)
    photo(folder / "deep" / "er" / "c.tiff", seed=2, dtype="uint16")
    return folder


def film(path: Path, *, pts: tuple[int, ...] = (0, 40, 90, 100, 170), sound: bool = True) -> Path:
    """64×48, uneven timestamps in milliseconds, with a little AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 1000)
        audio = output.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(noise(48, 64, seed=number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            output.mux(audio.encode(samples))
            output.mux(audio.encode(None))
    return path


def frames_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        return [(Fraction(frame.pts * frame.time_base), frame.to_ndarray().tobytes()) for frame in decoded]


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def accounted(report: TranslateReport) -> bool:
    tally = report.tally
    return tally.planned == tally.written + sum(tally.skipped.values()) + len(tally.failed)


def test_a_folder_that_cannot_be_read_counts_as_failed(
    photos: Path, tmp_path: Path, tiny_model: Callable[..., Path], lock: Callable[[Path], Path]
) -> None:
    closed = lock(photos / "deep")
    report = translate(photos, model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert [failure.source for failure in report.tally.failed] == [str(closed)]
    assert (report.tally.planned, report.tally.written, report.exit_code) == (2, 1, ExitCode.ITEMS_FAILED)


def test_a_tree_is_mirrored_with_names_formats_sizes_and_depths(photos, tmp_path, tiny_model):
    report = translate(photos, model=tiny_model(), output=tmp_path / "out", device="cpu")
    for name, dtype in (("a.png", "uint8"), ("deep/b.jpg", "uint8"), ("deep/er/c.tiff", "uint16")):
        decoded = read_image(tmp_path / "out" / name)
        assert (decoded.image.shape, decoded.image.dtype) == ((40, 36, 3), np.dtype(dtype))
    assert (report.tally.written, report.exit_code) == (3, ExitCode.OK)


def test_the_file_holds_what_the_model_makes_of_the_picture(photos, tmp_path, tiny_model):
    model = tiny_model()
    translate(photos, model=model, output=tmp_path / "out", device="cpu")
    expected = load_model(model, device="cpu")(read_image(photos / "a.png").image)
    assert np.array_equal(read_image(tmp_path / "out" / "a.png").image, expected)


def test_a_single_picture_goes_to_the_file_that_is_named(photos, tmp_path, tiny_model):
    report = translate(photos / "a.png", model=tiny_model(), output=tmp_path / "x" / "one.webp")
    assert report.output == tmp_path / "x" / "one.webp"
    assert read_image(report.output).meta.format == "WEBP"
    assert not (tmp_path / "x" / ".p2p").exists()


def test_several_sources_do_not_fit_into_one_file(photos, tmp_path, tiny_model):
    with pytest.raises(UsageError, match="is one file, but the sources hold 3"):
        translate(photos, model=tiny_model(), output=tmp_path / "one.png")


def test_without_an_output_it_is_translated_and_the_models_name(photos, tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model("runs/shoes/model.safetensors")
    notes: list[str] = []
    report = translate(photos, observe=lambda event: notes.append(getattr(event, "text", "")))
    assert report.output == Path("translated/shoes")
    assert Path("translated/shoes/a.png").is_file()
    assert "model: runs/shoes/model.safetensors, the newest under runs/" in "\n".join(notes)


def test_the_current_folder_can_be_the_source_again_and_again(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    model = tiny_model()
    for expected in (1, 0):
        assert translate(".", model=model).tally.written == expected
    assert [path.name for path in tmp_path.glob("translated/tiny/*.*") if path.is_file()] == ["a.png"]


def test_a_second_run_does_nothing_and_a_changed_source_is_done_again(photos, tmp_path, tiny_model):
    model, out = tiny_model(), tmp_path / "out"
    translate(photos, model=model, output=out)
    again = translate(photos, model=model, output=out)
    assert (again.tally.written, again.tally.skipped) == (0, {"done already": 3})
    photo(photos / "a.png", seed=9)
    assert translate(photos, model=model, output=out).tally.written == 1


@pytest.mark.parametrize("change", ["model", "option"])
def test_another_model_or_option_does_everything_again(photos, tmp_path, tiny_model, change):
    out = tmp_path / "out"
    translate(photos, model=tiny_model(), output=out)
    other = tiny_model(seed=1) if change == "model" else tiny_model()
    statistics = "running" if change == "option" else None
    report = translate(photos, model=other, output=out, statistics=statistics)
    assert report.tally.written == 3


def test_a_file_cut_short_is_done_again(photos, tmp_path, tiny_model):
    model, out = tiny_model(), tmp_path / "out"
    translate(photos, model=model, output=out)
    whole = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(whole[:50])
    assert translate(photos, model=model, output=out).tally.written == 1
    assert (out / "a.png").read_bytes() == whole


def test_a_ledger_line_cut_short_costs_that_file_only(photos, tmp_path, tiny_model):
    model, out = tiny_model(), tmp_path / "out"
    translate(photos, model=model, output=out)
    record = out / ".p2p" / "done.jsonl"
    record.write_text(record.read_text()[:-20])
    assert translate(photos, model=model, output=out).tally.written == 1
    assert translate(photos, model=model, output=out).tally.written == 0


def test_somebody_elses_file_is_replaced_only_when_asked(photos, tmp_path, tiny_model):
    model, out = tiny_model(), tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")
    report = translate(photos, model=model, output=out)
    assert report.tally.skipped == {"exists, not written by p2p": 1}
    assert (out / "a.png").read_bytes() == b"mine"
    assert translate(photos, model=model, output=out, overwrite=True).tally.written == 3
    assert (out / "a.png").read_bytes() != b"mine"


def test_a_bad_file_is_a_row_and_the_others_are_done(photos, tmp_path, tiny_model):
    (photos / "bad.png").write_bytes((photos / "a.png").read_bytes()[:300])
    (photos / "empty.jpg").touch()
    (photos / "notes.xyz").write_text("hello")
    report = translate(photos, model=tiny_model(), output=tmp_path / "out")
    assert (report.tally.written, len(report.tally.failed), report.exit_code) == (3, 2, ExitCode.ITEMS_FAILED)
    assert accounted(report)
    lines = (tmp_path / "out" / ".p2p" / "failures.jsonl").read_text().splitlines()
    assert [(json.loads(line)["key"], json.loads(line)["stage"]) for line in lines] == [
        ("bad", "read"),
        ("empty", "read"),
    ]


def test_failures_mended_leave_no_failures_file(photos, tmp_path, tiny_model):
    model, out = tiny_model(), tmp_path / "out"
    (photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    translate(photos, model=model, output=out)
    photo(photos / "bad.png")
    assert translate(photos, model=model, output=out).exit_code == ExitCode.OK
    assert not (out / ".p2p" / "failures.jsonl").exists()


def test_formats_that_would_lose_become_png_beside_their_namesake(tmp_path, tiny_model):
    photo(tmp_path / "in" / "x.gif")
    photo(tmp_path / "in" / "y.gif")
    photo(tmp_path / "in" / "x.png", seed=1)
    photo(tmp_path / "in" / "z.pgm", channels=1)
    translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out")
    written = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())
    assert written == ["x.gif.png", "x.png", "y.png", "z.png"]


def test_one_encoding_for_all(photos, tmp_path, tiny_model):
    translate(photos, model=tiny_model(), output=tmp_path / "out", encoding="png")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*") if path.is_file()) == [
        "a.png",
        "b.png",
        "c.png",
        "done.jsonl",
    ]


def test_alpha_is_left_out_where_the_named_format_has_none(tmp_path, tiny_model):
    photo(tmp_path / "in" / "x.png", channels=4)
    report = translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out", encoding="jpg")
    assert "transparency is left out" in "\n".join(report.notes)
    assert read_image(tmp_path / "out" / "x.jpg").image.shape == (40, 36, 3)


@pytest.mark.parametrize("where", [".", "sub", ".."])
def test_an_output_in_or_around_the_sources_is_refused(photos, tiny_model, where):
    with pytest.raises(UsageError, match="input"):
        translate(photos, model=tiny_model(), output=photos / where)


def test_nothing_to_translate_is_said(tmp_path, tiny_model):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingMatchedError, match="no image and no film found"):
        translate(tmp_path / "empty", model=tiny_model(), output=tmp_path / "out")


def test_a_dry_run_writes_nothing_and_lists_what_it_would(photos, tmp_path, tiny_model):
    report = translate(photos, model=tiny_model(), output=tmp_path / "out", dry_run=True)
    assert len(report.outputs) == 3
    assert not (tmp_path / "out").exists()
    assert accounted(report)


def test_limit_takes_the_first_by_key(photos, tmp_path, tiny_model):
    translate(photos, model=tiny_model(), output=tmp_path / "out", limit=1)
    assert (tmp_path / "out" / "a.png").is_file()
    assert not (tmp_path / "out" / "deep").exists()


def test_stop_leaves_whole_files_and_the_next_run_does_the_rest(tmp_path, tiny_model):
    for number in range(40):
        photo(tmp_path / "in" / f"{number:02}.png", seed=number)
    stop, model = threading.Event(), tiny_model()

    def stop_early(event: object) -> None:
        if getattr(event, "done", 0) >= 3:
            stop.set()

    first = translate(tmp_path / "in", model=model, output=tmp_path / "out", observe=stop_early, stop=stop)
    assert first.interrupted and accounted(first)
    assert 0 < first.tally.written < 40
    rest = translate(tmp_path / "in", model=model, output=tmp_path / "out")
    assert rest.tally.written == 40 - first.tally.written
    assert not list((tmp_path / "out").rglob("*.tmp*"))


def test_the_newest_run_is_the_one_that_wrote_its_model_last(tiny_model, tmp_path):
    for age, name in enumerate(("c", "a", "b")):
        os.utime(tiny_model(f"runs/{name}/model.safetensors"), (2000 - age, 2000 - age))
    assert newest_model(tmp_path / "runs").parent.name == "c"


def test_without_any_run_the_command_to_give_is_named(tmp_path):
    with pytest.raises(NothingMatchedError, match="p2p train"):
        newest_model(tmp_path / "runs")


def test_a_film_keeps_every_timestamp_and_its_sound(tmp_path, tiny_model):
    source = film(tmp_path / "film.mp4")
    report = translate(source, model=tiny_model(), output=tmp_path / "out.mp4", device="cpu")
    assert (report.tally.written, report.frames, report.frames_failed) == (1, 5, 0)
    before, after = frames_of(source), frames_of(tmp_path / "out.mp4")
    assert [time for time, _ in before] == [time for time, _ in after]
    assert sound_of(source) == sound_of(tmp_path / "out.mp4")
    assert all(a != b for (_, a), (_, b) in zip(before, after, strict=True))


def test_a_film_in_a_folder_is_mirrored_among_the_pictures(tmp_path, tiny_model):
    photo(tmp_path / "in" / "a.png")
    film(tmp_path / "in" / "films" / "b.mkv")
    model = tiny_model()
    report = translate(tmp_path / "in", model=model, output=tmp_path / "out")
    assert (tmp_path / "out" / "films" / "b.mkv").is_file()
    assert (report.tally.planned, report.tally.written) == (2, 2)
    assert translate(tmp_path / "in", model=model, output=tmp_path / "out").tally.written == 0


def test_a_film_that_was_cut_short_is_written_as_far_as_it_goes_and_failed(tmp_path, tiny_model):
    film(tmp_path / "in" / "whole.mkv")
    cut = film(tmp_path / "in" / "cut.mkv", pts=tuple(range(0, 4000, 100)), sound=False)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    left, model = len(frame_times(cut)), tiny_model()
    report = translate(tmp_path / "in", model=model, output=tmp_path / "out")
    tally = report.tally
    assert (tally.planned, tally.written, [row.stage for row in tally.failed]) == (2, 1, ["read"])
    assert (report.exit_code, report.frames) == (ExitCode.ITEMS_FAILED, left + 5)
    assert len(frame_times(tmp_path / "out" / "cut.mkv")) == left
    assert "it was cut short" in tally.failed[0].message and f"{left} frames" in tally.failed[0].message
    again = translate(tmp_path / "in", model=model, output=tmp_path / "out")
    assert again.tally.skipped == {"done already": 2}


def test_a_film_batch_by_batch_equals_frame_by_frame(tmp_path, tiny_model):
    source, model = film(tmp_path / "film.mp4", sound=False), tiny_model()
    for size in (1, 4):
        output = tmp_path / f"{size}.mp4"
        translate(source, model=model, output=output, batch_size=size, device="cpu", precision="float32")
    assert frames_of(tmp_path / "1.mp4") == frames_of(tmp_path / "4.mp4")


def test_a_frame_that_fails_shows_the_source_and_counts(tmp_path, tiny_model, monkeypatch):
    source = film(tmp_path / "film.mp4")
    third, whole = frame_times(source)[2], Translator.run

    def fail_once(self, inputs, sources, keys):
        if f"film@{third}" in keys:
            raise RuntimeError("cannot")
        return whole(self, inputs, sources, keys)

    monkeypatch.setattr(Translator, "run", fail_once)
    report = translate(source, model=tiny_model(), output=tmp_path / "out.mp4")
    assert (report.frames, report.frames_failed, report.exit_code) == (5, 1, ExitCode.ITEMS_FAILED)
    assert frame_times(tmp_path / "out.mp4") == frame_times(source)


def test_a_film_of_which_no_frame_can_be_translated_fails(tmp_path, tiny_model, monkeypatch):
    def fail(self, inputs, sources, keys):
        raise RuntimeError("cannot")

    monkeypatch.setattr(Translator, "run", fail)
    report = translate(film(tmp_path / "film.mp4"), model=tiny_model(), output=tmp_path / "out.mp4")
    assert [failure.stage for failure in report.tally.failed] == ["translate"]
    assert not (tmp_path / "out.mp4").exists()


def test_an_interrupted_film_leaves_nothing(tmp_path, tiny_model, monkeypatch):
    stop, whole = threading.Event(), Translator.run

    def stop_soon(self, inputs, sources, keys):
        stop.set()
        return whole(self, inputs, sources, keys)

    monkeypatch.setattr(Translator, "run", stop_soon)
    source = film(tmp_path / "film.mp4", pts=tuple(range(0, 8000, 40)))
    report = translate(source, model=tiny_model(), output=tmp_path / "out" / "film.mp4", stop=stop)
    assert report.interrupted and report.tally.skipped == {"interrupted": 1}
    assert report.unfinished_film == "film.mp4"
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".mp4", ".tmp")]


def test_a_film_that_is_none_is_a_row(tmp_path, tiny_model):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.mp4").write_bytes(film(tmp_path / "film.mp4").read_bytes()[:200])
    report = translate(tmp_path / "in", model=tiny_model(), output=tmp_path / "out")
    assert [failure.key for failure in report.tally.failed] == ["broken"]


def test_the_maker_that_is_applied_is_told(photos, tmp_path, tiny_model):
    report = translate(photos, model=tiny_model(pairs={"maker": "gray"}), output=tmp_path / "out")
    assert "each picture goes through it first; --prepare none switches that off" in "\n".join(report.notes)


def test_every_note_of_the_report_was_observed(photos, tmp_path, tiny_model):
    seen: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note):
            seen.append(event.text)

    report = translate(photos, model=tiny_model(), output=tmp_path / "out", observe=observe)
    assert set(report.notes) <= set(seen)


@pytest.mark.real
def test_hostile_pictures_are_all_accounted_for(real_data, tmp_path, tiny_model):
    report = translate(
        real_data / "hostile", model=tiny_model(), output=tmp_path / "out", max_pixels=10_000_000
    )
    assert accounted(report)
    assert report.tally.written > 60


def test_what_is_left_out_of_the_results_is_said_in_one_line(tmp_path, tiny_model):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = PillowImage.new("RGB", (32, 32), (200, 30, 60))
    exif = PillowImage.Exif()
    exif[271] = "Camera Co"
    for name in ("a.jpg", "b.jpg"):
        picture.save(folder / name, exif=exif, dpi=(300, 300))
    picture.save(folder / "c.webp", exif=exif)
    picture.save(folder / "d.png")
    report = translate(folder, model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert report.notes[-1] == "left out of what is written: EXIF (3 files), dpi (2 files)"
    assert sum("left out" in note for note in report.notes) == 1


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, tiny_model):
    PillowImage.new("RGB", (32, 32)).save(tmp_path / "a.png")
    report = translate(tmp_path / "a.png", model=tiny_model(), output=tmp_path / "out", device="cpu")
    assert not any("left out" in note for note in report.notes)


def soft(path: Path, dtype: str = "uint8") -> Path:
    image = noise(32, 32, 4, dtype=dtype)
    image[:, :, 3] = np.linspace(0, np.iinfo(dtype).max, 32).astype(dtype)
    write_bytes(path, encode(image, path.suffix))
    return path


def test_another_background_is_other_work(tmp_path, tiny_model):
    model, source, out = tiny_model(), soft(tmp_path / "a.png"), tmp_path / "out"
    first = translate(source, model=model, output=out, device="cpu")
    content = (out / "a.png").read_bytes()
    assert translate(source, model=model, output=out, background=255, device="cpu").tally.written == 0
    again = translate(source, model=model, output=out, background="#000", device="cpu")
    assert first.tally.written == again.tally.written == 1
    assert (out / "a.png").read_bytes() != content


def test_a_wrong_background_is_refused_before_any_work(tmp_path, tiny_model):
    with pytest.raises(UsageError, match="no colour 'blakc'"):
        translate(soft(tmp_path / "a.png"), model=tiny_model(), output=tmp_path / "out", background="blakc")
    assert not (tmp_path / "out").exists()


def test_without_transparency_a_picture_shows_over_the_background(tmp_path, tiny_model):
    source = soft(tmp_path / "a.png")
    image = read_image(source).image
    model = load_model(tiny_model(), device="cpu", background="black")
    translate(source, model=tiny_model(), output=tmp_path / "b.bmp", background="black", device="cpu")
    assert np.array_equal(read_image(tmp_path / "b.bmp").image, over(model(image), (0, 0, 0)))


def assert_is_kept(found: Image, wanted: Image) -> None:
    """Alpha, and colours within half a step of what a network saw, exact where nothing is mixed."""
    alpha = wanted[:, :, 3:]
    assert np.array_equal(found[:, :, 3:], alpha)
    steps = np.abs(found - wanted)[:, :, :3]
    assert (steps <= np.where(alpha % 255 == 0, 0, 1 + 128 / alpha.clip(1))).all()


@pytest.mark.real
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".tga"])
@pytest.mark.parametrize("scale", [1, 2])
def test_an_identity_model_gives_back_transparent_files(tmp_path, real_data, suffix, scale):
    source = soft(tmp_path / f"a{suffix}")
    model = real_data / "reported" / "identity" / f"identity_x{scale}.pth"
    translate(source, model=model, output=tmp_path / "out", device="cpu")
    wanted = read_image(source).image.repeat(scale, axis=0).repeat(scale, axis=1).astype(int)
    found = read_image(tmp_path / "out" / source.name).image.astype(int)
    assert_is_kept(found, wanted)


@pytest.mark.real
def test_an_identity_model_gives_back_palettes_keys_and_gray_with_alpha(tmp_path, real_data):
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    palette = PillowImage.fromarray(rng.integers(0, 4, (32, 32), dtype=np.uint8), "P")
    palette.putpalette([200, 30, 60, 10, 220, 40, 20, 40, 240, 90, 90, 90])
    palette.save(folder / "palette.png", transparency=bytes([255, 128, 0, 40]))
    PillowImage.fromarray(noise(32, 32)).save(
        folder / "key.png", transparency=tuple(map(int, noise(32, 32)[3, 3]))
    )
    PillowImage.fromarray(noise(32, 32, 3)[:, :, :2], "LA").save(folder / "gray.png")
    model = real_data / "reported" / "identity" / "identity_x1.pth"
    translate(folder, model=model, output=tmp_path / "out", device="cpu")
    for name in ("palette.png", "key.png", "gray.png"):
        wanted = read_image(folder / name).image.astype(int)
        found = read_image(tmp_path / "out" / name).image.astype(int)
        alpha = wanted[:, :, 3:]
        assert np.array_equal(found[:, :, 3:], alpha)
        assert (
            np.abs(found - wanted)[:, :, :3] <= np.where(alpha % 255 == 0, 0, 1 + 128 / alpha.clip(1))
        ).all()


def premultiplied(path: Path, dtype: str) -> Path:
    """A TIFF whose colours are multiplied by alpha, and says so (ExtraSamples 1)."""
    image = noise(32, 32, 4, dtype=dtype)
    alpha = image[:, :, 3:].astype(np.uint32)
    top = int(np.iinfo(dtype).max)
    image[:, :, :3] = (image[:, :, :3] * alpha + top // 2) // top
    content = encode(image, ".tiff")
    straight, multiplied = (struct.pack("<HHIHH", 338, 3, 1, kind, 0) for kind in (2, 1))
    assert content.count(straight) == 1
    path.write_bytes(content.replace(straight, multiplied))
    return path


@pytest.mark.real
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_identity_model_gives_back_premultiplied_files(tmp_path, real_data, dtype):
    source = premultiplied(tmp_path / "a.tiff", dtype)
    model = real_data / "reported" / "identity" / "identity_x1.pth"
    translate(source, model=model, output=tmp_path / "out", device="cpu")
    wanted = read_image(source).image.astype(np.int64)
    found = read_image(tmp_path / "out" / "a.tiff").image.astype(np.int64)
    top = np.iinfo(dtype).max
    alpha = wanted[:, :, 3:]
    assert np.array_equal(found[:, :, 3:], alpha) and read_image(source).image.dtype == dtype
    steps = np.abs(found - wanted)[:, :, :3]
    assert (steps <= np.where(alpha % top == 0, 0, 1 + (top + 1) / 2 / alpha.clip(1))).all()
