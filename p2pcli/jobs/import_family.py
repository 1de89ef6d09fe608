"""Which files of published weights belong together, and as which network of a task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from p2pcli.errors import UsageError
from p2pcli.nets.detect import Detected, as_pix2pixhd_global
from p2pcli.tasks.unpaired import DIRECTIONS, UNPAIRED_JUDGES

ENCODER_NAMES = {"pix2pixhd_features": "feature_encoder", "spade_style": "style_encoder"}
"""Encoder → what a task calls it."""

_PIX2PIXHD_ALONE = {"pix2pixhd_local", "pix2pixhd_features", "multiscale"}
"""Networks that come with pix2pixHD's generators only."""

_LETTER = re.compile(r"(?:^|[^A-Za-z])(?:net)?[GD]_?([AB])(?![A-Za-z])")
"""The end of latest_net_G_A, netD_B, …: CycleGAN's two ways."""


@dataclass(frozen=True)
class Found:
    """A file and the network in it."""

    path: Path
    detected: Detected
    name: str = ""
    """What the file calls it, where it holds several: "G_A"."""

    @property
    def letter(self) -> str:
        """ "A" or "B" where the file's name, or its own for it, tells CycleGAN's way; else ""."""
        match = _LETTER.search(self.name or self.path.stem)
        return match[1] if match else ""


@dataclass(frozen=True)
class Family:
    """Networks of one training run, by the names that its task gives them."""

    task: Literal["paired", "unpaired"]
    generators: Mapping[str, Found]
    """What one model file holds, an encoder among them."""
    discriminators: Mapping[str, Found]
    coarse: Found | None = None
    """pix2pixHD's first-stage generator, beside the local enhancer that grew out of it."""
    assumed: tuple[str, ...] = field(default=())
    """What neither keys nor names of the files say."""

    @property
    def generator(self) -> Detected | None:
        """The one that maps the input, of an unpaired task A → B."""
        for name in ("generator", DIRECTIONS[0]):
            if name in self.generators:
                return self.generators[name].detected
        return None

    @property
    def encoder(self) -> Detected | None:
        """The encoder, if any."""
        named = [self.generators[name] for name in ENCODER_NAMES.values() if name in self.generators]
        return named[0].detected if named else None

    @property
    def discriminator(self) -> Detected | None:
        """One of the discriminators: all have the same options."""
        return next((one.detected for one in self.discriminators.values()), None)


def as_of_one_code(files: Sequence[Found], *, netg: str | None) -> list[Found]:
    """`files` where a ResNet is pix2pixHD's global generator, if `netg` or a file beside it is pix2pixHD's.

    With two down-samplings the two have the same keys, and are the same function.
    """
    networks = {one.detected.network for one in files}
    if netg != "global" and not networks & _PIX2PIXHD_ALONE:
        return list(files)
    return [replace(one, detected=as_pix2pixhd_global(one.detected)) for one in files]


def family_of(files: Sequence[Found], *, direction: str | None = None) -> Family:
    """The networks of `files` as those of one run: pix2pix, CycleGAN, pix2pixHD or SPADE.

    `direction` is that of the run, as its option text says: "BtoA" had CycleGAN's G_A translate B to A.
    Raises `UsageError` where they do not belong together.
    """
    generators, discriminators, encoders = (
        [one for one in files if one.detected.role == role]
        for role in ("generator", "discriminator", "encoder")
    )
    _require_at_most(1, encoders, "encoders")
    coarse = _coarse(generators)
    if coarse is not None:
        generators = [one for one in generators if one is not coarse]
    _require_at_most(2, generators, "generators")
    if len(generators) == 2:
        family = _unpaired(generators, discriminators, encoders)
        # Without letters it is the order given that says which is which.
        return _turned(family) if direction == "BtoA" and not family.assumed else family
    _require_at_most(1, discriminators, "discriminators")
    named = dict(zip(("generator",), generators, strict=False)) | _named_encoder(encoders, generators)
    return Family("paired", named, dict(zip(("discriminator",), discriminators, strict=False)), coarse)


def described(one: Detected) -> str:
    """ "unet generator: channels 64, depth 8, norm batch, …"; what is None goes without saying."""
    options = ", ".join(f"{name} {value}" for name, value in one.options.items() if value is not None)
    return f"{one.network} {one.role}: {options}"


def _require_at_most(count: int, files: Sequence[Found], what: str) -> None:
    if len(files) > count:
        names = ", ".join(str(one.path) for one in files)
        raise UsageError(
            f"{len(files)} {what} ({names}). Expected the networks of one training run: one generator, or "
            f"CycleGAN's two, each with its discriminator. Import one run at a time, each with its own -o."
        )


