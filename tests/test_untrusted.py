"""What strangers hand us ends in one line and a documented exit code, within seconds and within memory.

All cases run in one process of its own, whose memory is capped by the system, so that a file which claims
terabytes, or grows to some, cannot pass.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file

from p2pcli.errors import ResumeMismatchError, UsageError
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.jobs.train_plan import require_same_run
from p2pcli.nets import UNet
from p2pcli.recipe import parse_recipe
from p2pcli.stored_tensors import read_tensors
from p2pcli.tasks import build_generator
from p2pcli.training.checkpoint import newest_state, save_state
from p2pcli.training.report_page import render_report
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import RunLog
from p2pcli.training.state import STATE_PARTS, new_state
from p2pcli.untrusted import require_kinds

SECONDS = 20.0
"""Of the processor, for each case; most take a hundredth."""
PATIENCE_SECONDS = 240.0
"""On a busy machine: after it a case counts as hung."""
EXTRA_BYTES = 3 << 30
"""Address space that the process may take beyond what its libraries take."""

SERVER = """
import contextlib, io, json, resource, sys, time
from p2pcli.cli import main
import torch, pyarrow.parquet, cv2, safetensors, spandrel
import p2pcli.jobs.train, p2pcli.jobs.translate, p2pcli.jobs.import_weights, p2pcli.jobs.make_pairs
torch.set_num_threads(1)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + EXTRA, taken + EXTRA))
answers = sys.stdout
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    began = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(json.loads(line))
    row = [code, out.getvalue(), err.getvalue(), time.process_time() - began]
    answers.write(json.dumps(row) + "\\n")
    answers.flush()
