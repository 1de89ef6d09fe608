"""Rows of Parquet files that others made, never more of them decoded at once than memory should hold.

A file may be tiny and its rows large: a dictionary stores a picture once for a million rows, and what is
compressed may become a thousand times as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MOST_KEY_BYTES = 512 << 20
"""Of all keys of one file."""
_HELD_BYTES = 256 << 20
"""Of the rows that are held around the one that is asked for; row groups that are larger are held in part."""
_BATCH_BYTES = 64 << 20
"""Of the rows that are decoded at once, where a dictionary makes them larger than they are stored."""
_SHORT_BYTES = 1 << 16
_BYTES_PER_PAIR = 32
"""The least that two pictures take; dictionaries may go below it for a thousand rows."""
_MOST_RATIO = 64
"""Of decoded to stored bytes of a column from 256 MB on: pictures are compressed already."""
_VALUES_PER_ROW = 1 << 16


@dataclass(frozen=True)
class Rows:
    """Rows of one row group that follow one another."""

    table: pa.Table
    first: int
    """Number of the first of them in the row group."""

    @property
    def span(self) -> range:
        """Their numbers in the row group."""
        return range(self.first, self.first + self.table.num_rows)


def require_honest(footer: pq.FileMetaData, *, size: int) -> None:
    """Raise `ValueError` where a file of `size` bytes claims more rows or values than it can hold."""
    rows = sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
    if rows > size // _BYTES_PER_PAIR + 1000:
        raise ValueError(f"it claims {rows} rows in {size} bytes")
    for group in range(footer.num_row_groups):
        part = footer.row_group(group)
        for column in _columns(part):
            stored, decoded = column.total_compressed_size, column.total_uncompressed_size
            if decoded > _HELD_BYTES and decoded > _MOST_RATIO * stored:
                raise ValueError(f"column '{column.path_in_schema}' would become {decoded >> 20} MB")
            if column.num_values > _VALUES_PER_ROW * max(1, part.num_rows):
                raise ValueError(f"column '{column.path_in_schema}' claims {column.num_values} values")


def rows_around(reader: pq.ParquetFile, group: int, row: int) -> Rows:
    """The row group, or, where it does not fit into memory whole, a stretch of it with `row` in it."""
    held: list[pa.RecordBatch] = []
    first = size = count = 0
    for batch in batches(reader, group):
        if size + batch.nbytes > _HELD_BYTES and held:
            if row < first + count:
                break
            held, first, size, count = [], first + count, 0, 0
        held.append(batch)
        size, count = size + batch.nbytes, count + batch.num_rows
    if not first <= row < first + count:
        raise ValueError(f"it has no row {row}")
    return Rows(pa.Table.from_batches(held), first)


def batches(
    reader: pq.ParquetFile, group: int, *, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, as many at once as are sure to fit: no cell is larger than its dictionary."""
    part = reader.metadata.row_group(group)
    repeated = [
        one.total_uncompressed_size
        for one in _columns(part)
        if one.has_dictionary_page and not _stays_dictionary(one)
    ]
    rows = _BATCH_BYTES // max([*repeated, 1])
    count = max(1, min(rows, part.num_rows))
    yield from reader.iter_batches(count, row_groups=[group], columns=columns, use_threads=False)


def dictionaries(footer: pq.FileMetaData) -> list[str]:
    """Columns that are to be read as they are stored, each value once, instead of one for each row."""
    groups = (footer.row_group(group) for group in range(footer.num_row_groups))
    found = {one.path_in_schema for part in groups for one in _columns(part) if _stays_dictionary(one)}
    return sorted(found)


def _stays_dictionary(column: pq.ColumnChunkMetaData) -> bool:
    # Short texts are faster in full, and of fixed length Arrow reads none as a dictionary.
    is_large = column.total_uncompressed_size > _SHORT_BYTES
    return bool(column.has_dictionary_page and column.physical_type == "BYTE_ARRAY" and is_large)


def _columns(part: pq.RowGroupMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    return (part.column(index) for index in range(part.num_columns))


def unreadable(file: Path, reason: object) -> str:
    """The sentence for a file that cannot be used."""
    text = " ".join(str(reason).split())[:200] or type(reason).__name__
    return f"{file} is no readable Parquet file ({text}). Make or copy it again."
