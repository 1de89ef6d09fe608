"""The job behind `p2p import`: weights of a published implementation in, p2p model files out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from p2pcli.errors import ExitCode, UsageError
from p2pcli.events import Note, Observer, Stop, ignore
from p2pcli.inference.model_file import ModelInfo, model_bytes, read_model
from p2pcli.inference.modes import inference_mode
from p2pcli.inference.weights_file import PublishedOptions, read_options_beside, read_weights
from p2pcli.io.file_set import StoppedError, file_set, require_set_free
from p2pcli.io.lock import locked
from p2pcli.io.places import path_of, paths_of, real, require_free, require_outside
from p2pcli.jobs.import_family import Family, Found, as_of_one_code, described, family_of
from p2pcli.jobs.import_recipe import Direction, Instances, Told, recipe_of
from p2pcli.nets import Network
from p2pcli.nets.blocks import Statistics
from p2pcli.nets.detect import detect
from p2pcli.nets.legacy import networks_in
from p2pcli.nets.pix2pixhd import FeatureEncoder
from p2pcli.plan import Tally
from p2pcli.recipe import Recipe
from p2pcli.tasks.networks import SPADE_DOUBLINGS, discriminators_of, generators_of, model_state, state_of
from p2pcli.training.stored import discriminators_beside


@dataclass
class ImportReport:
    """What was recognised, what was assumed, and where it lies now."""

    output: Path
    tally: Tally = field(default_factory=Tally)
    """Counts networks; an encoder that goes to two files counts in both."""
    interrupted: bool = False
    seconds: float = 0.0
    outputs: list[Path] = field(default_factory=list)
    """With `dry_run`: what would be written."""
    dry_run: bool = False
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
            "dry_run": self.dry_run,
            "networks": self.networks,
            "quirks": self.quirks,
            "assumed": self.assumed,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            **self.tally.as_json(),
        }


@dataclass(frozen=True)
class _ModelFile:
    """What goes to one file."""

    place: Path
    role: Literal["generator", "discriminator"]
    found: Mapping[str, Found]
    recipe: Recipe


def import_weights(
    files: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    direction: Direction | None = None,
    statistics: Statistics | None = None,
    dropout: bool | None = None,
    doublings: Literal["normal", "more"] | None = None,
    labels: int | None = None,
    instances: Instances | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> ImportReport:
    """Turn .pth or .safetensors weights of pix2pix, CycleGAN, pix2pixHD or SPADE into p2p model files.

    `files` are the networks of one training run: a generator, CycleGAN's two, an encoder with its generator,
    discriminators. Generators and encoder go to `output`, discriminators beside them to
    `<name>.discriminator.safetensors` (alone: to `output`), pix2pixHD's global generator beside its local
    enhancer to `<name>.global.safetensors`. Networks, widths and depths are read from keys and shapes;
    `direction` (which domain is the input), `statistics` (of batch norms, while translating), `dropout`
    (U-Net, while training), `doublings` (SPADE), `labels` and `instances` (what the input's planes are)
    cannot be: None takes them from train_opt.txt or opt.txt beside the file, else the published default.
    Every network is loaded strictly and must give the same numbers before and after. Raises `UsageError`
    where a file is not understood or they do not belong together.
    """
    started = time.monotonic()
    paths = [Path(file) for file in paths_of(files, "weights")]
    target = path_of(output, "output")
    _require_once(paths)
    _require_place(target, paths)
    told = Told(direction, statistics, dropout, doublings, labels, instances)
    text = read_options_beside(paths[0]) if paths else PublishedOptions()
    found = as_of_one_code([one for path in paths for one in _found(path, told, text)], netg=text.generator)
    family = family_of(found, direction=text.direction)
    report = ImportReport(target, dry_run=dry_run)
    title = f"imported from {paths[0].name}" if paths else ""
    model_files, report.assumed = _model_files(family, told, text, target=target, title=title)
    report.tally.planned = sum(len(one.found) for one in model_files)
    places = [one.place for one in model_files]
    for place in places:
        _require_place(place, paths)
    report.networks = [described(one.detected) for one in found]
    report.quirks = [quirk for one in found for quirk in one.detected.quirks]
    with locked(*([] if dry_run else places), observe=observe):
        require_set_free(places, overwrite=overwrite)
        for line in report.networks:
            observe(Note(line))
        if dry_run:
            report.tally.skipped["dry run"] += report.tally.planned
            report.outputs = places
        else:
            _write(model_files, report, overwrite=overwrite, stop=stop or Stop())
    report.tally.close(interrupted=report.interrupted)
    report.seconds = time.monotonic() - started
    return report


def _write(model_files: Sequence[_ModelFile], report: ImportReport, *, overwrite: bool, stop: Stop) -> None:
    """Write all files, or after `stop` none, and count their networks."""
    try:
        with file_set([one.place for one in model_files], overwrite=overwrite) as written:
            for one in model_files:
                if stop.is_set():
                    raise StoppedError
                _save_verified(one, written[one.place])
    except StoppedError:
        report.interrupted = True
    else:
        report.outputs = [one.place for one in model_files]
        report.tally.written += report.tally.planned


def _found(path: Path, told: Told, text: PublishedOptions) -> list[Found]:
    """The network in the file at `path`, or those, where it holds all of CycleGAN's."""
    invisible = {"dropout": told.dropout, "doublings": told.doublings, "style_grid": None}
    unsaid = {
        "dropout": text.dropout,
        "doublings": text.doublings,
        "style_grid": _style_grid(text, told.doublings or text.doublings or "normal"),
    }
    overrides = {
        name: unsaid[name] if value is None else value
        for name, value in invisible.items()
        if value is not None or unsaid[name] is not None
    }
    values = read_weights(path)
    try:
        several = networks_in(values)
        if several:
            return [_one_of(path, name, one, overrides) for name, one in sorted(several.items())]
        return [Found(path, detect(values, overrides=overrides))]
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _one_of(path: Path, name: str, values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Found:
    """The network that the file at `path` calls `name`, among others."""
    found = detect(values, overrides=overrides)
    quirks = (f"weights lay under '{name}', one of several networks in the file", *found.quirks)
    return Found(path, replace(found, quirks=quirks), name)


def _style_grid(text: PublishedOptions, doublings: str) -> tuple[int, int] | None:
    """Rows and columns at which a style enters, as SPADE takes them from the crop and its aspect."""
    if not text.size or text.aspect is None:
        return None
    columns = text.size >> SPADE_DOUBLINGS[doublings]
    return round(columns / text.aspect), columns


def _model_files(
    family: Family, told: Told, text: PublishedOptions, *, target: Path, title: str
) -> tuple[list[_ModelFile], list[str]]:
    """What goes where, and what was assumed. Raises `UsageError` where there is nothing, or no place."""
    if not (family.generators or family.discriminators):
        raise UsageError("no weights were named. Expected files such as latest_net_G.pth.")
    recipe, assumed = recipe_of(family, told, text, title=title)
    files = []
    if family.generators:
        files.append(_ModelFile(target, "generator", family.generators, recipe))
    if family.discriminators:
        place = discriminators_beside(target) if family.generators else target
        files.append(_ModelFile(place, "discriminator", family.discriminators, recipe))
    if family.coarse is not None:
        coarse = {**family.generators, "generator": family.coarse}
        own, _ = recipe_of(Family("paired", coarse, {}), told, text, title=title)
        alone = target.with_name(f"{target.stem}.global.safetensors")
        files.append(_ModelFile(alone, "generator", coarse, own))
    return files, assumed


def _require_once(paths: Sequence[Path]) -> None:
    seen = set()
    for path in paths:
        if real(path) in seen:
            raise UsageError(f"{path}: named twice. Expected every network of a run once.")
        seen.add(real(path))


def _require_place(place: Path, sources: Sequence[Path]) -> None:
    """Raise `UsageError` where no model file can go to `place`, or that is one of the `sources`."""
    if place.suffix != ".safetensors":
        name = "model.safetensors" if place.is_dir() else f"{place.stem}.safetensors"
        hint = place / name if place.is_dir() else place.with_name(name)
        raise UsageError(f"{place}: expected a name that ends in .safetensors. Use -o {hint}.")
    require_outside(place, sources, may_be_below=True)
    require_free(place, overwrite=True)


def _save_verified(one: _ModelFile, path: Path) -> None:
    """Write, read back, and require the same numbers from the file as from the weights that came in."""
    before = {name: found.detected.build() for name, found in one.found.items()}
    seen = {name: found.detected.options["input_channels"] for name, found in one.found.items()}
    expected = {name: _outputs(network, one.recipe, channels=seen[name]) for name, network in before.items()}
    for name, outputs in expected.items():
        if not all(bool(torch.isfinite(tensor).all()) for tensor in outputs):
            raise UsageError(f"{one.found[name].path}: gives infinite numbers or NaN. Take an earlier one.")
    info = ModelInfo(role=one.role, trained_size=one.recipe.data.size)
    path.write_bytes(model_bytes(model_state(before), recipe=one.recipe, info=info))
    state, stored, _ = read_model(path)
    after = (generators_of if one.role == "generator" else discriminators_of)(stored)
    for name, network in after.items():
        network.load_state_dict(state_of(state, name))
        outputs = _outputs(network, stored, channels=seen[name])
        for was, now in zip(expected[name], outputs, strict=True):
            if not torch.equal(was, now):
                raise AssertionError(f"{one.place}: the imported {name} differs from its source")


def _outputs(network: Network, recipe: Recipe, *, channels: int) -> list[Tensor]:
    """What `network` makes of a small picture of noise in [-1, 1]."""
    needs = network.size_needs
    side = -(-max(32, needs.minimum) // needs.multiple_of) * needs.multiple_of
    noise = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))
    more = [torch.zeros(1, 1, side, side, dtype=torch.long)] if isinstance(network, FeatureEncoder) else []
    with inference_mode(network, statistics=recipe.inference.statistics, dropout=False):
        result: Any = network(noise * 2 - 1, *more)
    return _flat(result)


def _flat(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else [tensor for part in result for tensor in _flat(part)]
