"""The one way in for files of tensors that others made, torch's and safetensors: measured, then read.

Nothing in a file is executed: pickles go through `torch.load(weights_only=True)` alone, after a walk over
their instructions that builds nothing and adds up what they claim. What a name's tensor means is said in
`p2pcli.nets`.
"""

from __future__ import annotations

import math
import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from p2pcli.untrusted import DEPTH, open_regular, parse_json_object, require_shallow

MOST_TENSORS = 16_384
"""In one file. The largest networks here have some 2,000, a training state five times as many."""
HEADER_BYTES = 16 << 20
"""Of a safetensors file: a thousand for every tensor. The format allows 100 MB."""
PICKLE_BYTES = 64 << 20
"""Of the instructions around the tensors."""
_INSTRUCTIONS_PER_TENSOR = 256
_MOST_SIDES = 64
"""torch's own limit."""
_UNPACKED = 4
"""Times a file's size: what a compressed one may become. torch.save compresses nothing."""

_PLAIN = frozenset(
    {torch.float32, torch.float16, torch.bfloat16, torch.float64}
    | {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool}
)
_ITEM_BYTES = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2}
"""torch's storage classes by the size of a number; all others have a byte, or are refused later."""


class RefusedError(ValueError):
    """A file that claims more than it holds, or more than is read of one: said in a few words."""


class DamagedError(RefusedError):
    """A file that is not whole."""


def read_pickled(path: Path) -> Any:
    """What a file of torch.save holds, on the CPU: tensors, plain values and containers of them.

    Raises `OSError` for what is no readable regular file, `RefusedError` for a file that claims more than it
    holds or has too much of something, and whatever `torch.load` raises for one that is damaged or hostile.
    """
    with open_regular(path) as file:
        if file.read(2) == b"PK":
            _require_honest_zip(path, file)
        else:
            _require_honest_pickles(file, size=path.stat().st_size)
        file.seek(0)
        with warnings.catch_warnings():
            # TorchScript is announced by a warning of two lines before it is refused.
            warnings.simplefilter("ignore")
            values = torch.load(file, map_location="cpu", weights_only=True)
    try:
        require_shallow(values, depth=DEPTH)
    except ValueError as error:
        raise RefusedError(f"it holds {error}") from None
    _require_plain(values)
    return values


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata.

    Raises `OSError`, `DamagedError`, or `RefusedError` for what claims too much.
    """
    read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise DamagedError(str(error)) from None
    _require_plain(state)
    return state, metadata


class Header(NamedTuple):
    """What a safetensors file says of itself before its tensors."""

    names: tuple[str, ...]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """The header of a safetensors file. Raises `OSError`, `DamagedError` or `RefusedError`."""
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER_BYTES:
            raise RefusedError(
                f"its header claims {length} bytes, more than the {HEADER_BYTES >> 20} MB that are read"
            )
        text = file.read(length)
    if len(text) < length:
        raise DamagedError(f"its header has {len(text)} of {length} bytes")
    try:
        values = parse_json_object(text)
    except ValueError as error:
        raise DamagedError(f"its header cannot be read: {error}") from None
    metadata = values.pop("__metadata__", {})
    _require_few(len(values))
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise RefusedError("its metadata are no texts")
    return Header(tuple(values), metadata)


def is_safetensors(head: bytes) -> bool:
    """True where a file that begins with `head` (9 bytes) has safetensors' header: a length, then JSON."""
    return head[8:9] == b"{"


def is_pickled(head: bytes) -> bool:
    """True where a file that begins with `head` is one of torch.save, or a pickle."""
    return head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _require_few(count: int) -> None:
    if count > MOST_TENSORS:
        raise RefusedError(
            f"it holds {count} tensors, more than the {MOST_TENSORS} that are read of one file"
        )


def _require_plain(values: object) -> None:
    """Raise `RefusedError` for tensors that are no plain numbers, or more than lie behind them."""
    found = list(_tensors(values))
    _require_few(len(found))
    for name, tensor in found:
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _PLAIN:
            kind = f"{tensor.layout}, {tensor.dtype}, {tensor.device.type}".replace("torch.", "")
            raise RefusedError(f"'{name}' is no plain tensor ({kind})")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise RefusedError(
                f"'{name}' claims {tuple(tensor.shape)} numbers, and the file holds "
                f"{tensor.untyped_storage().nbytes()} bytes for it"
            )


