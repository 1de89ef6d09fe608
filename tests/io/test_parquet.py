"""Parquet shards and datasets: what load_dataset needs, repeatable bytes, random access, damage."""

from __future__ import annotations

import copy
import errno
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ItemError, P2PError, UsageError
from p2pcli.io.codec import encode
from p2pcli.io.parquet import ParquetSource, is_parquet_dataset
from p2pcli.io.parquet_shard import ROW_GROUP_ROWS, Row, features, schema, write_shard, write_texts


def picture(value: int) -> bytes:
    return encode(np.full((4, 6, 3), value, dtype=np.uint8), ".png")


def row(number: int, *, size: int | None = None) -> Row:
    content = picture(number % 200) if size is None else bytes(size)
    return Row(
        key=f"photos/{number:04d}",
        input_bytes=content,
        input_name=f"{number:04d}.input.png",
        target_bytes=picture(number % 200 + 50),
        target_name=f"{number:04d}.target.png",
        source=f"{number:04d}.jpg",
        source_sha256="0" * 64,
        frame_index=None,
        frame_pts=None,
        op="edges",
        op_params="{}",
        seed=0,
        crop_xywh=(0, 0, 6, 4),
        width=6,
        height=4,
        orig_width=6,
        orig_height=4,
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """230 pairs: 130 to train on, 100 for validation."""
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data/train-00000-of-00001.parquet", map(row, range(130)), footer={})
    write_shard(tmp_path / "data/validation-00000-of-00001.parquet", map(row, range(130, 230)), footer={})
    return tmp_path


def foreign(path: Path, **columns: list[object]) -> Path:
    """A Parquet file as others write it."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {"input": image, "target": image, "text": pa.string(), "input_raw": pa.binary()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(v, kinds.get(name)) for name, v in columns.items()}), path)
    return path


def test_image_columns_are_stored_exactly_as_the_datasets_library_wants_them():
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    assert [schema().field(name) for name in ("input", "target")] == [
        pa.field("input", image, nullable=True),
        pa.field("target", image, nullable=True),
    ]
    described = json.loads(schema().metadata[b"huggingface"])["info"]["features"]
    assert described["input"] == described["target"] == {"_type": "Image"}
    assert list(described) == schema().names == list(features())


def test_equal_rows_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_shard(tmp_path / name, map(row, range(150)), footer={"tool": "p2pcli"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_row_groups_hold_at_most_100_rows(dataset):
    footer = pq.read_metadata(dataset / "data/train-00000-of-00001.parquet")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [ROW_GROUP_ROWS, 30]


def test_large_pictures_close_a_row_group_early(tmp_path):
    write_shard(tmp_path / "s", (row(n, size=3 << 19) for n in range(4)), footer={})
    assert [pq.read_metadata(tmp_path / "s").row_group(i).num_rows for i in range(2)] == [2, 2]


def test_pictures_are_stored_plain_and_values_compressed(dataset):
    group = pq.read_metadata(dataset / "data/train-00000-of-00001.parquet").row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["input.bytes"].compression == "UNCOMPRESSED"
    assert "RLE_DICTIONARY" not in columns["input.bytes"].encodings
    assert columns["key"].compression == columns["crop_xywh.list.element"].compression == "SNAPPY"


def test_the_footer_tells_tool_and_schema_version(tmp_path):
    write_shard(tmp_path / "s", [row(0)], footer={"tool": "p2pcli 1"})
    metadata = pq.read_metadata(tmp_path / "s").metadata
    assert json.loads(metadata[b"p2p"]) == {"schema_version": 1, "tool": "p2pcli 1"}
    assert b"content_defined_chunking" in metadata


def test_splits_come_from_the_file_names(dataset):
    splits = ParquetSource(dataset).splits()
    assert {name: len(keys) for name, keys in splits.items()} == {"train": 130, "validation": 100}


def test_any_row_is_found_by_its_key(dataset):
    source = ParquetSource(dataset)
    for number in (229, 0, 99, 100, 129, 130):
        sample = source.read(f"photos/{number:04d}")
        assert (sample.input[0, 0, 0], sample.target[0, 0, 0]) == (number % 200, number % 200 + 50)
        assert sample.meta["source"] == f"{number:04d}.jpg"


def test_many_threads_read_the_right_rows(dataset):
    source = ParquetSource(dataset)
    numbers = np.random.default_rng(0).permutation(230).tolist()
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda n: int(source.read(f"photos/{n:04d}").input[0, 0, 0]), numbers))
    assert values == [number % 200 for number in numbers]


def test_a_source_can_be_sent_to_another_process(dataset):
    # A deep copy goes through the same state as pickling does.
    source = copy.deepcopy(ParquetSource(dataset))
    assert source.read("photos/0007").input[0, 0, 0] == 7


def test_a_flipped_bit_is_an_error_and_never_a_wrong_picture(dataset):
    file = dataset / "data/train-00000-of-00001.parquet"
    content = bytearray(file.read_bytes())
    content[content.index(picture(7)) + 60] ^= 1
    file.write_bytes(content)
    with pytest.raises(ItemError, match="row group 0"):
        ParquetSource(dataset).read("photos/0007")


def test_an_unfinished_dataset_says_how_to_finish_it(dataset):
    (dataset / ".p2p").mkdir()
    (dataset / ".p2p/plan.json").write_text("{}")
    assert is_parquet_dataset(dataset)
    with pytest.raises(P2PError) as caught:
        ParquetSource(dataset)
    assert str(caught.value) == (
        f"{dataset} has no manifest.json: make-pairs did not finish. Run the same command again to resume."
    )


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_shard_that_does_not_match_the_manifest_is_named(dataset, damage):
    file = dataset / "data/train-00000-of-00001.parquet"
    shard = {"name": "data/train-00000-of-00001.parquet", "bytes": file.stat().st_size, "rows": 130}
    (dataset / ".p2p").mkdir()
    (dataset / ".p2p/manifest.json").write_text(json.dumps({"shards": [shard]}))
    file.unlink() if damage == "missing" else file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(P2PError, match=r"train-00000-of-00001.parquet .* the dataset is damaged"):
        ParquetSource(dataset)


def test_side_tables_are_no_data(dataset):
    foreign(dataset / ".p2p/errors.parquet", text=["x"])
    foreign(dataset / "_logs/more.parquet", text=["x"])
    assert len(ParquetSource(dataset).splits()["train"]) == 130


def test_a_dataset_of_others_needs_no_key_column(tmp_path):
    cells = [{"bytes": picture(n), "path": None} for n in range(3)]
    foreign(tmp_path / "default/test/0000.parquet", input=cells, target=cells, text=["a", "b", "c"])
    source = ParquetSource(tmp_path)
    keys = source.splits()["test"]
    assert len(set(keys)) == 3
    assert source.read(keys[2]).target[0, 0, 0] == 2
    assert source.read(keys[2]).meta == {"text": "c"}


def test_rows_without_a_key_are_named_by_their_place_in_the_file(tmp_path: Path) -> None:
    cells = pa.array([{"bytes": picture(n)} for n in range(5)])
    pq.write_table(pa.table({"input": cells, "target": cells}), tmp_path / "x.parquet", row_group_size=2)
    source = ParquetSource(tmp_path)
    keys = [f"x/{n:06d}" for n in range(5)]
    assert source.splits() == {"all": keys}
    assert [int(source.read(key).target[0, 0, 0]) for key in keys] == [0, 1, 2, 3, 4]


def pair_of(path: Path, first: bytes, target: bytes) -> ParquetSource:
    """A dataset of others whose second pair is this one."""
    columns = {"input": [picture(0), first], "target": [picture(0), target]}
    cells = {name: [{"bytes": data} for data in pictures] for name, pictures in columns.items()}
    pq.write_table(pa.table({name: pa.array(values) for name, values in cells.items()}), path)
    return ParquetSource(path)


def floats(value: float) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(np.full((4, 6), value, np.float32)).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (floats(np.nan), "input of 'x/000001': .*32-bit float values from nan to nan, 24 of 24 NaN"),
        (encode(np.zeros((4, 3, 3), np.uint8), ".png"), "input of 'x/000001' is 3×4, its target 6×4"),
    ],
    ids=["NaN", "size"],
)
def test_pairs_that_are_not_usable_are_found_before_they_are_used(
    tmp_path: Path, first: bytes, message: str
) -> None:
    source = pair_of(tmp_path / "x.parquet", first, picture(1))
    with pytest.raises(UsageError, match=message):
        source.require_usable()


@pytest.mark.parametrize("first", [picture(1), floats(0.5), b"damaged"], ids=["8 bit", "floats", "damaged"])
def test_other_pairs_are_left_for_reading(tmp_path: Path, first: bytes) -> None:
    pair_of(tmp_path / "x.parquet", first, picture(1)).require_usable()


def test_equal_keys_in_two_files_are_told_apart(tmp_path):
    for split in ("train", "test"):
        write_shard(tmp_path / f"{split}-0.parquet", [row(1)], footer={})
    splits = ParquetSource(tmp_path).splits()
    assert len({key for keys in splits.values() for key in keys}) == 2


def test_a_file_without_the_two_columns_is_refused_with_what_it_has(tmp_path):
    path = foreign(tmp_path / "x.parquet", input=[{"bytes": b"", "path": None}], text=["a"])
    with pytest.raises(UsageError) as caught:
        ParquetSource(path)
    assert str(caught.value) == (
        f"{path} has no column 'target'. Expected Image columns 'input' and 'target'; "
        "found: input, text. Rename the columns."
    )


def test_a_row_without_bytes_is_an_item_error(tmp_path):
    empty = [{"bytes": None, "path": None}]
    source = ParquetSource(foreign(tmp_path / "x.parquet", input=empty, target=empty))
    with pytest.raises(ItemError, match="has no bytes in column 'input'"):
        source.read(source.splits()["all"][0])


def test_a_column_of_paths_is_not_opened_and_said_to_be_one(tmp_path):
    paths = [{"bytes": None, "path": "/etc/hostname"}]
    source = ParquetSource(foreign(tmp_path / "x.parquet", input=paths, target=paths))
    with pytest.raises(ItemError, match=r"column 'input' holds paths \(/etc/hostname\), not the pictures"):
        source.read(source.splits()["all"][0])


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(P2PError, match=r"x\.parquet is no readable Parquet file"):
        ParquetSource(tmp_path)


@pytest.mark.parametrize(("name", "expected"), [("a.parquet", True), ("a.jpg", False), ("folder", False)])
def test_what_a_parquet_dataset_is(tmp_path, name, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.parquet").touch()
    (tmp_path / "a.jpg").touch()
    assert is_parquet_dataset(tmp_path / name) is expected


@pytest.mark.parametrize("values", [["a", None, "ü", ""], [None], []])
def test_a_table_of_texts_keeps_what_is_missing(tmp_path, values):
    write_texts(tmp_path / "t.parquet", {"one": values, "two": values})
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"one": values, "two": values}


def test_a_file_name_that_is_not_utf_8_is_told_in_ascii(tmp_path):
    write_texts(tmp_path / "t.parquet", {"source": ["caf\udce9.jpg"]})
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"source": ["caf\\udce9.jpg"]}


def with_pose(path: Path, pose: bytes | None) -> ParquetSource:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"input": picture(1), "target": picture(2), "pose": pose}
    cells = {name: pa.array([{"bytes": data, "path": None}], image) for name, data in columns.items()}
    pq.write_table(pa.table(cells), path)
    return ParquetSource(path, extras=("pose", "inst"))


def test_a_further_image_column_comes_with_each_sample_that_has_one(tmp_path: Path) -> None:
    source = with_pose(tmp_path / "a.parquet", picture(3))
    sample = source.read(source.splits()["all"][0])
    assert {name: int(image[0, 0, 0]) for name, image in sample.extras.items()} == {"pose": 3}
    source = with_pose(tmp_path / "b.parquet", None)
    assert source.read(source.splits()["all"][0]).extras == {}


def test_a_further_image_column_of_another_size_is_refused(tmp_path: Path) -> None:
    source = with_pose(tmp_path / "a.parquet", encode(np.zeros((5, 6, 3), np.uint8), ".png"))
    with pytest.raises(ItemError, match="pose of 'a/000000' is 6×5, its target 6×4"):
        source.read("a/000000")


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_full_disk_amid_a_large_picture_is_an_error_and_not_the_end_of_the_process(tmp_path):
    # In a process of its own, which Arrow would abort.
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from p2pcli.io.parquet_shard import Row, write_shard\n"
        "large = bytes(3 << 20)\n"
        "row = Row('a', large, 'a.png', large, 'a.png', 'a', '0', None, None, 'gray', '{}', 0, (0, 0, 1, 1),"
        " 1, 1, 1, 1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
        "try:\n"
        "    write_shard(Path(sys.argv[1]), [row, row], footer={})\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "a.parquet")]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, str(errno.EFBIG))
