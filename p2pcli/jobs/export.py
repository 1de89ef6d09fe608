"""The job behind `p2p export`: a p2p model as a file that the published code loads."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from p2pcli.errors import ExitCode, UsageError, did_you_mean
from p2pcli.events import Note, Observer, Stop, ignore
from p2pcli.inference.model_file import model_in, read_model
from p2pcli.io.file_set import StoppedError, file_set, require_set_free
from p2pcli.io.lock import locked
from p2pcli.io.places import path_of, require_outside
from p2pcli.jobs.published_options import published_options
from p2pcli.nets.detect import Detected, as_pix2pixhd_global, detect
from p2pcli.plan import Tally
from p2pcli.recipe import Recipe
from p2pcli.tasks.networks import states_by_name
from p2pcli.training.checkpoint import save_tensors
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.stored import States, discriminators_beside, stored_beside, stored_networks

FORMATS = ("pth",)

PUBLISHED_ENDINGS = {
    "generator": "G",
    "AtoB": "G_A",
    "BtoA": "G_B",
    "feature_encoder": "E",
    "style_encoder": "E",
    "discriminator": "D",
    "D_A": "D_A",
    "D_B": "D_B",
}
"""Network's name in its task → how the published code ends its file: latest_net_G.pth, latest_net_D_A.pth."""


@dataclass
class ExportReport:
    """What was written, and how the published code is told what it is."""

    output: Path
    model: Path
    tally: Tally = field(default_factory=Tally)
    """Counts networks."""
    interrupted: bool = False
    seconds: float = 0.0
    options: str = ""
    """Options of the published code for these networks, or empty where it has none such."""
    outputs: list[Path] = field(default_factory=list)
    """With `dry_run`: what would be written."""
    dry_run: bool = False
    sizes: dict[Path, int] = field(default_factory=dict)
    """Each file, written or planned → bytes of the weights in it."""

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
            "outputs": [str(path) for path in self.outputs],
            "dry_run": self.dry_run,
            "sizes": {str(path): size for path, size in self.sizes.items()},
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
    """Write the networks of a model file or run folder as torch.save state dicts with the published keys.

    `output` is the generator's file. Further networks (an encoder, the other way of an unpaired model, the
    discriminators beside a model file or in a run folder's last checkpoint) go beside it, under the published
    endings: latest_net_E.pth, latest_net_G_B.pth, latest_net_D.pth. Keys need no translation: a model's own
    are the published ones. Raises `UsageError` where the generator is of a kind that was never published, or
    an output is there already; a discriminator of such a kind is left out, with a note.
    """
    started = time.monotonic()
    if to not in FORMATS:
        raise UsageError(f"no format '{to}' to export to. {did_you_mean(to, FORMATS)}")
    target, source = path_of(output, "output"), model_in(path_of(model, "model"))
    _require_pth(target)
    states, recipe = _networks(Path(model), source)
    found = _recognised(states, recipe, source, observe)
    places = _places(found, target)
    for place in places.values():
        require_outside(place, [source, discriminators_beside(source)])
    report = ExportReport(target, source, Tally(planned=len(found)), dry_run=dry_run)
    report.options = published_options(found, recipe)
    report.sizes = {place: _bytes_of(found[name]) for name, place in places.items()}
    if target not in places.values():
        report.output = next(iter(places.values()))
    with locked(*([] if dry_run else places.values()), observe=observe):
        require_set_free([*places.values()], overwrite=overwrite)
        if dry_run:
            report.tally.skipped["dry run"] += len(places)
            report.outputs = [*places.values()]
        else:
            _write(found, places, report, overwrite=overwrite, stop=stop or Stop())
    report.tally.close(interrupted=report.interrupted)
    report.seconds = time.monotonic() - started
    return report


def _write(
    found: Mapping[str, Detected],
    places: Mapping[str, Path],
    report: ExportReport,
    *,
    overwrite: bool,
    stop: Stop,
) -> None:
    """Write all networks, or after `stop` none, and count them."""
    # The generator's file comes last: where it is there, all are.
    names = sorted(places, key=lambda name: places[name] != report.output)
    try:
        with file_set([places[name] for name in names], overwrite=overwrite) as written:
            for name in names:
                if stop.is_set():
                    raise StoppedError
                save_tensors(written[places[name]], OrderedDict(found[name].state))
    except StoppedError:
        report.interrupted = True
    else:
        report.outputs = [*places.values()]
        report.tally.written += len(places)


def _require_pth(target: Path) -> None:
    """Raise `UsageError` for another ending: a pickle called .safetensors would be read by nobody."""
    if target.suffix not in (".pth", ".pt"):
        hint = target / "latest_net_G.pth" if target.is_dir() else target.with_suffix(".pth")
        raise UsageError(f"{target}: expected a name that ends in .pth. Use -o {hint}.")


def _bytes_of(network: Detected) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state.values())


def _networks(given: Path, source: Path) -> tuple[States, Recipe]:
    """Generators as `translate` takes them; discriminators from beside the file, or of a run's last step."""
    state, recipe, info = read_model(source)
    if info.role == "discriminator":
        return states_by_name(state) or {"discriminator": state}, recipe
    generators = states_by_name(state) or {"generator": state}
    stored = stored_networks(given) if RunFolder(given).is_run else stored_beside(source)
    return {**stored.states, **generators}, recipe


def _recognised(states: States, recipe: Recipe, source: Path, observe: Observer) -> dict[str, Detected]:
    found = {}
    for name, state in states.items():
        is_judge = name.startswith(("discriminator", "D_"))
        try:
            one = detect(state, overrides=recipe.generator.model_dump())
            is_global = recipe.generator.name == "pix2pixhd_global"
            found[name] = as_pix2pixhd_global(one) if is_global else one
        except UsageError as error:
            section = recipe.discriminator.name if is_judge else recipe.generator.name
            text = f"{source}: '{section}' has no published counterpart"
            if not is_judge or len(states) == 1:
                raise UsageError(f"{text} ({error})") from None
            observe(Note(f"{text}; it is left out."))
    return found


def _places(found: Mapping[str, Detected], target: Path) -> dict[str, Path]:
    """The file of each network; one alone goes to `target`, whatever it is."""
    if len(found) == 1:
        return dict.fromkeys(found, target)
    stem, dot, tail = target.stem.rpartition("_net_G")
    places = {}
    for name in found:
        ending = PUBLISHED_ENDINGS[name]
        if dot and tail in ("", "_A"):
            own = f"{stem}_net_{ending}"
        else:
            own = target.stem if name == "generator" else f"{target.stem}_{ending}"
        places[name] = target.with_name(f"{own}{target.suffix}")
    return places
