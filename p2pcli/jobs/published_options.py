"""How the training and test scripts of the published codes are told which networks a model has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from p2pcli.nets.detect import Detected
from p2pcli.nets.patchgan import STRIDED_LAYERS
from p2pcli.recipe import Data, Recipe


def published_options(found: Mapping[str, Detected], recipe: Recipe) -> str:
    """Options of the published scripts for the networks of one run, by the names that its task gives them.

    Empty where that code, as it is today, has no such network.
    """
    generator = found.get("generator") or found.get("AtoB")
    others = [one for name, one in found.items() if name not in ("generator", "AtoB", "BtoA", "D_B")]
    parts = [] if generator is None else [_WORDS[generator.network](generator.options, recipe.data)]
    parts += [_WORDS[one.network](one.options, recipe.data) for one in others]
    if "" in parts:
        return ""
    unpaired = ["--model cycle_gan"] if recipe.task == "unpaired" else []
    return " ".join([*unpaired, *parts])


def _unet(options: Mapping[str, Any], data: Data) -> str:
    names = {7: "unet_128", 8: "unet_256"}
    if options["depth"] not in names or not options["skips"] or not _is_of_today(options):
        return ""
    dropout = "" if options["dropout"] else " --no_dropout"
    name = f"--netG {names[options['depth']]}{dropout}"
    return f"{name} --ngf {options['channels']} --norm {options['norm']}{_channels(options)}"


def _resnet(options: Mapping[str, Any], data: Data) -> str:
    if options["blocks"] not in (6, 9) or not _is_of_today(options):
        return ""
    dropout = "" if options["dropout"] else " --no_dropout"
    name = f"--netG resnet_{options['blocks']}blocks"
    return f"{name} --ngf {options['channels']} --norm {options['norm']}{dropout}{_channels(options)}"


def _hd_global(options: Mapping[str, Any], data: Data) -> str:
    if not _is_of_today(options):
        return ""
    return f"--netG global --ngf {options['channels']} {_hd_trunk(options)}{_labels(options, data)}"


def _hd_local(options: Mapping[str, Any], data: Data) -> str:
    if not _is_of_today(options):
        return ""
    return (
        f"--netG local --ngf {options['channels']} {_hd_trunk(options)} --n_local_enhancers "
        f"{options['enhancers']} --n_blocks_local {options['local_blocks']}{_labels(options, data)}"
    )


def _hd_trunk(options: Mapping[str, Any]) -> str:
    return (
        f"--n_downsample_global {options['downsamplings']} --n_blocks_global {options['blocks']} "
        f"--norm {options['norm']}"
    )


def _hd_features(options: Mapping[str, Any], data: Data) -> str:
    return (
        f"--instance_feat --feat_num {options['output_channels']} --nef {options['channels']} "
        f"--n_downsample_E {options['downsamplings']}"
    )


def _hd_discriminator(options: Mapping[str, Any], data: Data) -> str:
    if options["spectral_norm"]:
        return ""
    matching = "" if options["features"] else " --no_ganFeat_loss"
    return (
        f"--ndf {options['channels']} --n_layers_D {options['layers']} --num_D {options['scales']}{matching}"
    )


def _patchgan(options: Mapping[str, Any], data: Data) -> str:
    if options["spectral_norm"] or not _is_of_today(options):
        return ""
    fields = {1: "--netD pixel", 70: "--netD basic"}
    field = options["receptive_field"]
    layers = STRIDED_LAYERS.get(field, 0) if options["widens"] else 0
    kind = fields.get(field) or f"--netD n_layers --n_layers_D {layers}"
    return f"--ndf {options['channels']} {kind}"


def _spade(options: Mapping[str, Any], data: Data) -> str:
    if options["hidden"] != 128:
        return ""
    norm = "instance" if options["norm"] == "instance" else "syncbatch"
    spectral = "spectral" if options["spectral_norm"] else ""
    grid = options["style_grid"]
    style = "" if grid is None else " --use_vae"
    style += f" --aspect_ratio {grid[1] / grid[0]:g}" if grid and grid[0] != grid[1] else ""
    size = options["kernel_size"]
    return (
        f"--netG spade --ngf {options['channels']} --num_upsampling_layers {options['doublings']} "
        f"--norm_G {spectral}spade{norm}{size}x{size}{style}{_labels(options, data)}"
    )


def _spade_style(options: Mapping[str, Any], data: Data) -> str:
    norm = _spade_norm(options)
    return f"--nef {options['channels']} --norm_E {norm}"


def _spade_discriminator(options: Mapping[str, Any], data: Data) -> str:
    norm = _spade_norm(options)
    return (
        f"--ndf {options['channels']} --n_layers_D {options['layers']} --num_D {options['scales']} "
        f"--norm_D {norm}"
    )


def _spade_norm(options: Mapping[str, Any]) -> str:
    spectral = "spectral" if options["spectral_norm"] else ""
    return f"{spectral}{'' if spectral and options['norm'] == 'none' else options['norm']}"


_WORDS: dict[str, Callable[[Mapping[str, Any], Data], str]] = {
    "unet": _unet,
    "resnet": _resnet,
    "pix2pixhd_global": _hd_global,
    "pix2pixhd_local": _hd_local,
    "pix2pixhd_features": _hd_features,
    "multiscale": _hd_discriminator,
    "patchgan": _patchgan,
    "spade": _spade,
    "spade_style": _spade_style,
    "spade_multiscale": _spade_discriminator,
}


def _is_of_today(options: Mapping[str, Any]) -> bool:
    """False for what the published code had once (affine instance norm, biases under batch norm) or never."""
    return (
        options.get("upsampling", "deconv") == "deconv"
        and options["norm"] != "instance_affine"
        and options.get("bias") is None
    )


def _channels(options: Mapping[str, Any]) -> str:
    """pix2pix's channels, where they are not 3."""
    named = {"input_nc": options["input_channels"], "output_nc": options["output_channels"]}
    return "".join(f" --{name} {count}" for name, count in named.items() if count != 3)


def _labels(options: Mapping[str, Any], data: Data) -> str:
    """pix2pixHD's and SPADE's label planes; a picture is no label map."""
    words = f" --label_nc {data.labels or 0}"
    words += " --contain_dontcare_label" if data.dontcare is not None else ""
    return words + ("" if data.instances else " --no_instance")
