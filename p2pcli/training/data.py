"""The one door to what a run learns from: pairs, or two domains without pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from p2pcli.image import Sample
from p2pcli.io.base import Source
from p2pcli.io.left_out import LeftOut, TellsLeftOut
from p2pcli.recipe import Recipe
from p2pcli.training.augment import OnTheFly, Square
from p2pcli.training.dataset import PairData, Split, data_identity, first_sample, open_pairs
from p2pcli.training.domains import DomainData, open_two_domains
from p2pcli.training.failures import FailureLog
from p2pcli.training.sampler import Slot


class TrainingData(Protocol):
    """What the loop, validation and the job ask of data. Every method is safe from many threads."""

    path: Path
    source: Source
    split: Split
    on_the_fly: OnTheFly | None

    def sized(self, size: int) -> TrainingData:
        """The same data for squares of `size` px."""

    def training_square(self, slot: Slot, failures: FailureLog) -> Square:
        """The augmented squares for one place in an epoch's order."""

    def validation_square(self, key: str) -> Square:
        """The squares for one validation key, always the same. Raises `ItemError`."""


DATA: dict[str, Callable[..., PairData | DomainData]] = {"paired": open_pairs, "unpaired": open_two_domains}
"""Task → what opens its data: (path, recipe, limit=) → data."""


def open_data(path: Path, recipe: Recipe, *, limit: int | None = None) -> PairData | DomainData:
    """Open DATA for the recipe's task; `limit` keeps only the first so many pairs, or pictures of a domain.

    Raises `P2PError` children where DATA and recipe do not fit together, or there is nothing to train on.
    """
    return DATA[recipe.task](path, recipe, limit=limit)


def identity_of(data: PairData | DomainData) -> dict[str, object]:
    """What a resumed run compares."""
    return data.identity() if isinstance(data, DomainData) else data_identity(data)


def left_out_of(data: TrainingData) -> LeftOut:
    """What was left out of the files that were read so far."""
    whole = LeftOut()
    sources = (data.source, data.source_b) if isinstance(data, DomainData) else (data.source,)
    whole.take(source.left_out for source in sources if isinstance(source, TellsLeftOut))
    return whole


def one_sample(data: PairData | DomainData) -> Sample:
    """A training sample that decodes. Raises `NothingMatchedError` where the first 16 do not."""
    return data.first_sample() if isinstance(data, DomainData) else first_sample(data)
