"""The job behind `p2p import`: weights of a published implementation in, p2p model files out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from p2pcli.errors import ExitCode, UsageError
from p2pcli.events import Note, Observer, Stop, ignore
from p2pcli.inference.model_file import ModelInfo, read_model, save_model
from p2pcli.inference.modes import inference_mode
from p2pcli.inference.weights_file import PublishedOptions, read_options_beside, read_weights
from p2pcli.nets.blocks import BatchNorm2d, Network, Statistics
from p2pcli.nets.detect import Detected, detect
from p2pcli.plan import Tally
from p2pcli.recipe import Recipe, parse_recipe
from p2pcli.tasks import build_discriminator, build_generator

Direction = Literal["AtoB", "BtoA"]


@dataclass
class ImportReport:
    """What was recognised, what was assumed, and where it lies now."""

    output: Path
    tally: Tally = field(default_factory=Tally)
    """Counts files."""
    interrupted: bool = False
    seconds: float = 0.0
    outputs: list[Path] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    """One line a file: network and options, as read from keys and shapes."""
    quirks: list[str] = field(default_factory=list)
    """What was undone, added or dropped."""
    assumed: list[str] = field(default_factory=list)
    """What the files do not say, and was taken to be."""

    @property
    def exit_code(self) -> ExitCode:
        """0: a file that cannot be imported ends the job."""
        return ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON-able values."""
        return {
            "output": str(self.output),
            "outputs": [str(path) for path in self.outputs],
            "networks": self.networks,
            "quirks": self.quirks,
            "assumed": self.assumed,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            **self.tally.as_json(),
        }