""".replace("EXTRA", str(EXTRA_BYTES))

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs pipes and memory limits")


class Capped:
    """A process that runs command lines in little memory."""

    def __init__(self, folder: Path) -> None:
        self.errors = (folder / "stderr").open("w")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def run(self, words: Sequence[str]) -> tuple[int, str, str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        assert ready, f"{words} hangs"
        line = self.process.stdout.readline()
        assert line, f"{words} ended the process ({self.process.wait()})"
        code, out, err, seconds = json.loads(line)
        return code, out, err, seconds

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Capped]]:
    """The process, begun anew by `capped` where a case has ended it."""
    held: list[Capped] = []
    yield held
    for one in held:
        one.close()


@pytest.fixture
def capped(server: list[Capped], tmp_path_factory: pytest.TempPathFactory) -> Capped:
    if not server or server[-1].process.poll() is not None:
        server.append(Capped(tmp_path_factory.mktemp("server")))
    return server[-1]


MAKER = "pairs.maker=gray"
Words = list[str]
Case = Callable[[Path], Words]


def photo(folder: Path) -> str:
    path = folder / "photo.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    return str(path)


def imported(path: Path) -> Words:
    return ["import", str(path), "-o", str(path.parent / "out.safetensors")]


def translated(folder: Path, model: Path) -> Words:
    return ["translate", photo(folder), "-m", str(model), "-o", str(folder / "out")]


def unet_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return UNet(channels=2, depth=5).state_dict()


def pth(folder: Path, values: Any, **options: Any) -> Path:
    torch.save(values, folder / "G.pth", **options)
    return folder / "G.pth"


def model(
    folder: Path, *, sections: dict[str, Any] | None = None, about: dict[str, Any] | None = None
) -> Path:
    """A model file of 32 px whose metadata were changed after it was made."""
    recipe = parse_recipe({"data": {"size": 32, "load_size": 32}, "generator": {"channels": 4}}, where="test")
    path = folder / "model.safetensors"
    save_model(path, build_generator(recipe).state_dict(), recipe=recipe, info=ModelInfo(trained_size=32))
    state, metadata = read_tensors(path)
    values = json.loads(metadata["p2p"])
    for name, keys in (sections or {}).items():
        values["recipe"][name] = keys
    path.write_bytes(save(state, metadata={"p2p": json.dumps({**values, **(about or {})})}))
    return path


def with_metadata(folder: Path, text: str) -> Path:
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors", metadata={"p2p": text})
    return folder / "model.safetensors"


def recipe_file(folder: Path, text: str) -> Words:
    (folder / "r.toml").write_text(text, encoding="utf-8")
    return [word for word in trained(folder, "-r", f"{folder}/r.toml") if word not in ("--set", MAKER)]


def trained(folder: Path, *more: str) -> Words:
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    for index in range(3):
        Image.fromarray(np.full((32, 32, 3), index, np.uint8)).save(photos / f"{index}.png")
    return ["train", str(photos), "-o", str(folder / "run"), "--set", MAKER, *more]


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link(path: Path, to: Path | str) -> Path:
    path.symlink_to(to)
    return path


def rewritten(
    path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> Path:
    """The archive at `path` with each member changed."""
    with zipfile.ZipFile(path) as archive:
        members = [(one.filename, archive.read(one)) for one in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, change(name, data))
    return path


def png(side: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def parquet(folder: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, folder / "pairs.parquet", **options)
    return folder / "pairs.parquet"


def claims_terabytes(folder: Path) -> Words:
    state = unet_state()
    state["model.model.0.weight"] = torch.zeros(1).expand(1 << 20, 1 << 20)
    return imported(pth(folder, state))


def claims_terabytes_as_old_torch_wrote(folder: Path) -> Words:
    return imported(pth(folder, {"w": torch.zeros(1).expand(1 << 40)}, _use_new_zipfile_serialization=False))


def claims_more_than_its_record(folder: Path) -> Words:
    path = pth(folder, {"w": torch.zeros(100)})
    return imported(
        rewritten(path, lambda name, data: data.replace(b"Kd", b"K\xc8") if "data.pkl" in name else data)
    )


def is_a_zip_bomb(folder: Path) -> Words:
    path = pth(folder, {"w": torch.zeros(64)})
    return imported(
        rewritten(
            path,
            lambda name, data: bytes(1 << 29) if "/data/" in name else data,
            compression=zipfile.ZIP_DEFLATED,
        )
    )


def holds_a_hundred_thousand_empty_tensors(folder: Path) -> Words:
    rows = b"".join(b"X\x06\x00\x00\x00%06dh\x02" % number for number in range(100_000))
    # One empty tensor in the memo, under a hundred thousand names: torch.save itself takes half a minute.
    head = (
        b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x00tQK\x00K\x00\x85K\x01\x85\x89"
        b"ccollections\nOrderedDict\n)RtRq\x02"
    )
    with zipfile.ZipFile(folder / "G.pth", "w") as archive:
        archive.writestr("G/data.pkl", head + rows + b"u.")
        archive.writestr("G/byteorder", "little")
        archive.writestr("G/data/0", b"")
        archive.writestr("G/version", "3\n")
    return imported(folder / "G.pth")


def holds_a_hundred_thousand_tensors(folder: Path) -> Words:
    entries = {
        f"{number:06d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(100_000)
    }
    header = json.dumps(entries).encode()
    (folder / "G.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return imported(folder / "G.safetensors")


def is_on_no_device(folder: Path) -> Words:
    return imported(pth(folder, {"w": torch.empty(1 << 40, device="meta")}))


def is_sparse(folder: Path) -> Words:
    places = torch.tensor([[1], [2]])
    size = (1 << 20, 1 << 20)
    sparse = torch.sparse_coo_tensor(places, torch.ones(1), size, check_invariants=True)
    return imported(pth(folder, {"w": sparse}))


def holds_itself(folder: Path) -> Words:
    values: dict[str, Any] = {}
    values["a"] = {"b": values}
    return imported(pth(folder, values))


def has_names_that_are_tuples_of_tuples(folder: Path) -> Words:
    name: Any = ("a",)
    for _ in range(50):
        name = (name, name)
    with zipfile.ZipFile(folder / "G.pth", "w") as archive:
        text = b"\x80\x02}(X\x01\x00\x00\x00a\x85" + b"q\x00h\x00\x86" * 60 + b"K\x01u."
        archive.writestr("G/data.pkl", text)
        archive.writestr("G/version", "3\n")
    return imported(folder / "G.pth")


def is_deep(folder: Path) -> Words:
    values: Any = {}
    for _ in range(200):
        values = {"state_dict": values}
    return imported(pth(folder, values))


def has_a_header_of_gigabytes(folder: Path) -> Words:
    (folder / "G.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{" + bytes(100))
    return imported(folder / "G.safetensors")


def has_a_deep_header(folder: Path) -> Words:
    header = b'{"a":' * 100_000
    (folder / "G.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return imported(folder / "G.safetensors")


def has_an_unet_of_700_levels(folder: Path) -> Words:
    prefix, state = "model.model.1.model", dict(unet_state())
    for _ in range(700):
        prefix += ".3.model"
        state[f"{prefix}.1.weight"] = state["model.model.1.model.1.weight"]
    save_file({name: one.clone() for name, one in state.items()}, folder / "G.safetensors")
    return imported(folder / "G.safetensors")


def is_a_resnet_of_wide_words(folder: Path) -> Words:
    state = {"conv_first.weight": torch.zeros(20_000, 3, 3, 3), "conv_first.bias": torch.zeros(20_000)}
    state |= {f"body.0.rdb{n}.conv1.weight": torch.zeros(1, 1, 3, 3) for n in (1, 2, 3)}
    return translated(folder, pth(folder, state))


def model_case(about: dict[str, Any] | None = None, **sections: Any) -> Case:
    return lambda folder: translated(folder, model(folder, sections=sections, about=about))


def metadata_case(text: str) -> Case:
    return lambda folder: translated(folder, with_metadata(folder, text))


def recipe_case(text: str) -> Case:
    return lambda folder: recipe_file(folder, text)


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def set_case(change: str) -> Case:
    return lambda folder: trained(folder, "--set", change)


def weights_case(write: Callable[[Path], object]) -> Case:
    """VGG19's weights, as --weights names them."""

    def words(folder: Path) -> Words:
        write(folder / "vgg.pth")
        return trained(folder, "--set", "losses.perceptual=1", "--weights", str(folder / "vgg.pth"))

    return words


