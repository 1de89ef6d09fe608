"""Weights that other projects saved: .pth and .safetensors files, and the option texts beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2pcli.errors import UsageError
from p2pcli.stored_tensors import (
    DamagedError,
    RefusedError,
    is_safetensors,
    read_header,
    read_pickled,
    read_tensors,
)
from p2pcli.untrusted import open_regular, read_text

_EXPECTED = "Expected a state dict: torch.save(net.state_dict(), FILE)."
OPTION_FILES = ("train_opt.txt", "opt.txt")
_MOST_DIGITS = 9
"""Of a number in an option text: more is none that any network has."""
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
    aspect: float | None = None
    """Width of SPADE's pictures by their height."""
    labels: int | None = None
    """Planes of the label map; 0: the input is a picture."""
    instances: bool | None = None
    """Whether a plane of instance boundaries follows."""
    features: int | None = None
    """Planes after those that a pix2pixHD encoder fills; 0: there are none."""
    dataset: str | None = None
    """SPADE's dataset_mode."""
    generator: str | None = None
    """netG: unet_256, resnet_9blocks, global, …"""


def read_weights(path: Path) -> dict[str, Any]:
    """What a weights file holds, on the CPU: usually names with tensors, or containers around them.

    Raises `UsageError` where the file is missing, damaged, no weights, a pickle that holds more than tensors,
    or a p2p model already.
    """
    try:
        with open_regular(path) as file:
            head = file.read(9)
        if is_safetensors(head):
            return _read_safetensors(path)
        values = read_pickled(path)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Expected a .pth or .safetensors file with weights."
        ) from None
    except UsageError:
        raise
    except RefusedError as error:
        raise UsageError(f"{path}: not opened: {error}. {_EXPECTED}") from None
    except Exception as error:  # torch.load names no common type for what damaged and hostile files raise
        raise UsageError(f"{path}: not opened: {_why_unreadable(head, error)}. {_EXPECTED}") from None
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
        try:
            return _parse_options(beside, read_text(beside, errors="replace"))
        except OSError:
            continue  # none, or none that is worth the name
    return PublishedOptions()


def _parse_options(path: Path, text: str) -> PublishedOptions:
    """Lines `name: value [default: …]`; options were renamed in 2019, so that both names are known."""
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
        size=_number(size),
        aspect=_aspect(options.get("aspect_ratio", "")),
        labels=_number(labels),
        instances=_NEGATED.get(options.get("no_instance", "")),
        features=_features(options),
        dataset=options.get("dataset_mode"),
        generator=options.get("netG", options.get("which_model_netG")),
    )


def _features(options: Mapping[str, str]) -> int | None:
    used = [options[name] for name in ("instance_feat", "label_feat") if name in options]
    count = options.get("feat_num", "")
    if not used:
        return None
    return (_number(count) or 0) if "True" in used else 0


def _aspect(text: str) -> float | None:
    is_number = re.fullmatch(r"\d{1,4}(\.\d{1,9})?", text) is not None
    return float(text) if is_number and float(text) > 0 else None


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        if "p2p" in read_header(path).metadata:
            raise UsageError(f"{path}: a p2p model already. Use it as it is: p2p translate -m {path}")
        return dict(read_tensors(path)[0])
    except DamagedError as error:
        raise UsageError(
            f"{path}: not a whole safetensors file ({error}). It was cut short or damaged; copy it again."
        ) from None


def _why_unreadable(head: bytes, error: BaseException) -> str:
    """What a file is that `torch.load` refused; its own words advise to load without `weights_only`."""
    said = str(error)
    if not head:
        return "an empty file"
    if "TorchScript" in said:
        return "a TorchScript archive, which is a program"
    if ".tar format" in said:
        return "a tar archive, as torch wrote before 2017, or nothing of torch's"
    is_torch = head.startswith((b"PK", b"\x80"))
    named = re.search(r"GLOBAL ([\w.]+)", said)
    if named or (is_torch and "Weights only load failed" in said):
        what = f" ({named[1]})" if named else ""
        return f"a pickle that holds more than tensors{what}, which could run code"
    if is_torch:
        return "a PyTorch file that was cut short or damaged; copy it again"
    return "neither a PyTorch nor a safetensors file"