def _tensors(values: object) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with the name it lies under. What contains itself is visited once."""
    seen: set[int] = set()
    pending: list[tuple[str, object]] = [("it", values)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            inner = value.items() if isinstance(value, Mapping) else ((name, one) for one in value)
            pending += [(str(key)[:200] if isinstance(key, str) else name, one) for key, one in inner]


def _require_honest_zip(path: Path, file: BinaryIO) -> None:
    size = path.stat().st_size
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(members) > 2 * MOST_TENSORS or len(sizes) < len(members):
            raise RefusedError(
                f"an archive of {len(members)} files, {len(members) - len(sizes)} of them twice"
            )
        if sum(sizes.values()) > _UNPACKED * size + (1 << 20):
            raise RefusedError(f"its {size} bytes would become {sum(sizes.values())}")
        named = [name for name in sizes if name.endswith("/data.pkl")]
        if len(named) != 1 or any(name.endswith("/constants.pkl") for name in sizes):
            return  # TorchScript or no archive of torch's: torch.load refuses it by its own words
        if sizes[named[0]] > PICKLE_BYTES:
            raise RefusedError(
                f"{sizes[named[0]]} bytes of instructions, more than the {PICKLE_BYTES >> 20} MB"
            )
        folder = named[0].removesuffix("data.pkl")
        with archive.open(named[0]) as instructions:
            claims = _Claims(sizes, f"{folder}data/")
            claims.walk(instructions)


def _require_honest_pickles(file: BinaryIO, *, size: int) -> None:
    """As torch wrote before 1.6: five pickles, then the numbers. Other files are left to `torch.load`."""
    file.seek(0)
    claims = _Claims(None, "", most_bytes=size)
    try:
        for _ in range(5):
            claims.walk(file)
    except RefusedError:
        raise
    except Exception:  # a walk that ends early is torch.load's to refuse, which reads the same bytes
        return


@dataclass(frozen=True)
class _Storage:
    """A block of numbers that a pickle claims."""

    nbytes: int
    item_bytes: int


@dataclass(frozen=True)
class _Global:
    name: str


_OPAQUE = object()
"""Any value that does not tell how large a tensor is."""
_MARK = object()


@dataclass
class _Claims:
    """A pickle's instructions followed on a stack of names, sizes and tuples; nothing else is ever built."""

    records: Mapping[str, int] | None
    """Zip member → its bytes; None: the numbers follow the pickles."""
    folder: str
    most_bytes: int = 0
    """All storages together, where there are no records."""
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    storages: dict[object, int] = field(default_factory=dict)
    tensors: int = 0
    instructions: int = 0

    def walk(self, file: Any) -> None:
        """Follow one pickle. Raises `RefusedError`, or what `pickletools` and a stack in disorder raise."""
        self.stack, self.memo = [], {}
        for opcode, argument, _ in pickletools.genops(file):
            self.instructions += 1
            if self.instructions > MOST_TENSORS * _INSTRUCTIONS_PER_TENSOR:
                raise RefusedError(f"more than {self.instructions - 1} instructions around its tensors")
            self._follow(opcode, argument)

    def _follow(self, opcode: Any, argument: Any) -> None:
        name, stack = opcode.name, self.stack
        if "PUT" in name or name == "MEMOIZE":
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name == "GET" or name.endswith("BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(_Global(str(argument)))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = self._taken(opcode)
            if name in ("SETITEM", "SETITEMS", "DICT", "ADDITEMS", "FROZENSET"):
                self._require_plain_keys(name, taken)
            stack += [self._made(name, argument, taken) for _ in opcode.stack_after]

    def _taken(self, opcode: Any) -> list[object]:
        """What an instruction takes off the stack, a slice up to the last mark included."""
        before = opcode.stack_before
        sliced: list[object] = []
        if pickletools.markobject in before:
            mark = next(i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK)
            sliced = self.stack[mark + 1 :]
            del self.stack[mark:]
            before = before[: before.index(pickletools.markobject)]
        below = [self.stack.pop() for _ in before]
        return [*reversed(below), *sliced]

    def _made(self, name: str, argument: Any, taken: list[object]) -> object:
        if name.startswith("TUPLE") or name == "EMPTY_TUPLE":
            return tuple(taken)
        if name == "STACK_GLOBAL":
            return _Global(" ".join(str(part) for part in taken if isinstance(part, str)))
        if name == "BINPERSID":
            return self._storage(taken[-1])
        if name == "REDUCE" and isinstance(taken[0], _Global):
            return self._called(taken[0].name, taken[1])
        if name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS", "BUILD", "ADDITEMS"):
            return taken[0]
        return argument if isinstance(argument, str | int | float | bytes) else _OPAQUE

    def _storage(self, identifier: object) -> object:
        """The storage behind ("storage", class, key, place, count, …); its bytes must be there."""
        if not isinstance(identifier, tuple) or len(identifier) < 5:
            return _OPAQUE
        _, kind, key, _, count = identifier[:5]
        if not isinstance(kind, _Global) or not isinstance(count, int) or not isinstance(key, str):
            return _OPAQUE
        item = _ITEM_BYTES.get(kind.name.rpartition(" ")[2].removesuffix("Storage"), 1)
        claimed = item * count
        self.storages[key] = claimed
        held = self.most_bytes
        if self.records is not None:
            held = self.records.get(f"{self.folder}{key}", 0)
        elif sum(self.storages.values()) > held:
            raise DamagedError("a PyTorch file that was cut short or damaged; copy it again")
        if claimed > held or count < 0:
            raise RefusedError(f"a tensor claims {claimed} bytes, and the file holds {held} for it")
        return _Storage(item * count, item)

    def _called(self, name: str, arguments: object) -> object:
        if "_rebuild_" not in name:
            return _OPAQUE
        self.tensors += 1
        _require_few(self.tensors)
        if isinstance(arguments, tuple) and len(arguments) > 2 and isinstance(arguments[0], _Storage):
            storage, shape = arguments[0], arguments[2]
            sides = (
                [side if isinstance(side, int) else 0 for side in shape] if isinstance(shape, tuple) else []
            )
            if len(sides) > _MOST_SIDES or math.prod(sides) * storage.item_bytes > storage.nbytes:
                raise RefusedError(
                    f"a tensor claims {tuple(sides[:8])} numbers, and the file holds {storage.nbytes} bytes"
                )
        return _OPAQUE

    @staticmethod
    def _require_plain_keys(name: str, taken: list[object]) -> None:
        """Raise `RefusedError` for keys that are tuples of tuples: a hash of those may take for ever."""
        keys = taken if name in ("ADDITEMS", "FROZENSET") else taken[name != "DICT" :: 2]
        if any(isinstance(key, tuple) and any(isinstance(one, tuple) for one in key) for key in keys):
            raise RefusedError("a name that is a tuple of tuples")
