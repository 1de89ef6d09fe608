"""Which network a state dict belongs to, from its keys and shapes alone.

Knows the published networks: pix2pix and CycleGAN, pix2pixHD, SPADE. What files carry besides weights comes
off in `p2pcli.nets.legacy`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from p2pcli.errors import UsageError
from p2pcli.nets.blocks import has_bias
from p2pcli.nets.detect_spade import spade_discriminator, spade_generator, style_encoder
from p2pcli.nets.detected import (
    Detected,
    State,
    bias_beside,
    is_convolution,
    norm_at,
    numbers_in,
    weight_at,
)
from p2pcli.nets.legacy import fitted, unwrapped
from p2pcli.nets.patchgan import STRIDED_LAYERS
from p2pcli.nets.spade_hd import as_published, is_spade_hd
from p2pcli.recipe import DISCRIMINATOR_SECTIONS, ENCODER_SECTIONS, GENERATOR_SECTIONS

__all__ = ["Detected", "as_pix2pixhd_global", "detect"]


def detect(values: Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None) -> Detected:
    """What network `values` (a state dict, or a file's content around one) belongs to.

    `overrides` sets options that keys cannot tell. Raises `UsageError` that names what was not understood.
    """
    state, quirks = unwrapped(values)
    has_norm = True
    if is_spade_hd(state):
        try:
            state, renamed, has_norm = as_published(state)
        except (IndexError, KeyError, RuntimeError):
            raise UsageError(_unlike(state)) from None
        quirks += renamed
    for reader in _READERS:
        try:
            found = reader(state)
        except (IndexError, KeyError):
            # A key that a reader relies on is not there, or its weight has too few dimensions.
            raise UsageError(_unlike(state)) from None
        if found is None:
            continue
        if not has_norm:
            biased = {"bias": True} if "bias" in found.options else {}
            found = replace(found, options={**found.options, "norm": "none", **biased})
        if not _is_within_reason(found):
            raise UsageError(_unlike(state))
        told = {name: value for name, value in (overrides or {}).items() if name in found.invisible}
        if math.prod(told.get("style_grid", ())) != math.prod(found.options.get("style_grid") or ()):
            told.pop("style_grid", None)
        options = {**found.options, **told}
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
    norm = norm_at(state, f"{prefix}.4", biased=f"{prefix}.1.bias" in state)
    channels = first.shape[0]
    options = {
        "input_channels": first.shape[1],
        "output_channels": outputs,
        "channels": channels,
        "depth": depth,
        "norm": norm,
        "bias": bias_beside(norm, "model.model.0.bias" in state),
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
        "norm": norm_at(state, "model.2", biased=biased),
    }
    if "model1_1.1.weight" in state:
        return _local_enhancer(state, options, trunk)
    options["output_channels"] = state[f"model.{trunk.last}.weight"].shape[0]
    if not trunk.blocks:
        options["downsamplings"] = trunk.downsamplings
        return Detected("pix2pixhd_features", "encoder", options)
    options |= {"blocks": trunk.blocks, "upsampling": trunk.upsampling}
    if trunk.downsamplings == 2:
        options |= {"dropout": trunk.dropout, "bias": bias_beside(options["norm"], biased)}
        return Detected("resnet", "generator", options)
    return Detected("pix2pixhd_global", "generator", options | {"downsamplings": trunk.downsamplings})


def _local_enhancer(state: State, options: dict[str, Any], trunk: _Trunk) -> Detected:
    enhancers = len(numbers_in(state, r"model(\d+)_1\."))
    last = max(numbers_in(state, rf"model{enhancers}_2\.(\d+)\.weight"), default=0)
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
        "local_blocks": len(numbers_in(state, r"model1_2\.(\d+)\.conv_block\.")),
        "upsampling": trunk.upsampling,
    }
    return Detected("pix2pixhd_local", "generator", options)


def _patchgan(state: State) -> Detected | None:
    for stem, kernel in (("net", 1), ("model", 4)):
        first = weight_at(state, f"{stem}.0")
        if first is not None and first.dim() == 4 and first.shape[2] == kernel:
            break
    else:
        return None
    convolutions = [
        n for n in numbers_in(state, rf"{stem}\.(\d+)\.weight") if is_convolution(state, f"{stem}.{n}")
    ]
    strided = len(convolutions) - 2
    fields = {count: px for px, count in STRIDED_LAYERS.items()}
    second = weight_at(state, f"{stem}.2")
    if stem == "model" and strided not in fields:
        raise UsageError(
            f"a PatchGAN with {len(convolutions)} convolutions. Expected 3 to {max(fields) + 2}."
        )
    biased = f"{stem}.2.bias" in state
    norm = norm_at(state, f"{stem}.3", biased=biased)
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "receptive_field": 1 if stem == "net" else fields[strided],
        "norm": norm,
        "bias": bias_beside(norm, biased),
        "spectral_norm": f"{stem}.0.weight_orig" in state,
        "widens": stem == "net" or strided != 1 or second is None or second.shape[0] != first.shape[0],
    }
    return Detected("patchgan", "discriminator", options)


def _multiscale(state: State) -> Detected | None:
    features = any(key.startswith("scale0_layer0.") for key in state)
    first = weight_at(state, "scale0_layer0.0" if features else "layer0.0")
    if first is None or first.dim() != 4:
        return None
    if features:
        scales, stages = (
            len(numbers_in(state, r"scale(\d+)_")),
            len(numbers_in(state, r"scale0_layer(\d+)\.")),
        )
    else:
        scales = len(numbers_in(state, r"layer(\d+)\."))
        numbers = numbers_in(state, r"layer0\.(\d+)\.")
        stages = sum(is_convolution(state, f"layer0.{number}") for number in numbers)
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "layers": stages - 2,
        "scales": scales,
        "norm": norm_at(state, "scale0_layer1.1" if features else "layer0.3", biased=True),
        "spectral_norm": any(key.endswith("weight_orig") for key in state),
        "features": features,
    }
    return Detected("multiscale", "discriminator", options)


_READERS: tuple[Callable[[State], Detected | None], ...] = (
    _unet,
    _resnet_or_pix2pixhd,
    _patchgan,
    style_encoder,
    _multiscale,
    spade_generator,
    spade_discriminator,
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
    direct = [n for n in numbers_in(state, r"model\.(\d+)\.weight$") if is_convolution(state, f"model.{n}")]
    threes = [n for n in direct if state[f"model.{n}.weight"].shape[2] == 3]
    blocks = numbers_in(state, r"model\.(\d+)\.conv_block\.")
    shuffled = numbers_in(state, r"model\.(\d+)\.0\.weight")
    resized = numbers_in(state, r"model\.(\d+)\.1\.weight")
    if blocks and not is_convolution(state, f"model.{blocks[0]}.conv_block.1"):
        raise UsageError(
            f"'model.{blocks[0]}.conv_block' has no convolution at index 1, so it pads otherwise. "
            "Expected the published default, --padding_type reflect."
        )
    upsampling = "shuffle" if shuffled else "resize" if resized else "deconv"
    return _Trunk(
        downsamplings=len(threes) if shuffled or resized else len(threes) // 2,
        blocks=len(blocks),
        dropout=bool(blocks) and is_convolution(state, f"model.{blocks[0]}.conv_block.6"),
        upsampling=upsampling,
        last=direct[-1],
    )


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