def model_of(write: Callable[[Path], object], name: str = "model.safetensors") -> Case:
    def words(folder: Path) -> Words:
        write(folder / name)
        return translated(folder, folder / name)

    return words


def source_of(verb: str, write: Callable[[Path], object], name: str) -> Case:
    def words(folder: Path) -> Words:
        write(folder / name)
        more = ["-m", str(model(folder))] if verb == "translate" else ["gray"] if verb == "make-pairs" else []
        if verb == "make-pairs":
            return [verb, "gray", str(folder / name), "-o", str(folder / "out")]
        return [verb, str(folder / name), *more, "-o", str(folder / "out")]

    return words


def run_with(name: str, content: bytes | None) -> Case:
    """A run folder in which the file `name` holds `content`; None: is a pipe."""

    def words(folder: Path) -> Words:
        command = trained(folder, "--resume")
        run = folder / "run"
        run.mkdir()
        (run / "state").mkdir()
        (run / "run.json").write_text('{"plan": {}}', encoding="utf-8")
        (run / "recipe.toml").write_text("", encoding="utf-8")
        (run / name).unlink(missing_ok=True)
        if content is None:
            fifo(run / name)
        else:
            (run / name).write_bytes(content)
        return command

    return words


def dataset_with(manifest: str) -> Case:
    def words(folder: Path) -> Words:
        (folder / "pairs" / ".p2p").mkdir(parents=True)
        (folder / "pairs" / ".p2p" / "manifest.json").write_text(manifest, encoding="utf-8")
        return ["train", str(folder / "pairs"), "-o", str(folder / "run")]

    return words


def parquet_of(make: Callable[[Path], Path]) -> Case:
    return lambda folder: ["train", str(make(folder)), "-o", str(folder / "run"), "-r", "quick", "--dry-run"]


