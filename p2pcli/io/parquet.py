"""Reads a Parquet dataset of pairs: ours, or any with Image columns `input` and `target`.

Further Image columns (inst, mask, pose) hold more pictures of each pair, for who asks for them.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from p2pcli.errors import ItemError, UsageError, item_border
from p2pcli.image import Image, Sample
from p2pcli.io.base import sizes_fit
from p2pcli.io.codec import read_header, read_image
from p2pcli.io.left_out import LeftOut
from p2pcli.io.parquet_rows import (
    MOST_KEY_BYTES,
    Rows,
    batches,
    dictionaries,
    require_honest,
    rows_around,
    unreadable,
)
from p2pcli.untrusted import read_json, require_kinds, require_regular

_PICTURES = ("input", "target")
_CACHE_BYTES = 64 << 20

# Split names as the datasets library finds them in file and folder names.
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}


@dataclass(frozen=True)
class _Place:
    """Where one row lies."""

    file: int
    row_group: int
    row: int


def is_parquet_dataset(path: str | Path) -> bool:
    """True where `path` is a Parquet file or a folder that make-pairs or others filled with Parquet files.

    An unfinished make-pairs output counts too: `ParquetSource` then says how to finish it.
    """
    path = Path(path)
    if path.is_file():
        return path.suffix.lower() == ".parquet"
    if (path / ".p2p" / "plan.json").is_file() or (path / ".p2p" / "manifest.json").is_file():
        return True
    return path.is_dir() and next(_data_files(path), None) is not None


class ParquetSource:
    """Random access to the pairs of a Parquet dataset. Safe from many threads, and picklable.

    Page checksums are verified, so a flipped bit is an `ItemError` and never a wrong picture. `extras` names
    further columns, whose pictures come with each sample that has one; `scale` is how many times one picture
    of a pair may be larger than the other; `id_maps` names columns whose stored values are wanted, as
    `read_image(ids=True)` gives them.
    """

    def __init__(
        self, path: str | Path, *, extras: Sequence[str] = (), scale: int = 1, id_maps: Sequence[str] = ()
    ) -> None:
        self.path = Path(path)
        self.left_out = LeftOut()
        self._extras, self._id_maps = tuple(extras), frozenset(id_maps)
        self._scale = scale
        self._files = _files_of(self.path)
        self._footers = [_footer(file) for file in self._files]
        self._dictionaries = [dictionaries(footer) for footer in self._footers]
        self.has_names = True
        """False where rows have no column "key": then a key is a file's name and the row's number."""
        self._places: dict[str, _Place] = {}
        self._splits: dict[str, list[str]] = {}
        for number in range(len(self._files)):
            self._index(number)
        self._groups: OrderedDict[tuple[int, int], Rows] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def is_paired(self) -> bool:
        """Always: a dataset without both columns does not open."""
        return True

    def splits(self) -> dict[str, Sequence[str]]:
        """Split name → keys in stored order; one split "all" where the file names name none."""
        return dict(self._splits)

    def read(self, key: str) -> Sample:
        """Decode one pair. Raises `ItemError` where its bytes cannot be used."""
        pictures, values = self._read_pictures(key)
        decoded = {name: self._decode(key, name, content) for name, content in pictures.items()}
        first, target = decoded.pop("input"), decoded.pop("target")
        for name, image in decoded.items():
            self._require_same_size(key, name, image, target)
        return Sample(key, first, target, values, extras=decoded)

    def require_usable(self) -> None:
        """Raise `UsageError` for the first pair whose pictures differ in size, or hold NaN and the like.

        Headers are looked at, and pictures decoded only as `PairsFolderSource` does it. What make-pairs wrote
        it has looked through itself; rows that cannot be read are left for `read`.
        """
        if (self.path / ".p2p" / "manifest.json").is_file():
            return
        for key in self._places:
            try:
                with item_border(key):
                    pictures, _ = self._read_pictures(key)
                    headers = {name: read_header(content) for name, content in pictures.items()}
            except ItemError:
                continue
            target = headers["target"].upright_size
            fit = all(sizes_fit(header.upright_size, target, self._scale) for header in headers.values())
            if fit and all(header.bit_depth <= 16 for header in headers.values()):
                continue
            try:
                sample = self.read(key)
                assert sample.target is not None
                self._require_same_size(key, "input", sample.input, sample.target)
            except ItemError as error:
                raise UsageError(str(error)) from None

    def read_encoded(self, key: str) -> tuple[dict[str, bytes], dict[str, object]]:
        """The stored bytes of "input" and "target", and the other columns of the row."""
        place = self._places[key]
        rows = self._rows_around(place)
        try:
            row: dict[str, Any] = rows.table.slice(place.row - rows.first, 1).to_pylist()[0]
        except Exception as error:  # texts that are no UTF-8, and the like
            raise ItemError(f"{self._files[place.file].name}: '{key}' cannot be read ({error})") from None
        pictures = {}
        for name in _PICTURES:
            cell = row.pop(name, None)
            content = _bytes_of(cell)
            if not content:
                raise ItemError(_without_bytes(f"{self._files[place.file].name}: '{key}'", name, cell))
            pictures[name] = content
        return pictures, row

    def _read_pictures(self, key: str) -> tuple[dict[str, bytes], dict[str, object]]:
        """The stored bytes of the pair and of its further pictures, and the other columns of the row."""
        pictures, values = self.read_encoded(key)
        encoded = {name: _bytes_of(values.pop(name, None)) for name in self._extras}
        return pictures | {name: content for name, content in encoded.items() if content}, values

    def _require_same_size(self, key: str, name: str, image: Image, target: Image) -> None:
        size, wanted = ((picture.shape[1], picture.shape[0]) for picture in (image, target))
        if not sizes_fit(size, wanted, self._scale):
            raise ItemError(
                f"{self.path}: {name} of '{key}' is {size[0]}×{size[1]}, its target "
                f"{wanted[0]}×{wanted[1]}. Bring both to one size."
            )

    def _decode(self, key: str, name: str, content: bytes) -> Image:
        try:
            decoded = read_image(content, ids=name in self._id_maps)
        except ItemError as error:
            raise ItemError(f"{self.path}: {name} of '{key}': {error}") from None
        self.left_out.add(f"{name} of {key}", decoded.meta)
        return decoded.image

    def _index(self, number: int) -> None:
        """Learn the keys of one file."""
        file, footer = self._files[number], self._footers[number]
        keys = self._keys(number)
        self.has_names &= keys is not None
        split = _split_of(file, self.path)
        known = self._splits.setdefault(split, [])
        position = 0
        for group in range(footer.num_row_groups):
            for row in range(footer.row_group(group).num_rows):
                key = str(keys[position]) if keys is not None else f"{file.stem}/{position:06d}"
                if key in self._places:
                    key = f"{split}/{file.stem}/{position:06d}"
                self._places[key] = _Place(number, group, row)
                known.append(key)
                position += 1

    def _keys(self, number: int) -> list[str] | None:
        """The column "key" of one file; None without. Raises `UsageError` where it cannot be read."""
        file, footer = self._files[number], self._footers[number]
        if "key" not in footer.schema.to_arrow_schema().names:
            return None
        keys: list[str] = []
        size = 0
        try:
            for group in range(footer.num_row_groups):
                with self._open(number) as reader:
                    for batch in batches(reader, group, columns=["key"]):
                        # One by one: a dictionary may hold few of them, and each may be large.
                        for cell in batch.column(0):
                            keys.append(str(cell.as_py()))
                            size += len(keys[-1])
                            if size > MOST_KEY_BYTES:
                                raise ValueError(f"more than {MOST_KEY_BYTES >> 20} MB in column 'key'")
        except Exception as error:  # Arrow raises whatever damaged and hostile bytes lead to
            raise UsageError(unreadable(file, error)) from None
        if len(keys) != sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups)):
            raise UsageError(unreadable(file, "its rows have not as many keys"))
        return keys

    def _open(self, number: int) -> pq.ParquetFile:
        # A reader is not safe to share between threads; opening one anew with the footer at hand is cheap.
        return pq.ParquetFile(
            self._files[number],
            metadata=self._footers[number],
            page_checksum_verification=True,
            read_dictionary=self._dictionaries[number],
        )

    def _rows_around(self, place: _Place) -> Rows:
        """The row group that `place` lies in, or as many of its rows around it as may be held at once."""
        name = place.file, place.row_group
        with self._lock:
            if name in self._groups and place.row in self._groups[name].span:
                self._groups.move_to_end(name)
                return self._groups[name]
        try:
            with self._open(place.file) as reader:
                rows = rows_around(reader, place.row_group, place.row)
        except Exception as error:  # Arrow raises whatever damaged and hostile bytes lead to
            raise ItemError(f"{self._files[place.file]}: row group {place.row_group}: {error}") from None
        with self._lock:
            self._groups[name] = rows
            while len(self._groups) > 1 and sum(r.table.nbytes for r in self._groups.values()) > _CACHE_BYTES:
                self._groups.popitem(last=False)
        return rows

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["_lock"], state["_groups"], state["_footers"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._footers = [_footer(file) for file in self._files]
        self._groups = OrderedDict()
        self._lock = threading.Lock()


def _without_bytes(place: str, column: str, cell: Any) -> str:
    """What to say of a cell that holds no picture, at best why."""
    path = cell.get("path") if isinstance(cell, dict) else cell
    if isinstance(path, str) and path:
        return (
            f"{place}: column '{column}' holds paths ({path}), not the pictures themselves. Store their "
            "bytes, or name the folders of the pictures as DATA."
        )
    return f"{place} has no bytes in column '{column}'. Expected an encoded picture."


def _bytes_of(stored: Any) -> bytes | None:
    """The encoded picture in a cell of an Image column, or of a plain binary one."""
    content = stored.get("bytes") if isinstance(stored, dict) else stored
    return content if isinstance(content, bytes) else None


def _files_of(path: Path) -> list[Path]:
    """The data files, in order. Raises `UsageError` where the dataset is unfinished or damaged, or none."""
    if path.is_file():
        return [path]
    manifest = path / ".p2p" / "manifest.json"
    if manifest.is_file():
        return _listed(path, manifest)
    if (path / ".p2p" / "plan.json").is_file():
        raise UsageError(
            f"{path} has no manifest.json: make-pairs did not finish. Run the same command again to resume."
        )
    files = sorted(_data_files(path))
    if not files:
        raise UsageError(f"{path} holds no Parquet file. Expected a dataset that make-pairs wrote.")
    return files


def _listed(path: Path, manifest: Path) -> list[Path]:
    """The shards that a manifest names, each checked to be there in its full length."""
    files = []
    for shard in _shards_of(manifest):
        file = path / shard["name"]
        found = file.stat().st_size if file.is_file() else None
        if found != shard["bytes"]:
            state = "is missing" if found is None else f"has {found} bytes instead of {shard['bytes']}"
            raise UsageError(
                f"{file} {state}: the dataset is damaged. Run the make-pairs command that made it again; "
                "it remakes only what is damaged."
            )
        if shard["rows"]:
            files.append(file)
    return files


def _shards_of(manifest: Path) -> list[dict[str, Any]]:
    try:
        values = read_json(manifest)
        require_kinds(values, {"shards": list}, needed=True)
        for shard in values["shards"]:
            require_kinds(shard, {"name": str, "bytes": int, "rows": int}, needed=True)
            if ".." in Path(shard["name"]).parts or Path(shard["name"]).is_absolute():
                raise ValueError(f"the shard '{shard['name']}' lies outside the dataset")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{manifest}: cannot be read ({error}). Expected the manifest that make-pairs wrote: run its "
            f"command again."
        ) from None
    shards: list[dict[str, Any]] = values["shards"]
    return shards


def _data_files(path: Path) -> Iterator[Path]:
    """Parquet files below `path`, but none in hidden or side folders (".p2p", "_logs", "__pycache__")."""
    for file in path.glob("**/*.parquet"):
        if not any(part.startswith((".", "_")) for part in file.relative_to(path).parts):
            yield file


def _footer(file: Path) -> pq.FileMetaData:
    try:
        require_regular(file)
        footer = pq.read_metadata(file)
        names = footer.schema.to_arrow_schema().names
        require_honest(footer, size=file.stat().st_size)
    except Exception as error:  # Arrow raises whatever damaged and hostile bytes lead to
        raise UsageError(unreadable(file, error)) from None
    missing = [name for name in _PICTURES if name not in names]
    if missing:
        raise UsageError(
            f"{file} has no column '{missing[0]}'. Expected Image columns 'input' and 'target'; "
            f"found: {', '.join(names)}. Rename the columns."
        )
    return footer


def _split_of(file: Path, root: Path) -> str:
    """The split that the file's name, or else a folder's, names; "all" where none does."""
    parts = file.relative_to(root).parts if root.is_dir() else (file.name,)
    for part in reversed(parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return "all"
