"""The pairs of one run: which keys train and which validate, and how a key becomes two squares."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from p2pcli.conditions import ConditionError, LabelValueError, advice_on_values, plain_ids, values_in
from p2pcli.errors import ItemError, NothingMatchedError, RecipeError, UsageError, item_border
from p2pcli.image import Image, Sample
from p2pcli.io import open_source
from p2pcli.io.base import Checkable, Filed, Source
from p2pcli.io.domains import SideSource
from p2pcli.io.groups import Groups, Rule, group_pictures, small_picture
from p2pcli.io.pair_sides import PairFolders
from p2pcli.pairs import draw_options, maker_named
from p2pcli.plan import fingerprint
from p2pcli.randomness import fraction_for, rng_for
from p2pcli.recipe import Data, Recipe
from p2pcli.training.augment import Loaded, OnTheFly, Square, at_size, load_pair, random_square
from p2pcli.training.batches import default_workers
from p2pcli.training.cache import LoadedCache
from p2pcli.training.failures import FailureLog
from p2pcli.training.finite import require_finite
from p2pcli.training.first_reads import FirstReads
from p2pcli.training.sampler import Slot

_FIRST_LOOKS = 16
_MAPS = 500
"""Label maps whose values are looked at for advice."""


@dataclass(frozen=True)
class Split:
    """Keys that train, keys that validate, and where the line between them comes from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    origin: str
    groups: str = ""
    """What was kept together where pairs were held out: "10 folders of numbered frames"; "" for nothing."""


@dataclass
class PairData:
    """Reads, caches and augments the pairs of one source. Every method is safe from many threads."""

    path: Path
    source: Source
    split: Split
    data: Data
    on_the_fly: OnTheFly | None
    seed: int
    cache: LoadedCache = field(default_factory=LoadedCache, repr=False)
    first_reads: FirstReads = field(default_factory=FirstReads, repr=False)

    def sized(self, size: int) -> PairData:
        """The same pairs for squares of `size` px, with a cache of their own; this itself at its own size."""
        if size == self.data.size:
            return self
        return replace(self, data=at_size(self.data, size), cache=LoadedCache())

    def training_square(self, slot: Slot, failures: FailureLog) -> Square:
        """The augmented pair for one place in an epoch's order.

        A key that cannot be read is recorded and replaced by the next in the order. Raises
        `NothingMatchedError` where no key of the order can be read.
        """
        for key in slot.candidates():
            if key in failures:
                continue
            try:
                pair = self.load(key, self.data.load_size or self.data.size)
                # The slot's own key, not the replacement's: two uses of one pair look different.
                rng = rng_for(self.seed, "augment", slot.epoch, slot.key)
                with item_border(key, stage="make"):
                    return random_square(
                        pair, data=self.data, on_the_fly=self.on_the_fly, rng=rng, jitter=True
                    )
            except ItemError as error:
                failures.record(key, error)
        raise NothingMatchedError(
            f"{self.path}: none of its {len(slot.order)} training pairs can be read; the last failure: "
            f"{failures.rows[-1].message}"
        )

    def validation_square(self, key: str) -> Square:
        """The pair at `data.size`, central crop, no mirroring, default options. Raises `ItemError`."""
        pair = self.load(key, self.data.size)
        rng = rng_for(self.seed, "validation", key)
        with item_border(key, stage="make"):
            return random_square(pair, data=self.data, on_the_fly=self.on_the_fly, rng=rng, jitter=False)

    def read_once(self, key: str) -> None:
        """Decode the pair `key` as training does. Raises `ItemError`."""
        self.load(key, self.data.load_size or self.data.size)

    def load(self, key: str, side: int) -> Loaded:
        """The pair `key` at load size `side`, cached. Raises `ItemError`."""

        def load() -> Loaded:
            with item_border(key), self.first_reads.reading(key):
                return load_pair(self.source.read(key), data=self.data, on_the_fly=self.on_the_fly, side=side)

        return self.cache.get(f"{side}/{key}", load)


