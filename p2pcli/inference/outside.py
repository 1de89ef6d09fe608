"""Models of other projects (super-resolution, restoration, inpainting), found and built by spandrel.

Their files hold weights alone; spandrel reads the architecture from keys and shapes. Here it is brought to
our ranges and size needs.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.inference.tiling import TILE_BYTES, Tiling, fitting_tiling
from p2pcli.inference.weights_file import read_weights
from p2pcli.nets.blocks import SizeNeeds
from p2pcli.nets.detect import detect
from p2pcli.recipe import Data
from p2pcli.stored_tensors import RefusedError, is_pickled, is_safetensors, read_header
from p2pcli.untrusted import open_regular

_PROBE_PX = 32
_LIVE_MAPS = 3
"""So many maps of the widest layer are in memory at once: what it reads, what it gives, and one kept."""


@dataclass(frozen=True)
class Outside:
    """A model of another project, ready to run."""

    network: OutsideNetwork
    data: Data
    """What it sees and gives, as a recipe's [data] would say it."""
    about: str
    """A sentence: architecture, size, what it is for, licence."""


class OutsideNetwork(nn.Module):
    """A network of spandrel's in our terms: [-1, 1] in and out instead of [0, 1].

    x (B, C, H, W) float32 → float32 (B, C', H·scale, W·scale), H and W as `size_needs` allows. One that fills
    holes sees the hole (1) as its last plane. Computes in `dtype` where that is not float32, but sums what
    runs past its convolutions in float32: whole in bfloat16, a photo would lose half a step of 255.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.model: nn.Module = descriptor.model
        self.dtype = torch.float32
        self.architecture = str(descriptor.architecture.name)
        flags = {torch.float16: descriptor.supports_half, torch.bfloat16: descriptor.supports_bfloat16}
        self.formats = frozenset({torch.float32, *(dtype for dtype, is_safe in flags.items() if is_safe)})
        """Number formats that its architecture computes in."""
        self.scale = int(descriptor.scale)
        needs = descriptor.size_requirements
        self.size_needs = SizeNeeds(
            multiple_of=needs.multiple_of, minimum=max(1, needs.minimum), is_square=needs.square
        )
        self.fills_holes = descriptor.purpose == "Inpainting"
        self.tiles_well = not self.fills_holes and descriptor.tiling.name == "SUPPORTED"
        """True where a picture may be cut into tiles without harm."""
        self._descriptor = descriptor
        self._memory_format, self.values_per_pixel = self._probed()

    def forward(self, x: Tensor) -> Tensor:
        """The translation of `x` (B, C, H, W) in [-1, 1]."""
        return self._run(x, self._memory_format)

    def computing_in(self, dtype: torch.dtype) -> OutsideNetwork:
        """The same network, sharing its weights, computing in `dtype`."""
        other = copy.copy(self)
        other.dtype = dtype
        return other

    def _run(self, x: Tensor, memory_format: torch.memory_format) -> Tensor:
        x = x.float().contiguous(memory_format=memory_format)
        reduced = torch.autocast(x.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with reduced:
            if self.fills_holes:
                result = self._descriptor((x[:, :-1] + 1) / 2, x[:, -1:])
            else:
                result = self._descriptor((x + 1) / 2)
        found: Tensor = result.float() * 2 - 1
        return found

    def _probed(self) -> tuple[torch.memory_format, float]:
        """A layout that the network takes, and the values of its widest map for each pixel of the input.

        Channels-last is up to three times faster, but networks with attention may not take it.
        """
        side = max(self.size_needs.minimum, _PROBE_PX)
        side = math.ceil(side / self.size_needs.multiple_of) * self.size_needs.multiple_of
        planes = self._descriptor.input_channels + self.fills_holes
        parameter = next(self.model.parameters())
        x = torch.zeros(1, planes, side, side, device=parameter.device)
        widest = 0

        def note(module: nn.Module, given: object, result: object) -> None:
            nonlocal widest
            if isinstance(result, Tensor):
                widest = max(widest, result.numel())

        self.model.eval()
        hooks = [module.register_forward_hook(note) for module in self.model.modules()]
        try:
            try:
                memory_format, result = torch.channels_last, self._run(x, torch.channels_last)
            except RuntimeError:
                memory_format, result = torch.contiguous_format, self._run(x, torch.contiguous_format)
        finally:
            for hook in hooks:
                hook.remove()
        if result.shape[2:] != (side * self.scale, side * self.scale):
            raise ValueError(
                f"it makes {tuple(result.shape[2:])} of {side}×{side}, which is not {self.scale} times"
            )
        return memory_format, widest / side**2

    @property
    def bytes_per_pixel(self) -> float:
        """About what it needs at its peak for each pixel of the input."""
        size = torch.empty((), dtype=self.dtype).element_size()
        # 40: the result as float32, its rounding, and its bytes.
        return 24 + 40 * self.scale**2 + _LIVE_MAPS * self.values_per_pixel * size


def is_from_outside(path: Path) -> bool:
    """True where `path` holds weights that p2p did not write: safetensors without our metadata, or a pickle.

    False for everything else: `read_model` says what is wrong with it.
    """
    try:
        with open_regular(path) as file:
            head = file.read(9)
        return "p2p" not in read_header(path).metadata if is_safetensors(head) else is_pickled(head)
    except (OSError, RefusedError):
        return False


def read_outside(path: Path) -> Outside:
    """The model of another project in `path`, computing in float32 on the CPU.

    Raises `UsageError` where it is damaged, hostile, unknown, or belongs to `p2p import`, and
    `EnvironmentFaultError` where spandrel is not installed.
    """
    values = read_weights(path)
    _require_not_importable(path, values)
    with warnings.catch_warnings():
        # Of foreign code, to its own authors.
        warnings.simplefilter("ignore")
        return _built(path, values)


def _built(path: Path, values: dict[str, Any]) -> Outside:
    descriptor = _descriptor_of(path, values)
    channels, made = descriptor.input_channels, descriptor.output_channels
    if channels not in (1, 3) or made not in (1, 3):
        raise UsageError(
            f"{path}: a {descriptor.architecture.name} network that sees {channels} channels and makes "
            f"{made}. Expected one for pictures of 1 or 3 channels."
        )
    try:
        network = OutsideNetwork(descriptor)
    except Exception as error:  # whatever a foreign network raises when it is run for the first time
        raise UsageError(
            f"{path}: a {descriptor.architecture.name} network that does not run ({_first_line(error)}). Try "
            "another file of it, or another version of spandrel."
        ) from None
    data = Data(input_channels=channels, target_channels=made, mask=network.fills_holes)
    return Outside(network, data, _about(path, descriptor))


def dtype_for(network: OutsideNetwork, dtype: torch.dtype, *, is_asked: bool) -> torch.dtype:
    """`dtype` where the network computes in it, else float32; raises `UsageError` where it `is_asked` for."""
    if dtype in network.formats:
        return dtype
    if is_asked:
        name = str(dtype).removeprefix("torch.")
        raise UsageError(
            f"{network.architecture} networks do not compute in {name}. Use --precision float32."
        )
    return torch.float32


def require_no_modes(
    file: Path, *, statistics: object, dropout: bool | None, direction: str | None, maker: bool, look: bool
) -> None:
    """Refuse what only our own models have."""
    given = {
        "--statistics": statistics is not None,
        "--dropout": bool(dropout),
        "--direction": direction is not None,
        "--prepare maker": maker,
        "--look": look,
    }
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"{file}: {name} is for models that p2p trained or imported. Leave it out.")


def tiling_for(network: OutsideNetwork, device: torch.device) -> Tiling | None:
    """How `network` is best given large pictures on `device`; None: whole.

    Follows from the device as a whole, not from what is free, so that a picture is always cut the same way.
    """
    if not network.tiles_well:
        return None
    whole = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    return fitting_tiling(
        bytes_per_pixel=network.bytes_per_pixel,
        budget=max(TILE_BYTES, whole / 4),
        multiple_of=network.size_needs.multiple_of,
        scale=network.scale,
    )


def _require_not_importable(path: Path, values: Mapping[str, Any]) -> None:
    try:
        found = detect(values)
    except UsageError:
        return
    raise UsageError(
        f"{path}: weights of a {found.network} {found.role} alone. Make a model of them first: p2p import "
        f"{path} -o {path.stem}.safetensors"
    )


def _descriptor_of(path: Path, values: dict[str, Any]) -> Any:
    try:
        import spandrel
    except ModuleNotFoundError as error:
        if error.name != "spandrel":
            raise
        raise EnvironmentFaultError(
            f"{path}: weights of another project, which are read through spandrel; it is not installed. Run "
            "pip install 'p2pcli[spandrel]'."
        ) from None
    try:
        return spandrel.ModelLoader().load_from_state_dict(values)
    except spandrel.UnsupportedModelError:
        raise UsageError(
            f"{path}: weights of no network that p2p or spandrel {spandrel.__version__} knows. Expected a "
            "p2p model, or super-resolution or restoration weights (ESRGAN, SwinIR, ...)."
        ) from None
    except Exception as error:  # spandrel's readers raise whatever a key that is missing leads to
        raise UsageError(
            f"{path}: not understood by spandrel {spandrel.__version__} ({_first_line(error)}). The file may "
            "be damaged or of a newer architecture: copy it again, or upgrade spandrel."
        ) from None


def _about(path: Path, descriptor: Any) -> str:
    size = f" ({', '.join(descriptor.tags)})" if descriptor.tags else ""
    grows = f"enlarges {descriptor.scale} times" if descriptor.scale > 1 else "keeps the size"
    gray = "" if descriptor.input_channels == 3 else ", gray"
    licence = _licence(path)
    said = f"licence {licence}" if licence else "its file names no licence: see where it comes from"
    return f"{descriptor.architecture.name}{size}, {grows}{gray}, through spandrel; {said}"


def _licence(path: Path) -> str | None:
    """What a safetensors file's metadata name as licence, if they do."""
    try:
        metadata = read_header(path).metadata
    except (OSError, RefusedError):
        return None
    named = (metadata.get(key) for key in ("modelspec.license", "license"))
    return next((" ".join(text.split())[:80] for text in named if text), None)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
