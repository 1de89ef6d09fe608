"""Clusters of instance features (pix2pixHD, 1711.11585, section 3.4): the looks that a class can have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2pcli.errors import UsageError
from p2pcli.randomness import rng_for
from p2pcli.stored_tensors import RefusedError, read_header

CLUSTERS_PER_CLASS = 10
"""As published."""

_PREFIX = "clusters."
_STARTS, _ROUNDS = 10, 100

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Centres of the features that instances of each class have, the commonest of a class first."""

    centres: NDArray[np.float32]
    """(n, features)."""
    classes: NDArray[np.int64]
    """(n,): the class of each centre, in ascending order."""
    counts: NDArray[np.int64]
    """(n,): instances around each centre."""

    def of_class(self, label: int) -> NDArray[np.float32]:
        """The centres of class `label` (k, features), the commonest first; none for a class never seen."""
        centres: NDArray[np.float32] = self.centres[self.classes == label]
        return centres

    def tensors(self) -> dict[str, Tensor]:
        """As a model file holds them, beside its networks."""
        return {
            f"{_PREFIX}centres": torch.from_numpy(self.centres),
            f"{_PREFIX}classes": torch.from_numpy(self.classes),
            f"{_PREFIX}counts": torch.from_numpy(self.counts),
        }


def clusters_in(state: Mapping[str, Tensor], *, features: int | None = None) -> Clusters | None:
    """The clusters in a model file's state; None where it has none.

    Raises `UsageError` where they are no clusters, or none of an encoder that gives so many `features`.
    """
    found = [state.get(f"{_PREFIX}{name}") for name in ("centres", "classes", "counts")]
    tensors = [tensor for tensor in found if tensor is not None]
    if len(tensors) < 3:
        return None
    centres, classes, counts = tensors
    fit = centres.dim() == 2 and features in (None, centres.shape[1]) and centres.is_floating_point()
    fit &= all(one.shape == centres.shape[:1] and one.dtype == torch.int64 for one in (classes, counts))
    if not fit:
        raise UsageError(
            f"the model's clusters are {tuple(centres.shape)}, {tuple(classes.shape)} and "
            f"{tuple(counts.shape)}; expected (n, {features or 'features'}), (n,) and (n,). Store them anew: "
            f"p2p cluster."
        )
    return Clusters(centres.float().numpy(), classes.numpy(), counts.numpy())


def holds_clusters(path: Path) -> bool:
    """True where the file at `path` is a model with clusters in it; only its header is read."""
    try:
        return any(name.startswith(_PREFIX) for name in read_header(path).names)
    except (OSError, RefusedError):
        return False


def without_clusters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model file's state with its networks alone."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(_PREFIX)}


class Instances(NamedTuple):
    """The instances of one picture."""

    ids: list[int]
    classes: list[int]
    middles: NDArray[np.int64]
    """For each the flat index of its middle pixel, in reading order."""
    counts: NDArray[np.int64]
    """For each its pixels."""
    places: NDArray[np.int64]
    """(pixels,): the index of the instance that each lies in."""


def instances_in(ids: NDArray[Any], classes: NDArray[Any] | None) -> Instances:
    """The instances in `ids` (H, W). The class of each is that of its middle pixel in `classes` (H, W).

    Without classes it is in the id, as Cityscapes numbers them: 26 or 26003 are class 26.
    """
    found, places, counts = np.unique(ids, return_inverse=True, return_counts=True)
    places = places.reshape(-1)
    in_order = np.argsort(places, kind="stable")
    middles = in_order[np.cumsum(counts) - counts + counts // 2]
    labels = np.where(found < 1000, found, found // 1000)
    if classes is not None:
        labels = classes.reshape(-1)[middles]
    return Instances(found.tolist(), labels.tolist(), middles, counts, places)


def cluster_features(
    features: Mapping[int, Sequence[NDArray[np.float32]]],
    *,
    most: int = CLUSTERS_PER_CLASS,
    seed: int = 0,
) -> Clusters:
    """At most `most` centres for each class of `features` (class → one vector an instance).

    The draws of a class depend on `seed` and the class alone. Raises `ValueError` where no class has any.
    """
    centres, classes, counts = [], [], []
    for label in sorted(features):
        points = np.asarray(features[label], np.float64)
        if not len(points):
            continue
        found, nearest = k_means(points, min(most, len(points)), rng=rng_for(seed, "clusters", label))
        sizes = np.bincount(nearest, minlength=len(found))
        order = np.argsort(-sizes, kind="stable")
        order = order[sizes[order] > 0]
        centres.append(found[order])
        counts.append(sizes[order])
        classes.append(np.full(len(order), label))
    if not centres:
        raise ValueError("no instance has a feature to cluster")
    return Clusters(
        np.concatenate(centres).astype(np.float32),
        np.concatenate(classes).astype(np.int64),
        np.concatenate(counts).astype(np.int64),
    )


def k_means(points: Points, count: int, *, rng: np.random.Generator) -> tuple[Points, NDArray[np.int64]]:
    """`count` centres (count, d) of `points` (n, d), and the index of the nearest for each point.

    The best of ten runs of Lloyd's algorithm, each seeded by k-means++ (Arthur & Vassilvitskii 2007).
    """
    best: tuple[Points, NDArray[np.int64]] | None = None
    least = np.inf
    for _ in range(_STARTS):
        centres = _seeded(points, count, rng)
        for _ in range(_ROUNDS):
            nearest = _squares(points, centres).argmin(axis=1)
            moved = centres.copy()
            for index in range(count):
                mine = points[nearest == index]
                if len(mine):
                    moved[index] = mine.mean(axis=0)
            if np.array_equal(moved, centres):
                break
            centres = moved
        squares = _squares(points, centres)
        total = float(squares.min(axis=1).sum())
        if total < least:
            best, least = (centres, squares.argmin(axis=1)), total
    assert best is not None
    return best


def _seeded(points: Points, count: int, rng: np.random.Generator) -> Points:
    """First centres, each drawn with a chance that grows with its squared distance from those before."""
    chosen = [points[int(rng.integers(len(points)))]]
    while len(chosen) < count:
        squares = _squares(points, np.stack(chosen)).min(axis=1)
        total = squares.sum()
        chances = squares / total if total else None
        chosen.append(points[int(rng.choice(len(points), p=chances))])
    return np.stack(chosen)


def _squares(points: Points, centres: Points) -> Points:
    """Squared distances (n, k)."""
    squares: Points = np.square(points[:, None] - centres[None]).sum(axis=2)
    return squares
