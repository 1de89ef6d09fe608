"""VGG19 (Simonyan & Zisserman 2015, 1409.1556) for perceptual losses, and where its weights come from."""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn

from p2pcli.errors import EnvironmentFaultError, UsageError
from p2pcli.nets.convolution import Conv2d
from p2pcli.stored_tensors import read_pickled

WEIGHTS_NAME = "vgg19-dcbb9e9d.pth"
WEIGHTS_URL = f"https://download.pytorch.org/models/{WEIGHTS_NAME}"

_PLAN = (
    64,
    64,
    "pool",
    128,
    128,
    "pool",
    256,
    256,
    256,
    256,
    "pool",
    512,
    512,
    512,
    512,
    "pool",
    512,
    512,
    512,
    512,
)
_LAYER_INDEX = {
    "relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu5_1": 29, "relu5_4": 35, "conv5_4": 34,
}  # fmt: skip
"""Paper's layer name → index in torchvision's `features`."""


class VGG19Features(nn.Module):
    """Frozen feature maps: x (B, 3, H, W) → one tensor for each of `layers`, in their order.

    What `x` must hold depends on who uses it: pix2pixHD and SPADE feed [-1, 1] as it is; with
    `imagenet_range` an `x` in [-1, 1] is first brought to the mean and deviation of the weights' training.
    Parameters have the names of torchvision's `features.*`.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *, layers: tuple[str, ...], imagenet_range: bool = False) -> None:
        super().__init__()
        self.layers, self.imagenet_range = layers, imagenet_range
        self._indices = [_LAYER_INDEX[name] for name in layers]
        self.features = nn.Sequential(*_modules(max(self._indices) + 1))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False
        )
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of `x` (B, 3, H, W), one for each of `layers`."""
        if self.imagenet_range:
            x = ((x + 1) / 2 - self.mean) / self.deviation
        found: dict[int, Tensor] = {}
        for index, module in enumerate(self.features):
            x = module(x)
            if index in self._indices:
                found[index] = x
        return [found[index] for index in self._indices]


def load_vgg19(
    *, layers: tuple[str, ...], imagenet_range: bool = False, weights: Path | None = None
) -> VGG19Features:
    """VGG19 with ImageNet weights: from `weights`, else torch's cache, else fetched.

    Raises `EnvironmentFaultError` that says which file to put where, `UsageError` where the file is no VGG19.
    """
    path = weights if weights is not None else _cached_or_fetched()
    try:
        state = read_pickled(path)
    except FileNotFoundError:
        raise EnvironmentFaultError(
            f"{path}: no such file. Expected VGG19 weights as torchvision stores them: {WEIGHTS_URL}."
        ) from None
    except Exception as error:  # torch.load names no common type for what a damaged or hostile file raises
        raise UsageError(
            f"{path}: cannot be read as weights ({_first_line(error)}). Fetch {WEIGHTS_URL}."
        ) from error
    if not isinstance(state, dict):
        raise UsageError(f"{path}: not VGG19 (it holds a {type(state).__name__}). Fetch {WEIGHTS_URL}.")
    network = VGG19Features(layers=layers, imagenet_range=imagenet_range)
    wanted = network.state_dict()
    lacking = [name for name, tensor in wanted.items() if not _fits(state.get(name), tensor)]
    if lacking:
        raise UsageError(
            f"{path}: not VGG19 ('{lacking[0]}' is missing or has another shape). Fetch {WEIGHTS_URL}."
        )
    network.load_state_dict({name: state[name] for name in wanted})
    return network.eval()


def _fits(value: object, tensor: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == tensor.shape and value.is_floating_point()


def _cached_or_fetched() -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or absent, and checked against the hash in its name.
        prefix = WEIGHTS_NAME.removesuffix(".pth").rpartition("-")[2]
        torch.hub.download_url_to_file(WEIGHTS_URL, str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError, HTTPException) as error:
        raise EnvironmentFaultError(
            f"the perceptual loss needs VGG19 weights, {path} is not there, and they could not be fetched "
            f"({_first_line(error)}). Put {WEIGHTS_URL} there, or name the file with --weights; without "
            "them: --set losses.perceptual=0."
        ) from None
    return path


def _modules(count: int) -> list[nn.Module]:
    modules: list[nn.Module] = []
    width = 3
    for entry in _PLAN:
        if isinstance(entry, str):
            modules.append(nn.MaxPool2d(2, 2))
        else:
            # Not in place: a caller may ask for the map before a ReLU as well as the one after it.
            modules += [Conv2d(width, entry, 3, padding=1), nn.ReLU()]
            width = entry
    return modules[:count]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
