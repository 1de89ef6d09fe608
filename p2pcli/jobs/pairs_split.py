"""Which pairs go to train, validation and test: by a hash of their group, so that frames of one film stay
together and adding inputs moves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from p2pcli.errors import UsageError
from p2pcli.randomness import fraction_for

SPLITS = ("train", "validation", "test")

_ITEMS_FOR_VALIDATION, _ITEMS_FOR_TEST = 3, 10

T = TypeVar("T")


@dataclass(frozen=True)
class Group(Generic[T]):
    """Items that belong together: one image, the frames of one film in order of time, or several images."""

    key: str
    items: tuple[T, ...]
    is_film: bool = False
    is_clip: bool = False
    """Several images: never divided where there is another group."""


def check_split(split: Sequence[float]) -> tuple[float, float, float]:
    """The three shares, scaled to a sum of 1. Raises `UsageError`."""
    # NaN is above nothing, so what is asked is what a share must be.
    are_shares = len(split) == 3 and all(0 <= share <= 1.01 for share in split) and split[0] > 0
    if not (are_shares and abs(sum(split) - 1) <= 0.01):
        shown = "/".join(f"{share:g}" for share in split)
        raise UsageError(
            f"split {shown}: expected three shares for train, validation and test that sum to 1, "
            "such as 0.9/0.05/0.05."
        )
    total = sum(split)
    return split[0] / total, split[1] / total, split[2] / total


def assign_splits(
    groups: Sequence[Group[T]], shares: tuple[float, float, float], *, seed: int
) -> dict[str, list[T]]:
    """Items of each split, in the order of the groups.

    Train gets at least one group; from 3 items on validation gets at least one, from 10 on test too, and both
    at least half their share. Where whole groups are too coarse for that (one film, a few films), each film
    is cut into contiguous blocks of time instead. Clips are moved whole, however long, and are cut only where
    one is all there is; so a split may stay empty.
    """
    total = sum(len(group.items) for group in groups)
    places = {group.key: _place(group.key, shares, seed) for group in groups}
    filled = [group for group in groups if group.items]
    if filled and not _count(groups, places, "train"):
        places[min(filled, key=lambda group: fraction_for(seed, "split", group.key)).key] = "train"
    for split, at_least, share in (
        ("validation", _ITEMS_FOR_VALIDATION, shares[1]),
        ("test", _ITEMS_FOR_TEST, shares[2]),
    ):
        if total < at_least or share == 0:
            continue
        wanted = max(1, int(share * total / 2))
        while _count(groups, places, split) < wanted:
            moved = _movable(groups, places, share * total, seed)
            if moved is None:
                return _by_time(groups, places, shares)
            places[moved.key] = split
    return {
        name: [i for group in groups if places[group.key] == name for i in group.items] for name in SPLITS
    }


def _place(key: str, shares: tuple[float, float, float], seed: int) -> str:
    fraction = fraction_for(seed, "split", key)
    if fraction < shares[0]:
        return "train"
    return "validation" if fraction < shares[0] + shares[1] or shares[2] == 0 else "test"


def _count(groups: Sequence[Group[T]], places: dict[str, str], split: str) -> int:
    return sum(len(group.items) for group in groups if places[group.key] == split)


def _movable(groups: Sequence[Group[T]], places: dict[str, str], wanted: float, seed: int) -> Group[T] | None:
    """The train group that a too small split gets: a small one, the nearest to it by hash."""
    candidates = [group for group in groups if places[group.key] == "train" and group.items]
    fitting = [group for group in candidates if len(group.items) <= max(1.0, 3 * wanted)]
    if len(candidates) < 2:
        return None
    if not fitting:
        clips = [group for group in candidates if group.is_clip]
        return min(clips, key=lambda group: (len(group.items), group.key), default=None)
    return max(fitting, key=lambda group: fraction_for(seed, "split", group.key))


def _by_time(
    groups: Sequence[Group[T]], places: dict[str, str], shares: tuple[float, float, float]
) -> dict[str, list[T]]:
    assigned: dict[str, list[T]] = {name: [] for name in SPLITS}
    is_alone = sum(bool(group.items) for group in groups) == 1
    for group in groups:
        count = len(group.items)
        is_cut = group.is_film or (group.is_clip and is_alone)
        if not is_cut or count < _ITEMS_FOR_VALIDATION:
            assigned[places[group.key]] += group.items
            continue
        validation = max(1, round(count * shares[1])) if shares[1] else 0
        test = max(1, round(count * shares[2])) if shares[2] and count >= _ITEMS_FOR_TEST else 0
        first, second = count - validation - test, count - test
        assigned["train"] += group.items[:first]
        assigned["validation"] += group.items[first:second]
        assigned["test"] += group.items[second:]
    return assigned
