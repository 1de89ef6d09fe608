"""The sentences that `train` says before its first step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torch import nn

from p2pcli.errors import EnvironmentFaultError, RecipeError
from p2pcli.events import Note
from p2pcli.inference.device import describe_device
from p2pcli.io.base import Skipped, Source
from p2pcli.io.domains import SideSource
from p2pcli.io.folder import FolderSource
from p2pcli.io.left_out import LeftOut, metadata_text, pictures_text
from p2pcli.io.pair_sides import PairFolders
from p2pcli.io.sidebyside import SideBySideSource
from p2pcli.jobs.train_plan import Chosen
from p2pcli.recipe import PatchGAN, Recipe, load_recipe
from p2pcli.recipe.whole import Discriminator
from p2pcli.training.data import TrainingData
from p2pcli.training.estimate import duration_text, recipe_seconds_per_step
from p2pcli.training.memory import bytes_text, measure_needs, room_on, what_fits
from p2pcli.training.schedule import total_epochs, total_steps
from p2pcli.training.stages import stages_of
from p2pcli.training.state import TrainState

LONG_SECONDS = 30 * 60
"""From here on a CPU run is told of the smaller recipe."""


def describe_run(pairs: TrainingData, run: TrainState, *, name: str) -> list[str]:
    """Data, recipe, networks and device, a line each."""
    recipe, split = run.recipe, pairs.split
    train, data = recipe.train, recipe.data
    made = (
        ""
        if pairs.on_the_fly is None
        else f", inputs made by '{pairs.on_the_fly.maker.name}' anew each epoch"
    )
    steps = total_steps(train, len(split.train))
    epochs = total_epochs(train, len(split.train))
    jitter = "" if data.load_size is None else f" out of {data.load_size}"
    sizes = " → ".join(str(stage.size) for stage in stages_of(recipe, count=len(split.train)))
    average = "" if train.ema is None else f", EMA {train.ema}"
    return [
        *describe_layout(pairs, recipe),
        f"Data: {pairs.path}: {count_text(len(split.train), 'training pair')}, "
        f"{len(split.validation)} for validation ({split.origin}){made}.",
        *_groups_words(split.groups),
        f"Recipe: {name}: {sizes} px{jitter}, {data.direction}, batch {train.batch_size}, "
        f"{steps:,} steps ({epochs:,} epochs), seed {train.seed}{average}.",
        f"Networks: {_networks_text(run)}.",
        f"Device: {describe_device(run.precision.device)}, {run.precision.name}.",
    ]


def describe_layout(pairs: TrainingData, recipe: Recipe) -> list[str]:
    """How DATA was read where it could be read otherwise, and how to say so; [] where nothing was chosen."""
    source = pairs.source.pairs if isinstance(pairs.source, SideSource) else pairs.source
    folders = getattr(source, "folders", ())
    if folders:
        return [_folders_words(folders, recipe, beside=getattr(source, "beside", 0))]
    if isinstance(source, SideBySideSource):
        count = count_text(sum(map(len, source.splits().values())), "picture")
        return [
            f"Layout: side-by-side: {count} of twice the width, each cut into A (left half) and B (right). "
            f"For photos that stay whole: --set data.layout=photos."
        ]
    if isinstance(source, FolderSource) and source.is_side_by_side():
        return [
            "Layout: photos: each stays whole, though all are twice as wide as high. For pairs of their "
            "halves: --set data.layout=side-by-side."
        ]
    return []


def _folders_words(folders: Sequence[PairFolders], recipe: Recipe, *, beside: int) -> str:
    first, more = folders[0], "" if len(folders) == 1 else f" and {len(folders) - 1} more like it"
    is_turned = recipe.data.direction == "BtoA"
    source, target = (first.target, first.input) if is_turned else (first.input, first.target)
    left = f" {count_text(beside, 'picture')} elsewhere left out." if beside else ""
    if recipe.pairs.maker is not None or recipe.data.color == "lab":
        own = "data.color=rgb" if recipe.pairs.maker is None else "pairs.maker=none"
        return (
            f"Layout: folders: {source.shown} and {target.shown} hold the same pictures{more}; those of "
            f"{target.shown} are taken, and inputs made.{left} To learn from {source.shown} as it is: --set "
            f"{own}. For all of both: --set data.layout=photos."
        )
    other = "AtoB" if is_turned else "BtoA"
    return (
        f"Layout: folders: {source.shown} → {target.shown}{more} (A is {first.input.shown}).{left} The other "
        f"way round: --set data.direction={other}."
    )


def _groups_words(groups: str) -> list[str]:
    if not groups:
        return []
    return [
        f"Groups: {groups} stay together in the split. For each picture by itself: --set data.group=none."
    ]


def _networks_text(run: TrainState) -> str:
    """What learns, with its parameters: "unet 54.4 M, patchgan 70 px 2.8 M"."""
    recipe = run.recipe
    names = {"style_encoder": "spade_style", "feature_encoder": "pix2pixhd_features"}
    sides = [
        *((names.get(name, recipe.generator.name), network) for name, network in run.task.generators.items()),
        *((_judge_text(recipe.discriminator), network) for network in run.task.discriminators.values()),
    ]
    return ", ".join(f"{name} {parameters_text(network)}" for name, network in sides)


def _judge_text(section: Discriminator) -> str:
    """The discriminator's name, and the patch it judges where that is its one measure."""
    return f"{section.name} {section.receptive_field} px" if isinstance(section, PatchGAN) else section.name