def damaged_parquet(folder: Path) -> Path:
    path = parquet(folder, pa.table({"input": [png(8)] * 40, "target": [png(8)] * 40}))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 97] = bytes(len(data[len(data) // 2 :: 97]))
    path.write_bytes(data)
    return path


def parquet_with_too_many_rows(folder: Path) -> Path:
    cell = pa.array([b"x"], pa.binary())
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, np.int32)), cell)
    return parquet(folder, pa.table({"input": column, "target": column}), store_schema=False)


def parquet_with_large_keys(folder: Path) -> Path:
    key = pa.array(["k" * 3_000_000])
    keys = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), key)
    cell = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array([png(8)], pa.binary()))
    table = pa.table({"key": keys, "input": cell, "target": cell})
    return parquet(folder, table, store_schema=False, dictionary_pagesize_limit=1 << 27)


def nonsense_parquet(folder: Path) -> Path:
    (folder / "pairs.parquet").write_bytes(b"PAR1" + bytes(99) + b"PAR1")
    return folder / "pairs.parquet"


def output_with_a_link(verb: str, inside: str) -> Case:
    def words(folder: Path) -> Words:
        (folder / "elsewhere").mkdir()
        (folder / "out").mkdir()
        link(folder / "out" / inside, folder / "elsewhere")
        (folder / "in" / "sub").mkdir(parents=True)
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "in" / "sub" / "a.png")
        if verb == "make-pairs":
            return ["make-pairs", "gray", str(folder / "in"), "-o", str(folder / "out")]
        return ["translate", str(folder / "in"), "-m", str(model(folder)), "-o", str(folder / "out")]

    return words


ONE_KEY = "x = " + "[" * 20_000 + "]" * 20_000
DOTS = "a" + ".a" * 50_000 + " = 1"
QUOTED_DOTS = '"a"' + ' . "a"' * 50_000 + " = 1"
SPREAD_DOTS = "[" + "a .\t" * 50_000 + "a]"