def open_pairs(path: Path, recipe: Recipe, *, limit: int | None = None) -> PairData:
    """Open DATA for training, checking what is cheap: that it holds pairs, how many, and that one decodes.

    `limit` keeps only the first so many training pairs. Raises `UsageError` where DATA and recipe do not
    fit together, `NothingMatchedError` where there is nothing to train on.
    """
    require_pictures(recipe)
    on_the_fly = _maker_of(recipe)
    data = recipe.data
    photos_do = on_the_fly is not None or data.color == "lab"
    source = open_source(
        path,
        layout=data.layout,
        extras=data.folders,
        scale=data.scale,
        input_side=data.input_folder,
        target_side=data.target_folder,
        classes=data.classes,
        id_maps=_id_maps(data),
        photos_do=photos_do,
    )
    if not source.is_paired and not photos_do:
        raise UsageError(
            f"{path} holds single images, and the recipe makes no pairs. To make pairs on the fly, add "
            f"--set pairs.maker=edges (or gray, downsample …); to use pairs of your own, lay them out as A/ "
            f"and B/ folders with equal names, as side-by-side images (of any width: --set "
            f"data.layout=side-by-side), or with p2p make-pairs."
        )
    split = split_keys(source, share=data.validation, limit=limit, group=data.group, classes=data.classes)
    if not split.train:
        raise NothingMatchedError(
            f"{path} holds no pair to train on. Expected images or pairs; see p2p train --help."
        )
    return PairData(path, source, split, data, on_the_fly, recipe.train.seed)


def _id_maps(data: Data) -> tuple[str, ...]:
    """The pictures of a sample whose stored values are ids: label maps without a palette, instances."""
    label_map = "input" if data.direction == "AtoB" else "target"
    return (*((label_map,) if data.pixels_are_ids else ()), *(("inst",) if data.instances == "inst" else ()))


def require_pictures(recipe: Recipe) -> None:
    """Raise `RecipeError` where the networks want what no reader gives: a model may have any channels."""
    channels = {"input": recipe.data.input_channels, "target": recipe.data.target_channels}
    for side, count in channels.items():
        if count not in (1, 3):
            raise RecipeError(
                f"data.{side}_channels {count}: training reads pictures, which have 1 or 3 channels. "
                f"Set data.{side}_channels=3, and name what else there is: data.labels, data.instances, "
                f"data.extra, data.classes."
            )


def _maker_of(recipe: Recipe) -> OnTheFly | None:
    if recipe.pairs.maker is None:
        return None
    maker = maker_named(recipe.pairs.maker)
    draw_options(maker, recipe.pairs.options, rng_for(0, "check"), jitter=False)
    return OnTheFly(maker, recipe.pairs.options)


def split_keys(
    source: Source,
    *,
    share: float,
    limit: int | None,
    group: Rule = "none",
    classes: Sequence[str] = (),
) -> Split:
    """The source's own "train" and "validation" (or "val", "test") splits; else a held-out `share`.

    What is held out depends on each key's group alone (`group` says what that is, and that it is none of the
    `classes`), so adding pairs moves none; at least one is held out where `share` is above 0 and there are
    two or more. Of a single group the last part is held out. Raises `NothingMatchedError` where other splits
    have keys and "train" has none.
    """
    splits = {name: tuple(keys) for name, keys in source.splits().items() if keys}
    if "train" in splits:
        for name in ("validation", "val", "test"):
            if name in splits:
                return Split(splits["train"][:limit], splits[name], f"its own '{name}' split")
    if splits and "train" not in splits and "all" not in splits:
        raise NothingMatchedError(
            f"the split 'train' is empty; there are pairs in {', '.join(splits)} only. Fill train, or name "
            f"that folder itself as DATA."
        )
    pool = (splits.get("train") or splits.get("all", ()))[:limit]
    if share <= 0 or len(pool) < 2:
        return Split(pool, (), "no validation")
    # Numbers of rows are no frames, and files of rows no clips.
    rule: Rule = group if getattr(source, "has_names", True) else "none"
    groups = group_pictures(pool, rule, partial(_look, source), classes=classes)
    held_out = _held_out(pool, groups, share=share)
    train = tuple(key for key in pool if key not in held_out)
    words = "held out by group" if groups.words else "held out by name"
    return Split(
        train, tuple(key for key in pool if key in held_out), f"{len(held_out)} {words}", groups=groups.words
    )


