"""Which network a state dict belongs to, from its keys and shapes alone.

Knows the published networks: pix2pix and CycleGAN, pix2pixHD, SPADE. What files carry besides weights comes
off in `p2pcli.nets.legacy`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from p2pcli.errors import UsageError
from p2pcli.nets import DISCRIMINATORS, ENCODERS, GENERATORS
from p2pcli.nets.blocks import Network, Norm, has_bias
from p2pcli.nets.legacy import fitted, unwrapped
from p2pcli.nets.patchgan import STRIDED_LAYERS
from p2pcli.nets.spade import style_grid_for
from p2pcli.recipe import DISCRIMINATOR_SECTIONS, ENCODER_SECTIONS, GENERATOR_SECTIONS

Role = Literal["generator", "discriminator", "encoder"]
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Detected:
    """A network that was recognised, and its weights as it takes them."""

    network: str
    """Its name in `GENERATORS`, `DISCRIMINATORS` or `ENCODERS`, by role."""
    role: Role
    options: dict[str, Any]
    """Keyword arguments of its constructor."""
    state: dict[str, Tensor] = field(default_factory=dict, repr=False)
    quirks: tuple[str, ...] = ()
    """What was undone, added or dropped, in words."""
    invisible: tuple[str, ...] = ()
    """Options that keys cannot tell; `options` holds the published default."""

    def build(self) -> Network:
        """The network with its weights, on the CPU."""
        network = self.skeleton()
        network.load_state_dict(self.state)
        return network

    def skeleton(self) -> Network:
        """The network with weights of its own, on torch's default device."""
        registry = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "encoder": ENCODERS}[self.role]
        return registry[self.network](**self.options)


def detect(values: Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None) -> Detected:
    """What network `values` (a state dict, or a file's content around one) belongs to.

    `overrides` sets options that keys cannot tell. Raises `UsageError` that names what was not understood.
    """
    state, quirks = unwrapped(values)
    for reader in _READERS:
        try:
            found = reader(state)
        except (IndexError, KeyError):
            # A key that a reader relies on is not there, or its weight has too few dimensions.
            raise UsageError(_unlike(state)) from None
        if found is None:
            continue
        if not _is_within_reason(found):
            raise UsageError(_unlike(state))
        options = {**found.options, **{k: v for k, v in (overrides or {}).items() if k in found.invisible}}
        found = Detected(found.network, found.role, options, invisible=found.invisible)
        with torch.device("meta"):
            try:
                skeleton = found.skeleton()
            except ValueError as error:
                raise UsageError(f"{error}. Expected a published {found.network} {found.role}.") from None
        whole, more = fitted(state, skeleton)
        if options.get("norm") == "instance_affine":
            more.append("instance norms have a scale and shift (published code before July 2017)")
        if options.get("bias") and not has_bias(options["norm"]):
            more.append("convolutions have a bias under batch norm (published code before August 2017)")
        return Detected(
            found.network, found.role, options, whole, (*quirks, *more), invisible=found.invisible
        )
    raise UsageError(_unknown(state))


_SECTIONS = {
    "generator": GENERATOR_SECTIONS,
    "discriminator": DISCRIMINATOR_SECTIONS,
    "encoder": ENCODER_SECTIONS,
}


def _is_within_reason(one: Detected) -> bool:
    """True where a recipe could say the same: widths and counts are limited there, before any is built."""
    section = _SECTIONS[one.role][one.network]
    options = {name: value for name, value in one.options.items() if name in section.model_fields}
    try:
        section.model_validate(options)
    except ValidationError:
        return False
    return all(type(value) is not int or value >= 1 for value in one.options.values())