CASES: dict[str, tuple[Case, int, str]] = {
    "weights that claim terabytes": (claims_terabytes, 2, "claims .* and the file holds 4 bytes"),
    "old weights that claim terabytes": (claims_terabytes_as_old_torch_wrote, 2, "claims"),
    "weights that claim more than is stored": (claims_more_than_its_record, 2, "claims 800 bytes"),
    "weights that unpack to half a gigabyte": (is_a_zip_bomb, 2, "would become"),
    "weights of too many names": (holds_a_hundred_thousand_empty_tensors, 2, "no network|more than"),
    "safetensors of too many names": (holds_a_hundred_thousand_tensors, 2, "holds 100000 tensors"),
    "weights on no device": (is_on_no_device, 2, "no plain tensor"),
    "sparse weights": (is_sparse, 2, "no plain tensor"),
    "weights that hold themselves": (holds_itself, 2, "containers in one another"),
    "weights with names that cannot be hashed": (has_names_that_are_tuples_of_tuples, 2, "tuple of tuples"),
    "weights in 200 containers": (is_deep, 2, "containers in one another"),
    "a header of a terabyte": (has_a_header_of_gigabytes, 2, "claims 1099511627776 bytes"),
    "a header that is deep": (has_a_deep_header, 2, "not a whole safetensors file"),
    "a U-Net of 700 levels": (has_an_unet_of_700_levels, 2, "published"),
    "weights wide enough for terabytes": (is_a_resnet_of_wide_words, 2, "spandrel|knows"),
    "a model of 100,000 blocks": (
        model_case(generator={"name": "resnet", "blocks": 100_000}),
        2,
        "blocks: .*1000",
    ),
    "a model of ten million blocks": (
        model_case(generator={"name": "pix2pixhd_global", "blocks": 10**7}),
        2,
        "blocks: .*1000",
    ),
    "a model of more layers than weights": (
        model_case(generator={"name": "resnet", "blocks": 999}),
        2,
        "resnet of 999 layers, and it holds",
    ),
    "a model of 10^30 channels": (model_case(generator={"name": "unet", "channels": 10**30}), 2, "64 bits"),
    "a model of a million channels": (
        model_case(generator={"name": "pix2pixhd_global", "channels": 1 << 20, "downsamplings": 12}),
        2,
        "fit",
    ),
    "a model whose maker is a list": (model_case({"maker": []}), 2, "'maker' is an array"),
    "a model whose options are a list": (model_case({"maker_options": [1]}), 2, "'maker_options'"),
    "a model of another role": (model_case({"role": "\x1b[31m"}), 2, "role"),
    "a model of an infinite size": (model_case({"trained_size": float("inf")}), 2, "'trained_size'"),
    "a model whose step is a text": (model_case({"step": "7"}), 2, "'step' is a text"),
    "a model whose recipe is a list": (model_case({"recipe": []}), 2, "array"),
    "a model whose recipe is deep": (
        metadata_case('{"format_version": 1, "recipe": ' + '{"a":' * 5000 + "1" + "}" * 5001),
        2,
        "cannot be read",
    ),
    "a model of format Infinity": (metadata_case('{"format_version": Infinity}'), 2, "'format_version'"),
    "a model of format 10^400": (metadata_case('{"format_version": 1' + "0" * 400 + "}"), 2, "64 bits"),
    "a model of 10^10000": (metadata_case('{"format_version": 1' + "0" * 10_000 + "}"), 2, "64 bits"),
    "a recipe with a key of 50,000 dots": (recipe_case(DOTS), 2, "more than 16 parts"),
    "a recipe with quoted dots": (recipe_case(QUOTED_DOTS), 2, "more than 16 parts"),
    "a recipe with a section of 50,000 dots": (recipe_case(SPREAD_DOTS), 2, "more than 16 parts"),
    "a recipe that is deep": (recipe_case(ONE_KEY), 2, "containers in one another"),
    "a recipe with a deep table": (recipe_case("x = " + "{a = " * 3000), 2, "containers in one another"),
    "a recipe whose maker is a list": (recipe_case("[pairs]\nmaker = []"), 2, r"pairs\.maker"),
    "a recipe whose section is a list": (recipe_case("generator = []"), 2, "generator"),
    "a recipe of 10^30 channels": (recipe_case(f"[generator]\nchannels = {10**30}"), 2, "channels"),
    "a recipe of infinite weight": (recipe_case("[losses]\nl1 = inf"), 2, "finite"),
    "a recipe with a number of 5000 digits": (recipe_case("x = 1" + "0" * 5000), 2, "not valid TOML"),
    "a recipe of a million blocks": (
        recipe_case('[generator]\nname = "resnet"\nblocks = 1000000'),
        2,
        "blocks",
    ),
    "a recipe whose names are lists": (recipe_case("[generator]\nname = [1]"), 2, "unknown generator"),
    "a recipe of negative cells": (
        recipe_case('[generator]\nname = "spade"\nstyle_grid = [-1, 4]'),
        2,
        "style_grid",
    ),
    "a recipe that is no text": (
        lambda folder: (
            (folder / "r.toml").write_bytes(b"\xff\xfe\x00") and trained(folder, "-r", str(folder / "r.toml"))
        ),
        2,
        "not valid TOML",
    ),
    "a key given with 50,000 dots": (
        lambda folder: trained(folder, "--set", DOTS.replace(" = ", "=")),
        2,
        "--set",
    ),
    "a key given as a deep list": (
        lambda folder: trained(folder, "--set", "data.size=" + "[" * 9000),
        2,
        "size",
    ),
    "perceptual weights that hold no dict": (weights_case(lambda p: torch.save([1], p)), 2, "holds a list"),
    "perceptual weights of no tensors": (
        weights_case(lambda p: torch.save({"features.0.weight": 1}, p)),
        2,
        "not VGG19",
    ),
    "perceptual weights that are a pipe": (weights_case(fifo), 2, r"pipe \(FIFO\)"),
    "perceptual weights that are a device": (weights_case(lambda p: link(p, "/dev/zero")), 2, "a device"),
    "a model that is a pipe": (model_of(fifo), 2, r"pipe \(FIFO\)"),
    "weights that are a pipe": (lambda folder: imported(fifo(folder / "G.pth")), 2, r"pipe \(FIFO\)"),
    "a model that is a device": (model_of(lambda p: link(p, "/dev/zero")), 2, "a device"),
    "a model that is a link to itself": (model_of(lambda p: link(p, p.name)), 2, "cannot be read"),
    "a list that is a pipe": (source_of("translate", fifo, "list.txt"), 2, r"pipe \(FIFO\)"),
    "a list of a device": (source_of("translate", lambda p: link(p, "/dev/zero"), "list.txt"), 2, "a device"),
    "a list of a device for pairs": (
        source_of("make-pairs", lambda p: link(p, "/dev/zero"), "list.txt"),
        2,
        "a device",
    ),
    "a list of endless lines": (
        source_of("translate", endless, "list.txt"),
        2,
        "256 MB",
    ),
    "a picture that is a pipe": (source_of("translate", fifo, "a.png"), 4, "not a regular file"),
    "photos that are a pipe": (source_of("make-pairs", fifo, "a.png"), 4, "no image"),
    "a picture that is a link to itself": (
        source_of("translate", lambda p: link(p, p.name), "a.png"),
        2,
        "a link that leads to no file",
    ),
    "photos that are a link to themselves": (
        source_of("make-pairs", lambda p: link(p, p.name), "photos"),
        2,
        "a link that leads to no file",
    ),
    "pairs that are a link to themselves": (
        source_of("train", lambda p: link(p, p.name), "pairs"),
        2,
        "a link that leads to no file",
    ),
    "a dataset that is a pipe": (source_of("train", fifo, "pairs.parquet"), 4, "nothing to read"),
    "a damaged Parquet file": (parquet_of(damaged_parquet), 2, "no readable Parquet file|cannot"),
    "a Parquet file of nonsense": (
        parquet_of(
            lambda f: (f / "p.parquet").write_bytes(b"PAR1" + bytes(99) + b"PAR1") and f / "p.parquet"
        ),
        2,
        "no readable Parquet file",
    ),
    "a Parquet file of more rows than bytes": (
        parquet_of(parquet_with_too_many_rows),
        2,
        "claims 3000000 rows",
    ),
    "a Parquet file of large keys": (parquet_of(parquet_with_large_keys), 2, "in column 'key'"),
    "a manifest that is a list": (dataset_with("[]"), 2, "manifest"),
    "a manifest of wrong types": (dataset_with('{"shards": [{"name": 1}]}'), 2, "manifest"),
    "a manifest that is deep": (dataset_with('{"a":' * 20_000), 2, "manifest"),
    "a manifest that leads outside": (
        dataset_with('{"shards": [{"name": "../../a", "bytes": 1, "rows": 1}]}'),
        2,
        "outside the dataset",
    ),
    "a run's description that is a list": (run_with("run.json", b"[]"), 2, "run's description"),
    "a run's description of wrong types": (run_with("run.json", b'{"data": [], "plan": 3}'), 2, "'data' is"),
    "a run's description that is deep": (run_with("run.json", b"[" * 100_000), 2, "containers"),
    "a run's description of 10^400": (run_with("run.json", b'{"steps": 1' + b"0" * 400 + b"}"), 2, "64 bits"),
    "a run whose recipe is nonsense": (run_with("recipe.toml", b"\xff"), 2, "not valid TOML"),
    "a link inside the output of translate": (
        output_with_a_link("translate", "sub"),
        2,
        "would leave the output",
    ),
    "a link to the ledger's folder": (output_with_a_link("translate", ".p2p"), 2, "would leave the output"),
    "a link inside the output of make-pairs": (output_with_a_link("make-pairs", "data"), 2, "link"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_strangers_hand_us_ends_in_one_line_in_time(name: str, tmp_path: Path, capped: Capped) -> None:
    case, expected, said = CASES[name]
    code, out, err, seconds = capped.run(case(tmp_path))
    assert (code, out) == (expected, ""), err
    assert "unexpected" not in err and len(err) < 5000 and "\x1b" not in err
    *_, last = err.strip().splitlines()
    assert last.startswith("p2p: ") and re.search(said, last), last
    assert seconds < SECONDS


def test_a_parquet_file_of_one_picture_for_a_thousand_rows_is_read_in_little_memory(tmp_path: Path) -> None:
    from p2pcli.io.parquet import ParquetSource

    cells = pa.array([png(600)], pa.binary())
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), cells)
    table = pa.table({"input": column, "target": column})
    path = parquet(tmp_path, table, store_schema=False, dictionary_pagesize_limit=1 << 27)
    source = ParquetSource(path)
    before = pa.total_allocated_bytes()
    samples = [source.read(source.splits()["all"][index]) for index in (0, 999)]
    assert np.array_equal(samples[0].input, samples[1].input) and samples[0].input.shape == (600, 600, 3)
    # Decoded, the two columns have 2 GB.
    assert pa.total_allocated_bytes() - before < 64 << 20


