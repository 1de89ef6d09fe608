"""One Parquet shard of pairs, as `datasets.load_dataset` and its viewer want it, byte for byte repeatable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = 1

# 100 rows is what viewers stream comfortably; 2 MB keeps one random row cheap, since a reader fetches a whole
# group for it.
ROW_GROUP_ROWS = 100
ROW_GROUP_BYTES = 2 << 20

# What the datasets library itself writes.
_CHUNKING = {"min_chunk_size": 262144, "max_chunk_size": 1048576, "norm_level": 0}

# An Image column is recognised only with exactly this storage: nullable, bytes before path.
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])

_VALUES: dict[str, str] = {
    "key": "string",
    "source": "string",
    "source_sha256": "string",
    "frame_index": "int64",
    "frame_pts": "int64",
    "op": "string",
    "op_params": "string",
    "seed": "int64",
    "crop_xywh": "list",
    "width": "int32",
    "height": "int32",
    "orig_width": "int32",
    "orig_height": "int32",
}


@dataclass(frozen=True)
class Row:
    """One pair, encoded, with where it came from."""

    key: str
    input_bytes: bytes
    input_name: str
    """File name with extension, never a path on this machine."""
    target_bytes: bytes
    target_name: str
    source: str
    """Path below the source argument."""
    source_sha256: str
    frame_index: int | None
    frame_pts: int | None
    """Presentation time in the stream's own time base."""
    op: str
    op_params: str
    """The maker's options as JSON."""
    seed: int
    crop_xywh: tuple[int, int, int, int]
    """In pixels of the upright source picture."""
    width: int
    height: int
    orig_width: int
    orig_height: int


def features() -> dict[str, Any]:
    """Column → feature, in the form the datasets library stores."""
    image = {"_type": "Image"}
    numbers = {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}
    values = {
        name: numbers if kind == "list" else {"dtype": kind, "_type": "Value"}
        for name, kind in _VALUES.items()
    }
    return {"input": image, "target": image, **values}


def schema() -> pa.Schema:
    """The Arrow schema of a shard, with the `huggingface` metadata that makes two Image columns of it."""
    kinds = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "list": pa.list_(pa.int32())}
    fields = [pa.field("input", _IMAGE), pa.field("target", _IMAGE)]
    fields += [pa.field(name, kinds[kind]) for name, kind in _VALUES.items()]
    described = json.dumps({"info": {"features": features()}})
    return pa.schema(fields, metadata={"huggingface": described})


def write_shard(path: Path, rows: Iterable[Row], *, footer: Mapping[str, object]) -> int:
    """Write `rows` to `path` as they come, in row groups; gives how many there were.

    Memory holds one row group. Equal rows and footer give equal bytes. `footer` is stored as JSON under the
    key "p2p". The caller makes the write atomic.
    """
    described = {"schema_version": SCHEMA_VERSION, **footer}
    metadata = {
        "p2p": json.dumps(described, sort_keys=True, ensure_ascii=False),
        "content_defined_chunking": json.dumps(_CHUNKING),
    }
    count = 0
    with path.open("wb") as file:
        kept = _ErrorKept(file)
        with pq.ParquetWriter(kept, schema(), **_writer_options()) as writer:
            for group in _groups(rows):
                writer.write_table(_table(group))
                kept.raise_error()
                count += len(group)
            writer.add_key_value_metadata(metadata)
        kept.raise_error()
    return count


class _ErrorKept:
    """A file for Arrow to write to, which never fails: `raise_error` tells afterwards.

    Arrow's writer with content-defined chunking ends the whole process (SIGABRT) where a page of more than
    1 MiB cannot be written, as on a full disk.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write, unless a write has failed before."""
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        return len(data)

    def tell(self) -> int:
        """Where the next write goes."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing: the file is flushed when it is closed."""

    def close(self) -> None:
        """No more writes; the file itself belongs to the caller."""
        self.closed = True

    def raise_error(self) -> None:
        """Raise the `OSError` of the first write that failed, if one did."""
        if self._error is not None:
            raise self._error


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in row groups."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.input_bytes) + len(row.target_bytes)
        if len(group) == ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def write_texts(path: Path, columns: Mapping[str, Sequence[str | None]]) -> None:
    """Write a table of equally long text columns, None for missing. The caller makes the write atomic."""
    arrays = [_texts(values, pa.string()) for values in columns.values()]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), path, write_page_checksum=True)


def _writer_options() -> dict[str, Any]:
    pictures = ["input.bytes", "input.path", "target.bytes", "target.path"]
    values = ["crop_xywh.list.element" if kind == "list" else name for name, kind in _VALUES.items()]
    # A column missing from this dict would come out uncompressed.
    compression = {**dict.fromkeys(pictures, "none"), **dict.fromkeys(values, "snappy")}
    return {
        "compression": compression,
        "use_dictionary": values,
        "write_page_index": True,
        "write_page_checksum": True,
        "use_content_defined_chunking": _CHUNKING,
    }


def _table(rows: list[Row]) -> pa.Table:
    """The rows as Arrow columns, from buffers: `pa.array` on a list would import pandas."""
    columns = [
        _pictures([row.input_bytes for row in rows], [row.input_name for row in rows]),
        _pictures([row.target_bytes for row in rows], [row.target_name for row in rows]),
    ]
    for name, kind in _VALUES.items():
        values = [getattr(row, name) for row in rows]
        if kind == "string":
            columns.append(_texts(values, pa.string()))
        elif kind == "list":
            numbers = _numbers([number for value in values for number in value], "int32")
            columns.append(pa.ListArray.from_arrays(_offsets(values), numbers))
        else:
            columns.append(_numbers(values, kind))
    return pa.Table.from_arrays(columns, schema=schema())


def _pictures(contents: list[bytes], names: list[str]) -> pa.Array:
    children = [_texts(contents, pa.binary()), _texts(names, pa.string())]
    return pa.StructArray.from_arrays(children, fields=list(_IMAGE))


def _texts(values: Sequence[str | bytes | None], kind: pa.DataType) -> pa.Array:
    # File names need not be UTF-8, texts in Arrow must be.
    data = [
        value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value or b""
        for value in values
    ]
    validity = _validity([value is not None for value in values])
    buffers = [validity, _offsets(data).buffers()[1], pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(kind, len(data), buffers)


def _numbers(values: list[int | None], kind: str) -> pa.Array:
    filled = np.array([value or 0 for value in values], dtype=kind)
    validity = _validity([value is not None for value in values])
    kinds = {"int32": pa.int32(), "int64": pa.int64()}
    return pa.Array.from_buffers(kinds[kind], len(values), [validity, pa.py_buffer(filled.tobytes())])


def _validity(held: list[bool]) -> pa.Buffer | None:
    return None if all(held) else pa.py_buffer(np.packbits(held, bitorder="little").tobytes())


def _offsets(values: Sequence[Sized]) -> pa.Array:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends.tobytes())])
