"""The pairs of one run: which keys train and which validate, and how a key becomes two squares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from p2pcli.conditions import ConditionError
from p2pcli.errors import ItemError, NothingMatchedError, RecipeError, UsageError, item_border
from p2pcli.image import Sample
from p2pcli.io import open_source
from p2pcli.io.base import Checkable, Source
from p2pcli.pairs import draw_options, maker_named
from p2pcli.plan import fingerprint
from p2pcli.randomness import fraction_for, rng_for
from p2pcli.recipe import Data, Recipe
from p2pcli.training.augment import Loaded, OnTheFly, Square, at_size, load_pair, random_square
from p2pcli.training.batches import default_workers
from p2pcli.training.cache import LoadedCache
from p2pcli.training.failures import FailureLog
from p2pcli.training.finite import require_finite
from p2pcli.training.sampler import Slot

_FIRST_LOOKS = 16


@dataclass(frozen=True)
class Split:
    """Keys that train, keys that validate, and where the line between them comes from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    origin: str


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

    def load(self, key: str, side: int) -> Loaded:
        """The pair `key` at load size `side`, cached. Raises `ItemError`."""

        def load() -> Loaded:
            with item_border(key):
                return load_pair(self.source.read(key), data=self.data, on_the_fly=self.on_the_fly, side=side)

        return self.cache.get(f"{side}/{key}", load)


def open_pairs(path: Path, recipe: Recipe, *, limit: int | None = None) -> PairData:
    """Open DATA for training, checking what is cheap: that it holds pairs, how many, and that one decodes.

    `limit` keeps only the first so many training pairs. Raises `UsageError` where DATA and recipe do not
    fit together, `NothingMatchedError` where there is nothing to train on.
    """
    require_pictures(recipe)
    on_the_fly = _maker_of(recipe)
    source = open_source(path, extras=recipe.data.folders, scale=recipe.data.scale)
    if not source.is_paired and on_the_fly is None and recipe.data.color != "lab":
        raise UsageError(
            f"{path} holds single images, and the recipe makes no pairs. To make pairs on the fly, add "
            f"--set pairs.maker=edges (or gray, downsample …); to use pairs of your own, lay them out as A/ "
            f"and B/ folders with equal names, as side-by-side images, or with p2p make-pairs."
        )
    split = split_keys(source, share=recipe.data.validation, limit=limit)
    if not split.train:
        raise NothingMatchedError(
            f"{path} holds no pair to train on. Expected images or pairs; see p2p train --help."
        )
    return PairData(path, source, split, recipe.data, on_the_fly, recipe.train.seed)


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


def split_keys(source: Source, *, share: float, limit: int | None) -> Split:
    """The source's own "train" and "validation" (or "val", "test") splits; else a held-out `share`.

    What is held out depends on each key alone, so adding pairs moves none; at least one is held out where
    `share` is above 0 and there are two or more. Raises `NothingMatchedError` where other splits have keys
    and "train" has none.
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
    fractions = {key: fraction_for(0, "validation", key) for key in pool}
    held_out = {key for key in pool if fractions[key] < share} or {min(pool, key=fractions.__getitem__)}
    if len(held_out) == len(pool):
        held_out.discard(max(pool, key=fractions.__getitem__))
    train = tuple(key for key in pool if key not in held_out)
    return Split(train, tuple(key for key in pool if key in held_out), f"{len(held_out)} held out by name")


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
                if problem is not None:
                    raise UsageError(f"{pairs.path}: {problem}")
        finally:
            pool.shutdown(cancel_futures=True)


def first_sample(pairs: PairData) -> Sample:
    """The first training sample that decodes. Raises `NothingMatchedError` where the first 16 do not.

    Raises `UsageError` where any sample does not meet the recipe's conditions, or holds NaN.
    """
    require_finite(pairs.path, pairs.source, (*pairs.split.train, *pairs.split.validation))
    require_conditions(pairs)
    problem: ItemError | None = None
    for key in pairs.split.train[:_FIRST_LOOKS]:
        try:
            with item_border(key):
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
    }
