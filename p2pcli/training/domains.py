"""The pictures of an unpaired run: two domains of any numbers, met anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from p2pcli.errors import ItemError, NothingMatchedError, RecipeError, item_border
from p2pcli.image import Image, Sample, as_gray8, as_rgb8, fit_geometry, resize
from p2pcli.io.base import Source
from p2pcli.io.domains import open_domains
from p2pcli.plan import fingerprint
from p2pcli.randomness import rng_for
from p2pcli.recipe import Data, Recipe
from p2pcli.training.augment import Loaded, OnTheFly, Square, at_size
from p2pcli.training.cache import LoadedCache
from p2pcli.training.dataset import Split, layout_of, require_pictures, split_keys
from p2pcli.training.failures import FailureLog
from p2pcli.training.finite import require_finite
from p2pcli.training.first_reads import FirstReads
from p2pcli.training.sampler import Slot

_FIRST_LOOKS = 16
_ROUND = "//"
"""Keys are clean paths, so that none of them holds this."""
_DOMAIN_B = "B: "
"""Before the key of a picture of B where a failure is recorded; both domains may use one key."""


@dataclass
class DomainData:
    """Reads, caches and augments the pictures of two domains. Every method is safe from many threads.

    An epoch has as many places as the larger domain has pictures (as published); domain A goes round, and
    each place draws its picture of B from (seed, epoch, key). `split` holds the keys of places: those of A,
    with //2, //3, … after them where A goes round again.
    """

    path: Path
    source: Source
    """Domain A."""
    source_b: Source
    split: Split
    split_b: Split
    data: Data
    seed: int
    on_the_fly: OnTheFly | None = None
    cache: LoadedCache = field(default_factory=LoadedCache, repr=False)
    first_reads: FirstReads = field(default_factory=FirstReads, repr=False)

    def identity(self) -> dict[str, object]:
        """What a resumed run compares: the names of both domains and where they divide."""
        splits = (self.split, self.split_b)
        return {
            "training pictures": [len(split.train) for split in splits],
            "validation pictures": [len(split.validation) for split in splits],
            "names": fingerprint([[split.train, split.validation] for split in splits]),
            "layout": layout_of(self.source),
        }

    def first_sample(self) -> Sample:
        """The first picture of A that decodes. Raises `NothingMatchedError` where the first 16 do not.

        Raises `UsageError` where a picture holds NaN.
        """
        a = {without_round(place): None for place in (*self.split.train, *self.split.validation)}
        b = (*self.split_b.train, *self.split_b.validation)
        reading = self.first_reads.reading
        require_finite(self.path, self.source, a, reading=reading)
        require_finite(self.path, self.source_b, b, reading=lambda key: reading(_named("B", key)))
        problem: ItemError | None = None
        for place in self.split.train[:_FIRST_LOOKS]:
            try:
                key = without_round(place)
                with item_border(place), reading(key):
                    return self.source.read(key)
            except ItemError as error:
                problem = problem or error
        raise NothingMatchedError(f"{self.path}: domain A cannot be read; its first picture: {problem}")

    def sized(self, size: int) -> DomainData:
        """The same pictures for squares of `size` px, with their own cache; this itself at its own size."""
        if size == self.data.size:
            return self
        return replace(self, data=at_size(self.data, size), cache=LoadedCache())

    def training_square(self, slot: Slot, failures: FailureLog) -> Square:
        """A picture of A as `input` and one of B as `target`, each with a crop and mirroring of its own.

        A picture that cannot be read is recorded and replaced by the next one. Raises `NothingMatchedError`
        where a domain has none that can be read.
        """
        rng = rng_for(self.seed, "augment", slot.epoch, slot.key)
        keys = [without_round(key) for key in slot.candidates()]
        a = self._first_readable("A", keys, failures)
        b = self._first_readable("B", self._partners(slot), failures)
        return Square(
            _cut(a, data=self.data, rng=rng),
            _cut(b, data=self.data, rng=rng),
        )

    def validation_square(self, key: str) -> Square:
        """The picture `key` of A and one of B, central crops, no mirroring. Raises `ItemError`."""
        partners = self.split_b.validation or self.split_b.train
        place = (self.split.validation or self.split.train).index(key)
        size = self.data.size
        a = self._load("A", without_round(key), size)
        b = self._load("B", partners[place % len(partners)], size)
        return Square(
            _cut(a, data=self.data, rng=None),
            _cut(b, data=self.data, rng=None),
        )

    def read_once(self, name: str) -> None:
        """Decode the picture that failures call `name` as training does. Raises `ItemError`."""
        domain = "B" if name.startswith(_DOMAIN_B) else "A"
        self._load(domain, name.removeprefix(_DOMAIN_B), self.data.load_size or self.data.size)

    def _partners(self, slot: Slot) -> list[str]:
        """The keys of B that a place takes: one drawn for it, then its successors."""
        keys = self.split_b.train
        first = int(rng_for(self.seed, "partner", slot.epoch, slot.key).integers(len(keys)))
        return [*keys[first:], *keys[:first]]

    def _first_readable(self, domain: str, keys: list[str], failures: FailureLog) -> Loaded:
        side = self.data.load_size or self.data.size
        for key in keys:
            name = _named(domain, key)
            if name in failures:
                continue
            try:
                return self._load(domain, key, side)
            except ItemError as error:
                failures.record(name, error)
        raise NothingMatchedError(
            f"{self.path}: none of the pictures of domain {domain} can be read; the last failure: "
            f"{failures.rows[-1].message}"
        )

    def _load(self, domain: str, key: str, side: int) -> Loaded:
        source = self.source if domain == "A" else self.source_b
        channels = self.data.input_channels if domain == "A" else self.data.target_channels

        def load() -> Loaded:
            with item_border(key), self.first_reads.reading(_named(domain, key)):
                image = source.read(key).input
                return Loaded(None, _fitted(image, self.data, side=side, channels=channels, name=key))

        return self.cache.get(f"{domain}/{side}/{key}", load)


def open_two_domains(path: Path, recipe: Recipe, *, limit: int | None = None) -> DomainData:
    """Open DATA for unpaired training. `limit` keeps only the first so many pictures of each domain.

    Raises `UsageError` or `RecipeError` where DATA and recipe do not fit together, `NothingMatchedError`
    where a domain is empty.
    """
    require_pictures(recipe)
    if recipe.pairs.maker is not None:
        raise RecipeError(
            f"pairs.maker {recipe.pairs.maker} makes pairs, and task unpaired learns without. Leave [pairs] "
            f'out, or set task="paired".'
        )
    data = recipe.data
    a, b = open_domains(
        path, layout=data.layout, input_side=data.input_folder, target_side=data.target_folder
    )
    split_a, split_b = (
        split_keys(source, share=data.validation, limit=limit, group=data.group) for source in (a, b)
    )
    for domain, split in (("A", split_a), ("B", split_b)):
        if not split.train:
            raise NothingMatchedError(f"{path}: domain {domain} holds no picture to train on.")
    places = rounds(split_a.train, max(len(split_a.train), len(split_b.train)))
    split = Split(places, split_a.validation, split_a.origin, groups=split_a.groups)
    return DomainData(path, a, b, split, split_b, data, recipe.train.seed)


def rounds(keys: tuple[str, ...], count: int) -> tuple[str, ...]:
    """`count` places that go round `keys`: a, b, a//2, b//2, …"""
    return tuple(
        keys[place % len(keys)] + (f"{_ROUND}{place // len(keys) + 1}" if place >= len(keys) else "")
        for place in range(count)
    )