def as_pix2pixhd_global(one: Detected) -> Detected:
    """`one`, where it is a ResNet that pix2pixHD's generator of two down-samplings could be, as that.

    The two have the same keys and are the same function; only their options have other names.
    """
    options = dict(one.options)
    if one.network != "resnet" or options.pop("dropout"):
        return one
    bias = options.pop("bias")
    if not (has_bias(options["norm"]) if bias is None else bias):
        return one
    return replace(one, network="pix2pixhd_global", options=options | {"downsamplings": 2})


def _unet(state: State) -> Detected | None:
    first = state.get("model.model.0.weight")
    upsampling, last = _last_of_unet(state)
    if first is None or last is None:
        return None
    outputs = {"deconv": last.shape[1], "resize": last.shape[0], "shuffle": last.shape[0] // 4}[upsampling]
    prefix, depth = "model.model.1.model", 2
    while f"{prefix}.3.model.1.weight" in state:
        prefix, depth = f"{prefix}.3.model", depth + 1
    norm = _norm(state, f"{prefix}.4", biased=f"{prefix}.1.bias" in state)
    channels = first.shape[0]
    options = {
        "input_channels": first.shape[1],
        "output_channels": outputs,
        "channels": channels,
        "depth": depth,
        "norm": norm,
        "bias": _bias(norm, "model.model.0.bias" in state),
        "skips": last.shape[0 if upsampling == "deconv" else 1] == 2 * channels,
        "dropout": True,
        "upsampling": upsampling,
    }
    return Detected("unet", "generator", options, invisible=("dropout",))


def _last_of_unet(state: State) -> tuple[str, Tensor | None]:
    """How a U-Net doubles its maps, and the last weight that does so: ("deconv", None) without one."""
    for upsampling, place in (("resize", "3.1"), ("shuffle", "3.0")):
        if (last := state.get(f"model.model.{place}.weight")) is not None:
            return upsampling, last
    return "deconv", state.get("model.model.3.weight")


def _resnet_or_pix2pixhd(state: State) -> Detected | None:
    first = state.get("model.1.weight")
    if first is None or first.dim() != 4 or first.shape[2] != 7:
        return None
    biased = "model.1.bias" in state
    trunk = _trunk(state)
    options: dict[str, Any] = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "norm": _norm(state, "model.2", biased=biased),
    }
    if "model1_1.1.weight" in state:
        return _local_enhancer(state, options, trunk)
    options["output_channels"] = state[f"model.{trunk.last}.weight"].shape[0]
    if not trunk.blocks:
        options["downsamplings"] = trunk.downsamplings
        return Detected("pix2pixhd_features", "encoder", options)
    options |= {"blocks": trunk.blocks, "upsampling": trunk.upsampling}
    if trunk.downsamplings == 2:
        options |= {"dropout": trunk.dropout, "bias": _bias(options["norm"], biased)}
        return Detected("resnet", "generator", options)
    return Detected("pix2pixhd_global", "generator", options | {"downsamplings": trunk.downsamplings})


def _local_enhancer(state: State, options: dict[str, Any], trunk: _Trunk) -> Detected:
    enhancers = len(_numbers(state, r"model(\d+)_1\."))
    last = max(_numbers(state, rf"model{enhancers}_2\.(\d+)\.weight"), default=0)
    out = state.get(f"model{enhancers}_2.{last}.weight")
    if out is None:
        raise UsageError(
            f"'model{enhancers}_2' has no convolution. Expected a whole pix2pixHD local enhancer."
        )
    options |= {
        "output_channels": out.shape[0],
        "channels": options["channels"] >> enhancers,
        "downsamplings": trunk.downsamplings,
        "blocks": trunk.blocks,
        "enhancers": enhancers,
        "local_blocks": len(_numbers(state, r"model1_2\.(\d+)\.conv_block\.")),
        "upsampling": trunk.upsampling,
    }
    return Detected("pix2pixhd_local", "generator", options)