def _coarse(generators: Sequence[Found]) -> Found | None:
    """pix2pixHD's global generator where its local enhancer is there as well."""
    names = [one.detected.network for one in generators]
    if sorted(names) != ["pix2pixhd_global", "pix2pixhd_local"]:
        return None
    coarse, fine = (generators[names.index(f"pix2pixhd_{kind}")] for kind in ("global", "local"))
    small, large = coarse.detected.options, fine.detected.options
    inside = large | {"channels": large["channels"] << large["enhancers"]}
    _require_alike(coarse, fine, small, {name: inside[name] for name in small})
    return coarse


def _unpaired(
    generators: Sequence[Found], discriminators: Sequence[Found], encoders: Sequence[Found]
) -> Family:
    if encoders:
        raise UsageError(
            f"{encoders[0].path}: an encoder beside two generators, which need none. Leave it out."
        )
    there, back = _in_order(generators)
    turned = dict(back.detected.options)
    turned["input_channels"], turned["output_channels"] = turned["output_channels"], turned["input_channels"]
    if there.detected.network != back.detected.network:
        turned = {}
    _require_alike(there, back, there.detected.options, turned)
    judges = dict(zip(UNPAIRED_JUDGES, _in_order(discriminators), strict=True)) if discriminators else {}
    if judges:
        first, second = judges.values()
        _require_alike(first, second, _width_alone(first), _width_alone(second))
    guessed = [one for one in (*generators, *discriminators) if not one.letter]
    assumed = f"{there.path.name} translates A to B (the other way round: name {back.path.name} first)"
    return Family(
        "unpaired",
        dict(zip(DIRECTIONS, (there, back), strict=True)),
        judges,
        assumed=(assumed,) if guessed else (),
    )


def _turned(family: Family) -> Family:
    """`family` with each network in the other's place."""

    def changed(networks: Mapping[str, Found]) -> dict[str, Found]:
        return dict(zip(networks, reversed([*networks.values()]), strict=True))

    generators = changed(family.generators)
    said = f"{generators['BtoA'].path.name} translates B to A (the option text: direction BtoA)"
    return Family("unpaired", generators, changed(family.discriminators), assumed=(said,))


def _in_order(files: Sequence[Found]) -> tuple[Found, Found]:
    """A's and B's file, by their names or else in the order given."""
    if len(files) != 2:
        raise UsageError(
            f"{files[0].path}: one discriminator for two generators. Expected both (latest_net_D_A.pth and "
            f"latest_net_D_B.pth), or none."
        )
    first, second = files
    if first.letter and first.letter == second.letter:
        raise UsageError(
            f"{first.path} and {second.path}: both are called {first.letter}. Expected _A and _B of one run."
        )
    return (second, first) if "B" in first.letter or "A" in second.letter else (first, second)


def _named_encoder(encoders: Sequence[Found], generators: Sequence[Found]) -> dict[str, Found]:
    if not encoders:
        return {}
    (encoder,) = encoders
    what = described(encoder.detected)
    if not generators:
        raise UsageError(
            f"{encoder.path}: {what}. An encoder serves a generator: name that file as well, such as "
            f"latest_net_G.pth."
        )
    (generator,) = generators
    network, options = generator.detected.network, generator.detected.options
    takes_features = network in ("pix2pixhd_global", "pix2pixhd_local")
    takes_style = network == "spade" and options["style_grid"] is not None
    if not (takes_features if encoder.detected.network == "pix2pixhd_features" else takes_style):
        raise UsageError(
            f"{encoder.path}: {what}. The generator in {generator.path} ({network}) takes nothing of it. "
            f"Expected the two of one training run, or the generator alone."
        )
    return {ENCODER_NAMES[encoder.detected.network]: encoder}


def _width_alone(one: Found) -> dict[str, Any]:
    """Options without the channels of the domain that a discriminator sees."""
    return {name: value for name, value in one.detected.options.items() if name != "input_channels"}


def _require_alike(
    first: Found, second: Found, options: Mapping[str, Any], others: Mapping[str, Any]
) -> None:
    if first.detected.network != second.detected.network and not others:
        found = f"{first.detected.network} and {second.detected.network}"
    else:
        unlike = [name for name, value in options.items() if others.get(name) != value]
        if not unlike:
            return
        name = unlike[0]
        found = f"{name} {options[name]} and {others.get(name)}"
    raise UsageError(
        f"{first.path} and {second.path} are not of one training run: {found}. Expected networks alike; "
        f"import them one at a time, each with its own -o."
    )
