"""The recipe behind imported weights: what keys, option texts and the caller say, and what is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from p2pcli.errors import UsageError
from p2pcli.inference.weights_file import PublishedOptions
from p2pcli.jobs.import_family import Family
from p2pcli.nets.blocks import BatchNorm2d, Statistics
from p2pcli.nets.detect import Detected
from p2pcli.recipe import Recipe, load_recipe, parse_recipe
from p2pcli.tasks.unpaired import DIRECTIONS

Direction = Literal["AtoB", "BtoA"]
Instances = Literal["inst", "labels", "none"]

SEES_LABELS = ("pix2pixhd_global", "pix2pixhd_local", "spade")
"""Generators whose published models see label maps, unless they have as many planes as a picture."""

PUBLISHED_AS = {
    "unet": "pix2pix",
    "resnet": "pix2pix",
    "pix2pixhd_global": "pix2pixhd-512",
    "pix2pixhd_local": "pix2pixhd-512",
    "spade": "spade",
}
"""Generator → shipped recipe with the losses, discriminator and training that it was published with."""

_KNOWN_PLANES: dict[int, dict[str, Any]] = {
    184: {"labels": 182, "dontcare": 255, "instances": "inst"},
    151: {"labels": 151},
}
"""COCO-Stuff and ADE20K, as SPADE was published. ADE20K's weights expect labels as they are, 0 unknown."""

_TAKES_FEATURES = ("pix2pixhd_global", "pix2pixhd_local")
"""Generators whose last channels an encoder may fill."""

_UNKNOWN = 255
"""The label that published data mean by "unknown"."""


@dataclass(frozen=True)
class Told:
    """What the caller says that keys cannot tell; None: left to option texts and published defaults."""

    direction: Direction | None = None
    statistics: Statistics | None = None
    dropout: bool | None = None
    doublings: Literal["normal", "more"] | None = None
    labels: int | None = None
    """Labels of the map that the network sees; 0: it sees a picture."""
    instances: Instances | None = None
    """Where its plane of instance boundaries comes from."""


def recipe_of(family: Family, told: Told, text: PublishedOptions, *, title: str) -> tuple[Recipe, list[str]]:
    """The recipe that trains such networks, and what was assumed, with the option that says otherwise."""
    generator, assumed = family.generator, list(family.assumed)
    base = load_recipe(_base_of(family)).model_dump(mode="json")
    data: dict[str, Any] = {"size": _trained_size(generator, text), "load_size": None}
    values: dict[str, Any] = {"task": family.task, "title": title, "data": data}
    values |= {section: base[section] for section in ("losses", "train")}
    # A U-Net, which stands in a recipe without a generator, would have to allow the size.
    values["generator"] = {"name": "resnet"} if generator is None else section_of(generator)
    if generator is not None:
        data["fit"] = base["data"]["fit"]
        planes = _planes(family, generator, told, text)
        data |= planes.keys
        assumed += planes.assumed
        data["target_channels"] = generator.options["output_channels"]
    if family.task == "paired":
        direction = told.direction or _direction_of_name(family, text.direction) or text.direction
        data["direction"] = direction or "AtoB"
        if direction is None and data.get("labels") is None:
            assumed.append("direction AtoB (--direction BtoA)")
    elif told.direction is not None:
        raise UsageError(
            f"--direction {told.direction}: two generators translate both ways. Leave it out here; p2p "
            f"translate --direction {told.direction} chooses."
        )
    values["discriminator"] = _judge(family, data, base["discriminator"])
    if generator is not None and _colourises(family, generator, told):
        data |= {"color": "lab", "input_channels": 3, "target_channels": 3}
        assumed.append("1 plane in and 2 out are L, and a and b of Lab: colourisation as published")
    if family.encoder is not None:
        values["encoder"] = section_of(family.encoder)
        values["losses"] |= {"kld": 0.05} if family.encoder.network == "spade_style" else {}
    if values["discriminator"].get("features") is False:
        values["losses"] |= {"feature_matching": 0.0}
    statistics, more = _statistics(family, told)
    values["inference"] = {"statistics": statistics}
    return parse_recipe(values, where=title), [*assumed, *more, *_invisible(family, told, text)]