def _patchgan(state: State) -> Detected | None:
    for stem, kernel in (("net", 1), ("model", 4)):
        first = _weight(state, f"{stem}.0")
        if first is not None and first.dim() == 4 and first.shape[2] == kernel:
            break
    else:
        return None
    convolutions = [
        n for n in _numbers(state, rf"{stem}\.(\d+)\.weight") if _is_convolution(state, f"{stem}.{n}")
    ]
    strided = len(convolutions) - 2
    fields = {count: px for px, count in STRIDED_LAYERS.items()}
    if stem == "model" and strided not in fields:
        raise UsageError(
            f"a PatchGAN with {len(convolutions)} convolutions. Expected 3 to {max(fields) + 2}."
        )
    biased = f"{stem}.2.bias" in state
    norm = _norm(state, f"{stem}.3", biased=biased)
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "receptive_field": 1 if stem == "net" else fields[strided],
        "norm": norm,
        "bias": _bias(norm, biased),
        "spectral_norm": f"{stem}.0.weight_orig" in state,
    }
    return Detected("patchgan", "discriminator", options)


def _multiscale(state: State) -> Detected | None:
    features = any(key.startswith("scale0_layer0.") for key in state)
    first = _weight(state, "scale0_layer0.0" if features else "layer0.0")
    if first is None or first.dim() != 4:
        return None
    if features:
        scales, stages = len(_numbers(state, r"scale(\d+)_")), len(_numbers(state, r"scale0_layer(\d+)\."))
    else:
        scales = len(_numbers(state, r"layer(\d+)\."))
        numbers = _numbers(state, r"layer0\.(\d+)\.")
        stages = sum(_is_convolution(state, f"layer0.{number}") for number in numbers)
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "layers": stages - 2,
        "scales": scales,
        "norm": _norm(state, "scale0_layer1.1" if features else "layer0.3", biased=True),
        "spectral_norm": any(key.endswith("weight_orig") for key in state),
        "features": features,
    }
    return Detected("multiscale", "discriminator", options)


def _spade(state: State) -> Detected | None:
    head, labels = _weight(state, "head_0.conv_0"), state.get("head_0.norm_0.mlp_shared.0.weight")
    if head is None or labels is None or "fc.weight" not in state or "conv_img.weight" not in state:
        return None
    most = _weight(state, "up_4.conv_0") is not None
    options: dict[str, Any] = {
        "input_channels": labels.shape[1],
        "output_channels": state["conv_img.weight"].shape[0],
        "channels": head.shape[0] // 16,
        "doublings": "most" if most else "normal",
        "norm": "batch" if "head_0.norm_0.param_free_norm.running_mean" in state else "instance",
        "spectral_norm": "head_0.conv_0.weight_orig" in state,
        "kernel_size": labels.shape[2],
        "hidden": labels.shape[0],
        "style_grid": None,
    }
    if state["fc.weight"].dim() == 2:
        try:
            options["style_grid"] = style_grid_for(state["fc.weight"].shape[0] // head.shape[0])
        except ValueError as error:
            raise UsageError(
                f"'fc.weight' of a SPADE generator: {error}. Expected a published size."
            ) from None
    return Detected("spade", "generator", options, invisible=() if most else ("doublings",))


def _spade_discriminator(state: State) -> Detected | None:
    first = state.get("discriminator_0.model0.0.weight")
    if first is None:
        return None
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "layers": len(_numbers(state, r"discriminator_0\.model(\d+)\.")) - 1,
        "scales": len(_numbers(state, r"discriminator_(\d+)\.")),
        "spectral_norm": any(key.endswith("weight_orig") for key in state),
    }
    return Detected("spade_multiscale", "discriminator", options)


def _style_encoder(state: State) -> Detected | None:
    first = _weight(state, "layer1.0")
    if first is None or "fc_mu.weight" not in state:
        return None
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "spectral_norm": "layer1.0.weight_orig" in state,
    }
    return Detected("spade_style", "encoder", options)


_READERS: tuple[Callable[[State], Detected | None], ...] = (
    _unet,
    _resnet_or_pix2pixhd,
    _patchgan,
    _style_encoder,
    _multiscale,
    _spade,
    _spade_discriminator,
)