@pytest.mark.parametrize("part", STATE_PARTS)
def test_a_state_with_a_part_missing_is_not_taken_and_says_which(part: str, tmp_path: Path) -> None:
    values = {name: 1 if kind is int else {} for name, kind in STATE_PARTS.items() if name != part}
    save_state(tmp_path, values, step=2, keep_last=3)
    with pytest.raises(UsageError, match=f"'{part}' is missing"):
        newest_state(tmp_path, parts=STATE_PARTS)


def test_the_parts_of_a_state_are_those_that_a_run_stores() -> None:
    recipe = parse_recipe(
        {
            "data": {"size": 32, "load_size": 32},
            "generator": {"channels": 1},
            "discriminator": {"channels": 1},
        },
        where="test",
    )
    run = new_state(recipe, torch.device("cpu"))
    require_kinds(run.capture(), STATE_PARTS, needed=True)
    with pytest.raises(UsageError, match="does not fit the run"):
        run.restore({**run.capture(), "networks": {}})


def test_a_report_and_a_printed_path_hold_no_control_characters(tmp_path: Path, capsys: Any) -> None:
    from p2pcli.cli.json_line import json_line
    from p2pcli.cli.running import Printing

    folder = RunFolder(tmp_path / "run\x1b[31m")
    folder.path.mkdir()
    folder.write_about({"headline": "\x1b[2J", "data": "\x9b31m"})
    folder.log.write_text(
        '{"kind": "step", "step": 1}\n{"kind": "health", "step": 1, "text": 3}\n[]\n1e400\n'
    )
    page = render_report(folder)
    assert "\x1b" not in page and "\x9b" not in page and r"run\x1b[31m" in page
    Printing().data(str(folder.path))
    assert "\x1b" not in capsys.readouterr().out
    assert json.loads(json_line({"output": "a\x1b\x9b"})) == {"output": "a\x1b\x9b"}
    assert "\x9b" not in json_line({"output": "a\x1b\x9b"})


def test_a_line_is_never_added_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine\n")
    link(tmp_path / "log.jsonl", tmp_path / "other")
    with pytest.raises(UsageError, match="it is a link"):
        RunLog(tmp_path / "log.jsonl").write("step", 1, {})
    assert (tmp_path / "other").read_text() == "mine\n"


def test_plans_of_runs_that_knew_fewer_keys_are_the_same_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    plan = {"discriminator.norm": "instance", "discriminator.widens": True, "discriminator.channels": 64}
    folder.write_about({"plan": {"discriminator.channels": 64}})
    require_same_run(folder, plan)
    with pytest.raises(ResumeMismatchError, match="widens"):
        require_same_run(folder, {**plan, "discriminator.widens": False})
