"""The one way in for files that others made: regular files alone, read up to a limit, parsed up to a depth.

Every reader of small files goes through here: recipes, plans, manifests, ledgers, logs, lists, option texts,
and the headers of weights. A problem is an `OSError` (the file) or a `ValueError` (its content) whose text
says in a few words what was found; the caller says what was expected, and what to do. Containers of tensors
are measured in `p2pcli.stored_tensors`, Parquet in `p2pcli.io.parquet`, pictures in `p2pcli.io.codec`.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

TEXT_BYTES = 4 << 20
"""Of a recipe or an option text; the largest that comes with p2p has 3 kB."""
JSON_BYTES = 512 << 20
"""Of a plan, manifest, ledger or log: a plan names every source, and a dataset may have millions."""
LIST_BYTES = 256 << 20
"""Of a list of files: some three million paths."""
DEPTH = 32
"""Containers in one another, in JSON and TOML; p2p's own have 6."""
KEY_PARTS = 16
"""Parts of a dotted TOML key: tomllib takes memory by their square."""
_LARGEST = 1 << 64
"""Whole numbers stay below: sizes, times in nanoseconds and seeds do."""

Kinds = Mapping[str, type | tuple[type, ...]]
"""Key → the type of its value, or the types that it may have."""

_FILES = (
    (stat.S_ISDIR, errno.EISDIR, "a folder"),
    (stat.S_ISFIFO, errno.EINVAL, "a pipe (FIFO), which is no regular file"),
    (stat.S_ISSOCK, errno.EINVAL, "a socket, which is no regular file"),
    (stat.S_ISCHR, errno.EINVAL, "a device, which is no regular file"),
    (stat.S_ISBLK, errno.EINVAL, "a device, which is no regular file"),
)
# Strings with what may stand in them, and comments: what is left has dots and brackets of TOML's own alone.
_TOML_TEXTS = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_LONG_KEY = re.compile(rf"(?:[\w\-]+[ \t]*\.[ \t]*){{{KEY_PARTS}}}")


def open_regular(path: Path) -> BinaryIO:
    """`path` open for reading. Raises `OSError`, also for what is no regular file.

    A pipe without a writer would block when it is opened, and a device may never end.
    """
    # First without opening it: that alone has effects on some devices.
    require_regular(path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        require_regular(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def require_regular(path: Path, information: os.stat_result | None = None) -> None:
    """Raise `OSError` where `path`, of which `information` may be known, is no regular file."""
    mode = (information or path.stat()).st_mode
    for is_one, number, words in _FILES:
        if is_one(mode):
            raise OSError(number, words, str(path))


def read_bytes(path: Path, *, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises `OSError`."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"more than the {limit >> 20} MB that are read of such a file", str(path))
    return data


def read_text(path: Path, *, limit: int = TEXT_BYTES, encoding: str = "utf-8", errors: str = "strict") -> str:
    """As `read_bytes`, decoded. Raises `OSError`, or `UnicodeDecodeError` (a `ValueError`)."""
    return read_bytes(path, limit=limit).decode(encoding, errors)


def read_json(path: Path, *, limit: int = JSON_BYTES) -> Any:
    """What a JSON file holds, by the rules of `parse_json`. Raises `OSError` or `ValueError`."""
    return parse_json(read_text(path, limit=limit))


def parse_json(text: str | bytes, *, may_be_infinite: bool = False) -> Any:
    """Plain values. Raises `ValueError`, also for what JSON's readers take and nothing here can use.

    That is: whole numbers of more than 64 bits, more than `DEPTH` containers in one another, and, unless the
    numbers `may_be_infinite` as measurements are (PSNR of equal pictures), Infinity, NaN and 1e400.
    """
    try:
        values = json.loads(
            text,
            parse_constant=float if may_be_infinite else _no_constant,
            parse_float=float if may_be_infinite else _finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError(f"more than {DEPTH} containers in one another") from None
    require_shallow(values, depth=DEPTH)
    return values


def parse_json_object(text: str | bytes, *, may_be_infinite: bool = False) -> dict[str, Any]:
    """As `parse_json`, where an object is expected. Raises `ValueError`."""
    values = parse_json(text, may_be_infinite=may_be_infinite)
    if not isinstance(values, dict):
        raise ValueError(f"{kind_of(values)}, not an object")
    return values


def parse_toml(text: str) -> dict[str, Any]:
    """The values of a TOML text. Raises `ValueError` for what is no TOML, or has keys or values too deep."""
    bare = _TOML_TEXTS.sub(lambda found: "\n" if found[0].startswith("#") else "s", text)
    if _LONG_KEY.search(bare):
        raise ValueError(f"a key of more than {KEY_PARTS} parts")
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"more than {DEPTH} containers in one another") from None
    require_shallow(values, depth=DEPTH)
    return values


def require_shallow(values: object, *, depth: int) -> None:
    """Raise `ValueError` where more than `depth` containers lie in one another."""
    # By identity: pickles, unlike texts, may hold one container in many places, or in itself.
    level: dict[int, object] = {id(values): values}
    for _ in range(depth):
        level = {id(inner): inner for value in level.values() for inner in _inner(value)}
        if not level:
            return
    raise ValueError(f"more than {depth} containers in one another")


def require_kinds(values: Any, kinds: Kinds, *, needed: bool = False) -> None:
    """Raise `ValueError` where a key of `values` holds another type than `kinds` says.

    A key that is absent is let pass, unless it is `needed`. True and False are no numbers.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{kind_of(values)}, not an object")
    for name, kind in kinds.items():
        if name not in values:
            if needed:
                raise ValueError(f"'{name}' is missing")
            continue
        allowed = kind if isinstance(kind, tuple) else (kind,)
        value = values[name]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            expected = " or ".join(_NAMES.get(one, one.__name__) for one in allowed)
            raise ValueError(f"'{name}' is {kind_of(value)}, not {expected}")


_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
}


def kind_of(value: object) -> str:
    """What `value` is, in JSON's words: "an array"."""
    return _NAMES.get(type(value), f"a {type(value).__name__}")


def append_line(path: Path, line: str, *, after: Literal["", "\n"] = "") -> None:
    """Add `line` to the text file at `path`, `after` what closes a line that was cut off.

    Raises `OSError`, also where `path` is a link or no regular file: what is added must stay in its folder.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    with os.fdopen(descriptor, "ab") as file:
        require_regular(path, os.fstat(descriptor))
        file.write(f"{after}{line}\n".encode("utf-8", "surrogateescape"))


def _inner(value: object) -> Iterator[object]:
    """The containers in a container."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return (one for one in inner if isinstance(one, dict | list | tuple))


def _no_constant(text: str) -> float:
    raise ValueError(f"{text}, where a number is expected")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {_cut(text)}, which is beyond what can be computed with")
    return value


def _whole(text: str) -> int:
    # Digits are counted first: int() takes time by their square.
    value = int(text) if len(text) <= 21 else _LARGEST
    if abs(value) >= _LARGEST:
        raise ValueError(f"the number {_cut(text)}, which has more than 64 bits")
    return value


def _cut(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:21]}…"