def _held_out(pool: Sequence[str], groups: Groups, *, share: float) -> set[str]:
    """The keys of the groups that validate: those of a low hash, or the lowest of all."""
    members: dict[str, list[str]] = {}
    for key in pool:
        members.setdefault(groups.name_of(key), []).append(key)
    if len(members) == 1:
        # A group of several knows its members in order of their numbers.
        order = list(groups.names)
        return set(order[-max(1, min(round(share * len(order)), len(order) - 1)) :])
    fractions = {name: fraction_for(0, "validation", name) for name in members}
    chosen = {name for name in members if fractions[name] < share} or {
        min(members, key=fractions.__getitem__)
    }
    if len(chosen) == len(members):
        chosen.discard(max(members, key=fractions.__getitem__))
    are_most = sum(len(members[name]) for name in chosen) > max(share, 0.5) * len(pool)
    if are_most and len(members) < len(pool):
        # A long clip would leave nothing to train on: the shortest instead.
        chosen = {min(members, key=lambda name: (len(members[name]), fractions[name]))}
    return {key for name in chosen for key in members[name]}


def _look(source: Source, key: str) -> Image:
    """What shows that two samples are near-equal: the target, small where its file gives that for less."""
    if isinstance(source, Filed):
        return small_picture(source.file_of(key))
    sample = source.read(key)
    return sample.input if sample.target is None else sample.target


def require_conditions(pairs: PairData) -> None:
    """Look through the sizes of all pairs, and where the recipe reads more than pictures through all samples.

    Raises `UsageError` with file and value for the first that does not suit the recipe; files that cannot be
    read at all are left for the run to record. What is loaded stays in the cache.
    """
    if isinstance(pairs.source, Checkable):
        pairs.source.require_usable()
    data, is_made = pairs.data, pairs.on_the_fly is not None
    is_read = not is_made and (data.labels is not None or data.mask or data.scale > 1)
    if not (is_read or data.further_pictures or data.classes):
        return
    side = data.load_size or data.size

    def problem_of(key: str) -> ConditionError | None:
        try:
            pairs.load(key, side)
        except ConditionError as error:
            return error
        except ItemError:
            return None
        return None

    keys = (*pairs.split.train, *pairs.split.validation)
    with ThreadPoolExecutor(default_workers(), thread_name_prefix="p2p-check") as pool:
        try:
            for problem in pool.map(problem_of, keys):
                if isinstance(problem, LabelValueError):
                    raise UsageError(f"{pairs.path}: {_words_on_labels(problem, pairs, keys)}")
                if problem is not None:
                    raise UsageError(f"{pairs.path}: {problem}")
        finally:
            pool.shutdown(cancel_futures=True)


def _words_on_labels(problem: LabelValueError, pairs: PairData, keys: Sequence[str]) -> str:
    """What was found, and the advice that the values of all maps give."""
    values: set[int] = set()
    for key in keys[:_MAPS]:
        try:
            with pairs.first_reads.reading(key):
                sample = pairs.source.read(key)
            image = sample.input if pairs.data.direction == "AtoB" else sample.target
            if image is not None:
                values |= values_in(plain_ids(image, name=key), pairs.data)
        except ItemError:
            continue
    return f"{problem.found} {advice_on_values(values, problem.labels, is_all=True)}"


def first_sample(pairs: PairData) -> Sample:
    """The first training sample that decodes. Raises `NothingMatchedError` where the first 16 do not.

    Raises `UsageError` where any sample does not meet the recipe's conditions, or holds NaN.
    """
    keys, reading = (*pairs.split.train, *pairs.split.validation), pairs.first_reads.reading
    require_finite(pairs.path, pairs.source, keys, reading=reading)
    require_conditions(pairs)
    problem: ItemError | None = None
    for key in pairs.split.train[:_FIRST_LOOKS]:
        try:
            with item_border(key), reading(key):
                return pairs.source.read(key)
        except ItemError as error:
            problem = problem or error
    looks = min(_FIRST_LOOKS, len(pairs.split.train))
    raise NothingMatchedError(
        f"{pairs.path}: none of its first {looks} pairs can be read; the first: {problem}"
    )


def data_identity(pairs: PairData) -> dict[str, object]:
    """What a resumed run compares: the names of all pairs and where they divide, not where they lie."""
    return {
        "training pairs": len(pairs.split.train),
        "validation pairs": len(pairs.split.validation),
        "names": fingerprint([pairs.split.train, pairs.split.validation]),
        "layout": layout_of(pairs.source),
    }


def layout_of(source: Source) -> str:
    """How DATA was read, in a word or two, since one set of names may lie in several ways."""
    inner = source.pairs if isinstance(source, SideSource) else source
    folders: Sequence[PairFolders] = getattr(inner, "folders", ())
    if folders:
        return ", ".join(sorted(one.shown for one in folders))
    return "pairs in one file" if inner.is_paired else "single pictures"
