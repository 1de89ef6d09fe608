"""The job behind `p2p export`: a p2p model as a file that the published code loads."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from p2pcli.errors import ExitCode, UsageError, did_you_mean
from p2pcli.events import Observer, Stop, ignore
from p2pcli.inference.model_file import read_model
from p2pcli.inference.translator import model_in
from p2pcli.io.atomic import atomic_path
from p2pcli.nets.detect import Detected, detect
from p2pcli.plan import Tally

FORMATS = ("pth",)


@dataclass
class ExportReport:
    """What was written, and how the published code is told what it is."""

    output: Path
    model: Path
    tally: Tally = field(default_factory=Tally)
    interrupted: bool = False
    seconds: float = 0.0
    options: str = ""
    """Options of the published code for this network, or empty where it has no such network."""

    @property
    def exit_code(self) -> ExitCode:
        """0: a model that cannot be exported ends the job."""
        return ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON-able values."""
        return {
            "output": str(self.output),
            "model": str(self.model),
            "options": self.options,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            **self.tally.as_json(),
        }


def export_weights(
    model: str | Path,
    output: str | Path,
    *,
    to: Literal["pth"] = "pth",
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> ExportReport:
    """Write the weights of a model file or run folder as a torch.save state dict with the published keys.

    Keys need no translation: a model's own are the published ones. Raises `UsageError` where the model is of
    a kind that was never published (its keys are p2p's own), or the output is there already.
    """
    started = time.monotonic()
    if to not in FORMATS:
        raise UsageError(f"no format '{to}' to export to. {did_you_mean(to, FORMATS)}")
    source, target = model_in(Path(model)), Path(output)
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: is there already. Name another -o, or add --overwrite.")
    state, recipe, info = read_model(source)
    try:
        found = detect(state)
    except UsageError as error:
        name = recipe.generator.name if info.role == "generator" else recipe.discriminator.name
        raise UsageError(f"{source}: '{name}' has no published counterpart ({error})") from None
    report = ExportReport(target, source, Tally(planned=1), options=_published_options(found))
    if dry_run:
        report.tally.skipped["dry run"] += 1
    else:
        with atomic_path(target) as temporary:
            torch.save(OrderedDict(found.state), temporary)
        report.tally.written = 1
    report.tally.close()
    report.seconds = time.monotonic() - started
    return report


def _published_options(found: Detected) -> str:
    """How the published pix2pix, CycleGAN and pix2pixHD training and test scripts name this network."""
    options = found.options
    if options.get("upsampling", "deconv") != "deconv" or options.get("norm") == "instance_affine":
        return ""
    if found.network == "unet":
        names = {7: "unet_128", 8: "unet_256"}
        if options["depth"] not in names or not options["skips"] or options["bias"] is not None:
            return ""
        return f"--netG {names[options['depth']]} --ngf {options['channels']} --norm {options['norm']}"
    if found.network == "resnet":
        if options["blocks"] not in (6, 9) or options["bias"] is not None:
            return ""
        dropout = "" if options["dropout"] else " --no_dropout"
        name = f"resnet_{options['blocks']}blocks"
        return f"--netG {name} --ngf {options['channels']} --norm {options['norm']}{dropout}"
    if found.network == "pix2pixhd_global":
        return (
            f"--netG global --ngf {options['channels']} --n_downsample_global {options['downsamplings']} "
            f"--n_blocks_global {options['blocks']} --norm {options['norm']}"
        )
    return ""