def describe_left_out(source: Source) -> list[str]:
    """Files in DATA that take no part: no images, or without a partner; [] where there are none."""
    lines = []
    skipped: Sequence[Skipped] = getattr(source, "skipped", ())
    if skipped:
        reasons = Counter(item.reason for item in skipped)
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        lines.append(f"{count_text(len(skipped), 'file')} left out ({listed}).")
    unmatched: Sequence[str] = getattr(source, "unmatched", ())
    if unmatched:
        shown = ", ".join(unmatched[:3]) + (", …" if len(unmatched) > 3 else "")
        lines.append(f"{count_text(len(unmatched), 'file')} left out for want of a partner: {shown}.")
    return lines


def describe_not_read(left_out: LeftOut) -> list[Note]:
    """What the files of DATA hold and training takes no part of; metadata only as a detail."""
    kinds = metadata_text(left_out.counts())
    notes = [Note(f"Not used for training: {kinds}.", level="detail")] if kinds else []
    several = pictures_text(left_out.pictures, done="read")
    return [*notes, Note(f"{several[0].upper()}{several[1:]}.", level="warning")] if several else notes


def suggest_smaller(
    chosen: Chosen, pairs: TrainingData, run: TrainState, *, steps: int, step_seconds: float
) -> list[str]:
    """About how long the run takes, and on a CPU, where that is long, how long a smaller setting would.

    That is the recipe's own variant for a CPU, or `quick`, whose networks map one plain picture to another;
    neither is named where it would not be faster here.
    """
    seconds = steps * step_seconds
    lines = [f"Time: about {duration_text(seconds)} here ({rate_text(step_seconds)})."]
    if run.precision.device.type != "cpu" or seconds <= LONG_SECONDS:
        return lines
    for words, smaller in _smaller(chosen):
        count = total_steps(smaller.train, len(pairs.split.train))
        smaller_seconds = count * recipe_seconds_per_step(smaller, run.precision.device)
        if smaller_seconds < seconds:
            lines.append(
                f"On a CPU, {words} is smaller ({smaller.data.size} px, narrow networks): about "
                f"{duration_text(smaller_seconds)} here."
            )
            break
    return lines


def _smaller(chosen: Chosen) -> Iterator[tuple[str, Recipe]]:
    """What to add to the command, and the recipe that it gives: for a CPU, of the same task and data."""
    recipe, name = chosen.recipe, chosen.recipe_name
    if name != "quick" and recipe.task == "paired" and recipe.data.is_plain and recipe.encoder is None:
        kept = [f"pairs.maker={recipe.pairs.maker}"] if recipe.pairs.maker else []
        kept += [f"data.direction={recipe.data.direction}"]
        settings = "".join(f" --set {setting}" for setting in kept if setting != "data.direction=AtoB")
        yield f"-r quick{settings}", load_recipe("quick", kept)
    try:
        variant = load_recipe(name, ["variant=cpu"])
    except RecipeError:
        return  # Of its own making, or without such a variant.
    if variant.generator != recipe.generator or variant.data.size != recipe.data.size:
        yield "--set variant=cpu", variant


def memory_words(run: TrainState, *, processes: int = 1) -> list[Note]:
    """What a step needs of the free memory; a warning with what fits where that is too much.

    Raises `EnvironmentFaultError` where the device does not have so much at all.
    """
    room = room_on(run.precision.device)
    if room is None:
        return []
    needs = measure_needs(run, processes=processes)
    # On a CPU the processes share one memory.
    wanted = needs.bytes * (processes if run.precision.device.type == "cpu" else 1)
    fits = what_fits(run.recipe, needs, room)
    if wanted > room.total:
        raise EnvironmentFaultError(
            f"a step needs about {bytes_text(wanted)} of memory, and {describe_device(run.precision.device)} "
            f"has {bytes_text(room.total)}. {fits}"
        )
    text = f"Memory: a step needs about {bytes_text(wanted)}; {bytes_text(room.free)} are free."
    return [Note(f"{text} {fits}", level="warning") if wanted > room.free else Note(text)]


def parameters_text(network: nn.Module) -> str:
    """Parameters as "54.4 M"."""
    count = sum(parameter.numel() for parameter in network.parameters())
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"


def rate_text(step_seconds: float) -> str:
    """Steps per second, or seconds per step where that is more."""
    return f"{1 / step_seconds:.1f} steps a second" if step_seconds < 1 else f"{step_seconds:.1f} s a step"


def count_text(count: int, noun: str) -> str:
    """A count with its noun in the right number."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