def _colourises(family: Family, generator: Detected, told: Told) -> bool:
    """True for pix2pix's --model colorization: no picture has two channels."""
    planes = (generator.options["input_channels"], generator.options["output_channels"])
    return family.task == "paired" and planes == (1, 2) and told.labels is None


def section_of(one: Detected) -> dict[str, Any]:
    """A recipe's section for a network."""
    left_out = ("input_channels",) if one.role == "encoder" else ("input_channels", "output_channels")
    return {"name": one.network, **{name: v for name, v in one.options.items() if name not in left_out}}


def _base_of(family: Family) -> str:
    if family.task == "unpaired":
        return "cyclegan"
    return PUBLISHED_AS["resnet" if family.generator is None else family.generator.network]


def _direction_of_name(family: Family, of_run: str | None) -> str | None:
    """CycleGAN's G_A alone goes the way `of_run`, which None leaves at AtoB, and its G_B the other way."""
    alone = family.generators.get("generator") or family.discriminators.get("discriminator")
    ways = DIRECTIONS if of_run != "BtoA" else tuple(reversed(DIRECTIONS))
    return dict(zip("AB", ways, strict=True)).get(alone.letter) if alone is not None else None


@dataclass(frozen=True)
class _Planes:
    """Keys of [data] for the planes that a generator sees."""

    keys: dict[str, Any]
    assumed: tuple[str, ...] = ()


def _planes(family: Family, generator: Detected, told: Told, text: PublishedOptions) -> _Planes:
    count = generator.options["input_channels"]
    has_features = family.encoder is not None and family.encoder.network == "pix2pixhd_features"
    if family.encoder is not None and has_features:
        count -= family.encoder.options["output_channels"]
        if count < 2:
            raise UsageError(
                f"the generator sees {generator.options['input_channels']} channels, and the encoder gives "
                f"{family.encoder.options['output_channels']} of them. Expected a picture or a label map and "
                f"instance boundaries beside; these two are not of one training run."
            )
    elif family.encoder is None and text.features and generator.network in _TAKES_FEATURES:
        raise UsageError(
            f"the generator sees {count} channels, {text.features} of them features (option text: feat_num). "
            "Expected their encoder beside it: name that file as well, such as latest_net_E.pth."
        )
    labels = text.labels if told.labels is None else told.labels
    if told.labels is None and text.dataset == "ade20k" and count in _KNOWN_PLANES:
        return _Planes(_KNOWN_PLANES[count])
    is_picture = count in (1, 3) and not has_features
    if labels is None and (is_picture or generator.network not in SEES_LABELS):
        return _Planes({"input_channels": count})
    where: Instances = told.instances or ("none" if text.instances is False else "inst")
    if labels is None:
        keys = _KNOWN_PLANES.get(count) or (
            {"labels": count} if where == "none" else {"labels": count - 1, "instances": where}
        )
        seen = f"{keys['labels']} labels{' and instance boundaries' if 'instances' in keys else ''}"
        return _Planes(keys, (f"the {count} planes are {seen} (--labels, --instances)",))
    if labels == 0:
        return _Planes(_picture_planes(count, where=where, is_alone=is_picture))
    return _Planes(_label_planes(count, labels, where=where))


def _picture_planes(count: int, *, where: Instances, is_alone: bool) -> dict[str, Any]:
    if is_alone or where == "none":
        return {"input_channels": count}
    return {"input_channels": count - 1, "instances": where}


def _label_planes(count: int, labels: int, *, where: Instances) -> dict[str, Any]:
    rest = count - labels
    with_edges = where != "none" and rest > 0
    if rest - with_edges not in (0, 1):
        raise UsageError(
            f"{labels} labels (--labels, or label_nc of the option text): the network sees {count} planes. "
            "Expected as many labels, or one or two fewer, where boundaries or an unknown label have "
            "a plane of their own; features need their encoder's file beside, such as latest_net_E.pth."
        )
    keys: dict[str, Any] = {"labels": labels}
    if rest - with_edges:
        keys["dontcare"] = _UNKNOWN if labels <= _UNKNOWN else 65535
    return keys | ({"instances": where} if with_edges else {})