@dataclass(frozen=True)
class _Trunk:
    """What a sequence of down-samplings, residual blocks and up-samplings under `model.` holds."""

    downsamplings: int
    blocks: int
    dropout: bool
    upsampling: str
    last: int
    """Index of the last convolution directly in the sequence."""


def _trunk(state: State) -> _Trunk:
    direct = [n for n in _numbers(state, r"model\.(\d+)\.weight$") if _is_convolution(state, f"model.{n}")]
    threes = [n for n in direct if state[f"model.{n}.weight"].shape[2] == 3]
    blocks = _numbers(state, r"model\.(\d+)\.conv_block\.")
    shuffled = _numbers(state, r"model\.(\d+)\.0\.weight")
    resized = _numbers(state, r"model\.(\d+)\.1\.weight")
    if blocks and not _is_convolution(state, f"model.{blocks[0]}.conv_block.1"):
        raise UsageError(
            f"'model.{blocks[0]}.conv_block' has no convolution at index 1, so it pads otherwise. "
            "Expected the published default, --padding_type reflect."
        )
    upsampling = "shuffle" if shuffled else "resize" if resized else "deconv"
    return _Trunk(
        downsamplings=len(threes) if shuffled or resized else len(threes) // 2,
        blocks=len(blocks),
        dropout=bool(blocks) and _is_convolution(state, f"model.{blocks[0]}.conv_block.6"),
        upsampling=upsampling,
        last=direct[-1],
    )


def _norm(state: State, prefix: str, *, biased: bool) -> Norm:
    """The norm at `prefix`. Instance norm and none leave no key; published, only instance has biases."""
    if f"{prefix}.weight" in state and state[f"{prefix}.weight"].dim() == 1:
        return "batch" if f"{prefix}.running_mean" in state else "instance_affine"
    return "instance" if biased or f"{prefix}.running_mean" in state else "none"


def _bias(norm: Norm, biased: bool) -> bool | None:
    """None where the published rule holds."""
    return None if biased == has_bias(norm) else biased


def _weight(state: State, prefix: str) -> Tensor | None:
    return state.get(f"{prefix}.weight", state.get(f"{prefix}.weight_orig"))


def _is_convolution(state: State, prefix: str) -> bool:
    weight = _weight(state, prefix)
    return weight is not None and weight.dim() == 4


def _numbers(state: State, pattern: str) -> list[int]:
    """The distinct numbers that the group in `pattern` matches at the start of keys, in order."""
    found = (re.match(pattern, key) for key in state)
    return sorted({int(match[1]) for match in found if match})


def _unlike(state: State) -> str:
    key, weight = next(iter(state.items()))
    return (
        f"keys look like a published network ('{key}' {tuple(weight.shape)}, …; {len(state)} in all), but "
        "some are missing or have other shapes. Expected weights of the unchanged published architecture."
    )


def _unknown(state: State) -> str:
    if any(key.endswith(".filt") for key in state):
        return (
            "anti-aliased layers ('.filt' keys), as CUT trains by default. Expected a published pix2pix, "
            "CycleGAN, pix2pixHD or SPADE network; CUT's fits when trained with --no_antialias and "
            "--no_antialias_up."
        )
    if "conv_first.weight" in state:
        return (
            "a super-resolution network of another project ('conv_first'). Expected a published pix2pix, "
            "CycleGAN, pix2pixHD or SPADE network; this one runs as it is: p2p translate -m FILE."
        )
    shown = ", ".join(list(state)[:3])
    return (
        f"keys of no network that is known here ({shown}, …; {len(state)} in all). Expected a published "
        "pix2pix, CycleGAN, pix2pixHD or SPADE state dict, such as latest_net_G.pth. Super-resolution "
        "weights need no import: p2p translate -m FILE."
    )