def import_weights(
    files: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    direction: Direction | None = None,
    statistics: Statistics | None = None,
    dropout: bool | None = None,
    doublings: Literal["normal", "more"] | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> ImportReport:
    """Turn .pth or .safetensors weights of pix2pix, CycleGAN, pix2pixHD or SPADE into p2p model files.

    A generator goes to `output`, a discriminator given beside it to `<name>.discriminator.safetensors`, and
    alone to `output`. Network, widths and depths are read from keys and shapes; `direction` (which domain
    is the input), `statistics` (of batch norms, while translating), `dropout` (U-Net, while training) and
    `doublings` (SPADE) cannot be: None takes them from train_opt.txt or opt.txt beside the file, else the
    published default. Every network is loaded strictly and must give the same numbers before and after.
    Raises `UsageError` where a file is not understood.
    """
    started = time.monotonic()
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    target = Path(output)
    told = read_options_beside(paths[0]) if paths else PublishedOptions()
    if dropout is not None:
        told = dataclasses.replace(told, dropout=dropout)
    if doublings is not None:
        told = dataclasses.replace(told, doublings=doublings)
    found = [_detected(path, told) for path in paths]
    report = ImportReport(target, Tally(planned=len(paths)))
    places = _places(found, paths, target)
    _require_free(places, overwrite=overwrite)
    report.assumed = _assumptions(found, told, direction=direction, statistics=statistics, dropout=dropout)
    recipe = _recipe(
        found, told, title=f"imported from {paths[0].name}", direction=direction, statistics=statistics
    )
    for one, place in zip(found, places, strict=True):
        report.networks.append(_described(one))
        report.quirks += one.quirks
        observe(Note(report.networks[-1]))
        if dry_run:
            report.tally.skipped["dry run"] += 1
            continue
        if stop is not None and stop.is_set():
            report.interrupted = True
            break
        _save_verified(one, place, recipe)
        report.outputs.append(place)
        report.tally.written += 1
    report.tally.close(interrupted=report.interrupted)
    report.seconds = time.monotonic() - started
    return report


def _detected(path: Path, told: PublishedOptions) -> Detected:
    overrides = {
        name: value
        for name, value in (("dropout", told.dropout), ("doublings", told.doublings))
        if value is not None
    }
    values = read_weights(path)
    try:
        return detect(values, overrides=overrides)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _places(found: Sequence[Detected], paths: Sequence[Path], target: Path) -> list[Path]:
    """Where each network goes. Raises `UsageError` where two would go to one place, or there is none."""
    if not found:
        raise UsageError("no weights were named. Expected files such as latest_net_G.pth.")
    if target.suffix != ".safetensors":
        raise UsageError(
            f"{target}: expected a name that ends in .safetensors. Use -o {target.stem}.safetensors."
        )
    roles = [one.role for one in found]
    if "encoder" in roles:
        path = paths[roles.index("encoder")]
        raise UsageError(
            f"{path}: {_described(found[roles.index('encoder')])}. A model file holds generators and "
            "discriminators; import those, and leave the encoder out."
        )
    for role in ("generator", "discriminator"):
        if roles.count(role) > 1:
            twins = ", ".join(str(path) for path, one in zip(paths, found, strict=True) if one.role == role)
            raise UsageError(f"two {role}s ({twins}). Import them one at a time, each with its own -o.")
    if len(found) == 1:
        return [target]
    beside = target.with_name(f"{target.stem}.discriminator.safetensors")
    return [target if role == "generator" else beside for role in roles]


def _require_free(places: Sequence[Path], *, overwrite: bool) -> None:
    for place in places:
        if place.exists() and not overwrite:
            raise UsageError(f"{place}: is there already. Name another -o, or add --overwrite.")


def _assumptions(
    found: Sequence[Detected],
    told: PublishedOptions,
    *,
    direction: Direction | None,
    statistics: Statistics | None,
    dropout: bool | None,
) -> list[str]:
    """What neither files nor caller said, with the option that says it."""
    assumed = []
    if direction is None and told.direction is None:
        assumed.append("direction AtoB (--direction BtoA)")
    if statistics is None and any(_has_batch_norm(one) for one in found):
        chosen = _default_statistics(found)
        other = "running" if chosen == "sample" else "sample"
        assumed.append(f"statistics {chosen} (--statistics {other})")
    invisible = {name for one in found for name in one.invisible}
    if "dropout" in invisible and told.dropout is None:
        assumed.append("trained with dropout (--no-dropout)")
    if "doublings" in invisible and told.doublings is None:
        assumed.append("doublings normal (--doublings more)")
    return assumed


def _recipe(
    found: Sequence[Detected],
    told: PublishedOptions,
    *,
    title: str,
    direction: Direction | None,
    statistics: Statistics | None,
) -> Recipe:
    generator = next((one for one in found if one.role == "generator"), None)
    discriminator = next((one for one in found if one.role == "discriminator"), None)
    size = _trained_size(generator, told)
    data: dict[str, Any] = {
        "size": size,
        "load_size": None,
        "direction": direction or told.direction or "AtoB",
    }
    values: dict[str, Any] = {
        "title": title,
        "data": data,
        "inference": {"statistics": statistics or _default_statistics(found)},
    }
    if generator is not None:
        data["input_channels"] = generator.options["input_channels"]
        data["target_channels"] = generator.options["output_channels"]
        values["generator"] = _section(generator)
    else:
        # Without a generator a U-Net stands in the recipe, which has to allow the size.
        values["generator"] = {"name": "resnet"}
    if discriminator is not None:
        seen = discriminator.options["input_channels"]
        data.setdefault("target_channels", min(3, seen))
        conditional = seen > data["target_channels"]
        if conditional:
            data.setdefault("input_channels", seen - data["target_channels"])
        if conditional and seen != data["input_channels"] + data["target_channels"]:
            raise UsageError(
                f"the discriminator sees {seen} channels, and the generator {data['input_channels']} in "
                f"and {data['target_channels']} out. Expected those of one training run."
            )
        values["discriminator"] = _section(discriminator) | {"conditional": conditional}
    return parse_recipe(values, where=title)


def _section(one: Detected) -> dict[str, Any]:
    options = {k: v for k, v in one.options.items() if k not in ("input_channels", "output_channels")}
    return {"name": one.network, **options}


def _trained_size(generator: Detected | None, told: PublishedOptions) -> int:
    """The crop that the option text names, where the network takes it; else 256 px or the next size up."""
    if generator is None:
        return told.size or 256
    with torch.device("meta"):
        needs = generator.skeleton().size_needs
    if told.size and told.size % needs.multiple_of == 0 and told.size >= needs.minimum:
        return told.size
    if generator.network == "unet":
        return needs.minimum
    wanted = max(256, needs.minimum)
    return -(-wanted // needs.multiple_of) * needs.multiple_of


def _save_verified(one: Detected, place: Path, recipe: Recipe) -> None:
    """Write, read back, and require the same numbers from the file as from the weights that came in."""
    before = one.build()
    x = _example(before, one.options["input_channels"])
    expected = _outputs(before, x, recipe)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in expected):
        raise UsageError(f"the {one.network} {one.role} gives infinite numbers or NaN. Take an earlier one.")
    role: Literal["generator", "discriminator"] = "generator" if one.role == "generator" else "discriminator"
    info = ModelInfo(role=role, trained_size=recipe.data.size)
    save_model(place, one.state, recipe=recipe, info=info)
    state, stored, _ = read_model(place)
    after = build_generator(stored) if role == "generator" else build_discriminator(stored)
    after.load_state_dict(state)
    for was, now in zip(expected, _outputs(after, x, stored), strict=True):
        if not torch.equal(was, now):
            raise AssertionError(f"{place}: the imported {one.network} differs from its source")


def _outputs(network: Network, x: torch.Tensor, recipe: Recipe) -> list[torch.Tensor]:
    with inference_mode(network, statistics=recipe.inference.statistics, dropout=False):
        result = network(x)
    return [result] if isinstance(result, torch.Tensor) else [tensor for maps in result for tensor in maps]


def _example(network: Network, channels: int) -> torch.Tensor:
    """A small picture of noise in [-1, 1] that `network` takes."""
    needs = network.size_needs
    side = -(-max(32, needs.minimum) // needs.multiple_of) * needs.multiple_of
    noise = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))
    return noise * 2 - 1


def _has_batch_norm(one: Detected) -> bool:
    with torch.device("meta"):
        network = one.skeleton()
    return any(isinstance(module, BatchNorm2d) for module in network.modules())


def _default_statistics(found: Sequence[Detected]) -> Statistics:
    """Published pix2pix and CycleGAN translate with each image's own, SPADE with the running ones."""
    return "running" if any(one.network.startswith("spade") for one in found) else "sample"


def _described(one: Detected) -> str:
    """ "unet generator: channels 64, depth 8, norm batch, …"; what is None goes without saying."""
    options = ", ".join(f"{name} {value}" for name, value in one.options.items() if value is not None)
    return f"{one.network} {one.role}: {options}"