def _judge(family: Family, data: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The discriminator's section; without a discriminator the published one."""
    found = family.discriminator
    if found is None:
        return base
    seen = found.options["input_channels"]
    section = section_of(found) | {"objective": _objective(found, family)}
    if family.task == "unpaired":
        return section | {"conditional": False}
    data.setdefault("target_channels", min(3, seen))
    is_conditional = seen > data["target_channels"]
    if is_conditional and family.generator is None:
        data["input_channels"] = seen - data["target_channels"]
    condition = _condition_planes(data)
    if is_conditional and seen != condition + data["target_channels"]:
        has_none = family.encoder is None and seen < condition + data["target_channels"]
        takes_some = family.generator is not None and family.generator.network in _TAKES_FEATURES
        hint = " Features need their encoder: name latest_net_E.pth too." if has_none and takes_some else ""
        raise UsageError(
            f"the discriminator sees {seen} channels, and the generator {condition} in and "
            f"{data['target_channels']} out. Expected those of one training run.{hint}"
        )
    return section | {"conditional": is_conditional}


def _condition_planes(data: dict[str, Any]) -> int:
    labels = data.get("labels")
    main: int = data.get("input_channels", 3) if labels is None else labels + ("dontcare" in data)
    return main + ("instances" in data)


def _objective(found: Detected, family: Family) -> str:
    if family.task == "unpaired":
        return "lsgan"
    return {"patchgan": "bce", "multiscale": "lsgan", "spade_multiscale": "hinge"}[found.network]


def _statistics(family: Family, told: Told) -> tuple[Statistics, list[str]]:
    """Published pix2pix and CycleGAN translate with each image's own, SPADE with the running ones."""
    found = [one.detected for one in (*family.generators.values(), *family.discriminators.values())]
    usual: Statistics = "running" if any(one.network.startswith("spade") for one in found) else "sample"
    if told.statistics is not None:
        return told.statistics, []
    other = "running" if usual == "sample" else "sample"
    has_any = any(_has_batch_norm(one) for one in found)
    return usual, [f"statistics {usual} (--statistics {other})"] if has_any else []


def _invisible(family: Family, told: Told, text: PublishedOptions) -> list[str]:
    names = {name for one in family.generators.values() for name in one.detected.invisible}
    assumed = []
    if "dropout" in names and told.dropout is None and text.dropout is None:
        assumed.append("trained with dropout (--no-dropout)")
    if "doublings" in names and told.doublings is None and text.doublings is None:
        assumed.append("doublings normal (--doublings more)")
    grid = None if family.generator is None else family.generator.options.get("style_grid")
    if grid is not None and grid[0] != grid[1] and text.aspect is None:
        assumed.append(
            f"a style of {grid[0]} × {grid[1]} cells, for pictures {grid[1] / grid[0]:g} times as wide as "
            "high (crop_size and aspect_ratio in an opt.txt beside the weights)"
        )
    return assumed


def _trained_size(generator: Detected | None, text: PublishedOptions) -> int:
    """The crop that the option text names, where the network takes it; else 256 px or the next size up."""
    if generator is None:
        return text.size or 256
    with torch.device("meta"):
        needs = generator.skeleton().size_needs
    if needs.exact is not None:
        return min(needs.exact)
    if text.size and text.size % needs.multiple_of == 0 and text.size >= needs.minimum:
        return text.size
    if generator.network == "unet":
        return needs.minimum
    wanted = max(256, needs.minimum)
    return -(-wanted // needs.multiple_of) * needs.multiple_of


def _has_batch_norm(one: Detected) -> bool:
    with torch.device("meta"):
        network = one.skeleton()
    return any(isinstance(module, BatchNorm2d) for module in network.modules())