def without_round(place: str) -> str:
    """The key of the picture behind a place: "b" for "b//2"."""
    return place.partition(_ROUND)[0]


def _named(domain: str, key: str) -> str:
    """What failures call the picture `key` of `domain`."""
    return key if domain == "A" else f"{_DOMAIN_B}{key}"


def _fitted(image: Image, data: Data, *, side: int, channels: int, name: str) -> Image:
    """`image` at load size: `side` × `side`, its shorter side at `side`, or as it is, as `data.fit` says."""
    plain = as_gray8(image) if channels == 1 else as_rgb8(image)
    if data.fit == "source":
        if min(plain.shape[:2]) < data.size:
            raise ItemError(
                f"{name}: {plain.shape[1]}×{plain.shape[0]} is smaller than data.size {data.size}, and "
                f"data.fit=source never resizes. Leave it out, or set data.fit=crop."
            )
        return plain
    if data.fit == "stretch":
        return resize(plain, side, side, kernel="bicubic")
    geometry = fit_geometry(plain.shape[1], plain.shape[0], size=side, fit="inside")
    return resize(plain, geometry.width, geometry.height, kernel="bicubic")


def _cut(loaded: Loaded, *, data: Data, rng: np.random.Generator | None) -> Image:
    """A `data.size` square: place and mirroring drawn from `rng`; without one central and as it is."""
    image = loaded.target
    spare_x, spare_y = image.shape[1] - data.size, image.shape[0] - data.size
    left, top, mirrored = spare_x // 2, spare_y // 2, False
    if rng is not None:
        if data.load_size is not None or data.fit == "source":
            left, top = int(rng.integers(spare_x + 1)), int(rng.integers(spare_y + 1))
        mirrored = data.flip and float(rng.random()) < 0.5
    square = image[top : top + data.size, left : left + data.size]
    return np.ascontiguousarray(square[:, ::-1] if mirrored else square)
