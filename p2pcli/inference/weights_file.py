"""Weights that other projects saved: .pth and .safetensors files, and the option texts beside them.

Pickles are read with `weights_only=True` alone, which builds tensors and plain containers and runs nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from p2pcli.errors import UsageError

OPTION_FILES = ("train_opt.txt", "opt.txt")
_OPTION_LIMIT_BYTES = 1_000_000
_NEGATED = {"True": False, "False": True}
"""What options that begin with "no_" say of the thing itself."""


@dataclass(frozen=True)
class PublishedOptions:
    """What a published training script's option text says; None where it says nothing."""

    path: Path | None = None
    direction: str | None = None
    """AtoB or BtoA."""
    dropout: bool | None = None
    doublings: str | None = None
    """SPADE's "normal", "more" or "most"."""
    size: int | None = None
    """Side in px of the training crops."""
    labels: int | None = None
    """Planes of the label map; 0: the input is a picture."""
    instances: bool | None = None
    """Whether a plane of instance boundaries follows."""
    dontcare: bool | None = None
    """Whether the label map has one more plane for "unknown"."""


def read_weights(path: Path) -> dict[str, Any]:
    """What a weights file holds, on the CPU: usually names with tensors, or containers around them.

    Raises `UsageError` where the file is missing, damaged, no weights, a pickle that holds more than tensors,
    or a p2p model already.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Expected a .pth or .safetensors file with weights."
        ) from None
    if head[8:9] == b"{":
        return _read_safetensors(path)
    try:
        with warnings.catch_warnings():
            # TorchScript is announced by a warning of two lines before it is refused.
            warnings.simplefilter("ignore")
            values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load names no common type for what damaged and hostile files raise
        raise UsageError(
            f"{path}: not opened: a damaged file, or a pickle that holds more than tensors, which could run "
            f"code ({_refusal(error)}). Expected a state dict: torch.save(net.state_dict(), FILE)."
        ) from None
    if not isinstance(values, Mapping):
        raise UsageError(
            f"{path}: holds a {type(values).__name__}. Expected a state dict, saved with "
            "torch.save(net.state_dict(), FILE)."
        )
    return {str(name): value for name, value in values.items()}


def read_options_beside(path: Path) -> PublishedOptions:
    """What train_opt.txt or opt.txt in the folder of `path` says; all None where there is neither."""
    for name in OPTION_FILES:
        beside = path.parent / name
        if beside.is_file() and beside.stat().st_size < _OPTION_LIMIT_BYTES:
            return _parse_options(beside)
    return PublishedOptions()


def _parse_options(path: Path) -> PublishedOptions:
    """Lines `name: value [default: …]`; options were renamed in 2019, so that both names are known."""
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^\s*(\w+):[ \t]*(.*?)[ \t]*(?:\[default:.*)?$", text, re.M)
    options: dict[str, str] = dict(found)
    direction = options.get("direction", options.get("which_direction"))
    size = options.get("crop_size", options.get("fineSize", ""))
    doublings = options.get("num_upsampling_layers")
    labels = options.get("label_nc", "")
    return PublishedOptions(
        path=path,
        direction=direction if direction in ("AtoB", "BtoA") else None,
        dropout=_NEGATED.get(options.get("no_dropout", "")),
        doublings=doublings if doublings in ("normal", "more", "most") else None,
        size=int(size) if size.isdecimal() else None,
        labels=int(labels) if labels.isdecimal() else None,
        instances=_NEGATED.get(options.get("no_instance", "")),
        dontcare={"True": True, "False": False}.get(options.get("contain_dontcare_label", "")),
    )


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            if "p2p" in (file.metadata() or {}):
                raise UsageError(f"{path}: a p2p model already. Use it as it is: p2p translate -m {path}")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise UsageError(
            f"{path}: not a whole safetensors file ({error}). It was cut short or damaged; copy it again."
        ) from None


def _refusal(error: BaseException) -> str:
    """Why `torch.load` opened nothing; of a pickle, what it asks for."""
    # That stands behind advice on how to open it all the same, which nobody should follow.
    asked = re.search(r"GLOBAL (\S+)", str(error))
    return f"it asks for {asked[1]}" if asked else _first_line(error).partition(". In PyTorch")[0]


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
