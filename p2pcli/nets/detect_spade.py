"""SPADE's networks, from the keys and shapes of their state dicts."""

from __future__ import annotations

from typing import Any

from p2pcli.nets.detected import Detected, State, numbers_in, weight_at
from p2pcli.nets.spade import style_grid_for


def spade_generator(state: State) -> Detected | None:
    """The SPADE generator that `state` is; None where it is another network."""
    head, labels = weight_at(state, "head_0.conv_0"), state.get("head_0.norm_0.mlp_shared.0.weight")
    if head is None or labels is None or "fc.weight" not in state or "conv_img.weight" not in state:
        return None
    most = weight_at(state, "up_4.conv_0") is not None
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
        options["style_grid"] = style_grid_for(state["fc.weight"].shape[0] // head.shape[0])
    unseen = (*(() if most else ("doublings",)), *(() if options["style_grid"] is None else ("style_grid",)))
    return Detected("spade", "generator", options, invisible=unseen)


def spade_discriminator(state: State) -> Detected | None:
    """SPADE's discriminator that `state` is; None where it is another network."""
    first = state.get("discriminator_0.model0.0.weight")
    if first is None:
        return None
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "layers": len(numbers_in(state, r"discriminator_0\.model(\d+)\.")) - 1,
        "scales": len(numbers_in(state, r"discriminator_(\d+)\.")),
        "norm": _norm_after(state, "discriminator_0.model1.0"),
        "spectral_norm": any(key.endswith("weight_orig") for key in state),
    }
    return Detected("spade_multiscale", "discriminator", options)


def style_encoder(state: State) -> Detected | None:
    """SPADE's image encoder that `state` is; None where it is another network."""
    norm = _norm_after(state, "layer1")
    first = weight_at(state, "layer1" if norm == "none" else "layer1.0")
    if first is None or "fc_mu.weight" not in state:
        return None
    options = {
        "input_channels": first.shape[1],
        "channels": first.shape[0],
        "norm": norm,
        "spectral_norm": any(key.endswith("weight_orig") for key in state),
    }
    return Detected("spade_style", "encoder", options)


def _norm_after(state: State, prefix: str) -> str:
    """The norm of the layer at `prefix`, which is the convolution itself where there is none."""
    if weight_at(state, prefix) is not None:
        return "none"
    return "batch" if f"{prefix}.1.running_mean" in state else "instance"
