"""What is measured on held-out pictures, with the papers' own definitions where they give one.

A measure has statistics, one row a picture, and a value of their sum: so it can be taken over any draw of the
pictures, which is what intervals are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from p2pcli.image import Image, as_rgb8
from shapes.data import LABELS, HeldOut

Statistics = NDArray[np.float64]
"""(pictures, numbers)."""

_SR_BORDER_PX = 4
_STEEPNESS = np.concatenate([[0], np.geomspace(2**-8, 1, 25)])
_FARTHEST_DB = 100.0


@dataclass(frozen=True)
class Results:
    """What a run makes of the held-out pictures. `returned` is what comes back from unpaired models."""

    held_out: HeldOut
    pictures: tuple[Image, ...]
    read: Callable[[tuple[Image, ...]], Sequence[Image]] | None = None
    """Reads ids (H, W) off pictures."""
    returned: tuple[Image, ...] = ()

    @cached_property
    def ids(self) -> Sequence[Image]:
        """The labels that are read off the pictures."""
        assert self.read is not None
        return self.read(self.pictures)


@dataclass(frozen=True)
class Measure:
    """Its name, what it is, and how it is taken."""

    title: str
    about: str
    statistics: Callable[[Results], Statistics]
    value: Callable[[NDArray[np.float64]], float]
    digits: int = 3
    compares: bool = False
    """True where the real pictures themselves have no value of interest."""


def _mean_of_first(sums: NDArray[np.float64]) -> float:
    return float(sums[0] / sums[1])


def _gradient(picture: Image) -> NDArray[np.float64]:
    """Length of the gradient of luma in [0, 1], by central differences, (H - 2, W - 2)."""
    gray = cv2.cvtColor(as_rgb8(picture).astype(np.float32) / 255, cv2.COLOR_RGB2GRAY).astype(np.float64)
    across, down = gray[1:-1, 2:] - gray[1:-1, :-2], gray[2:, 1:-1] - gray[:-2, 1:-1]
    length: NDArray[np.float64] = np.hypot(across, down) / 2
    return length


def _energies(results: Results) -> Statistics:
    pairs = zip(results.pictures, results.held_out.targets, strict=True)
    return np.array([[np.square(_gradient(image)).sum() for image in pair] for pair in pairs])


def _lengths(results: Results) -> Statistics:
    pairs = zip(results.pictures, results.held_out.targets, strict=True)
    return np.array([[_gradient(image).mean() for image in pair] for pair in pairs])


def _steepness(results: Results) -> Statistics:
    pairs = zip(results.pictures, results.held_out.targets, strict=True)
    return np.array(
        [np.concatenate([_histogram(_gradient(image), _STEEPNESS) for image in pair]) for pair in pairs]
    )


def _histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return counts / values.size


def _intersection(sums: NDArray[np.float64]) -> float:
    first, second = np.split(sums, 2)
    return float(np.minimum(first / first.sum(), second / second.sum()).sum())


def _colours(channel: int) -> Callable[[Results], Statistics]:
    """Histograms of one channel of Lab, bins of width 1: L in 0 … 100, a and b in -110 … 110."""
    edges = np.arange(0, 101.0) if channel == 0 else np.arange(-110, 111.0)

    def statistics(results: Results) -> Statistics:
        pairs = zip(results.pictures, results.held_out.targets, strict=True)
        return np.array([np.concatenate([of(image) for image in pair]) for pair in pairs])

    def of(image: Image) -> NDArray[np.float64]:
        lab = cv2.cvtColor(as_rgb8(image).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        return _histogram(lab[:, :, channel].astype(np.float64), edges)

    return statistics


def _confusion(results: Results) -> Statistics:
    """Counts of (label, label read off) for each picture."""
    count = len(LABELS)
    rows = []
    for truth, read in zip(results.held_out.labels, results.ids, strict=True):
        codes = truth.astype(np.int64).ravel() * count + read.ravel()
        rows.append(np.bincount(codes, minlength=count * count))
    return np.array(rows, np.float64)


def _accuracy(sums: NDArray[np.float64]) -> float:
    matrix = sums.reshape(len(LABELS), -1)
    return float(np.trace(matrix) / matrix.sum())


def _mean_iou(sums: NDArray[np.float64]) -> float:
    matrix = sums.reshape(len(LABELS), -1)
    present = matrix.sum(axis=1) > 0
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    return float((np.diag(matrix)[present] / union[present]).mean())


def _distances(results: Results) -> Statistics:
    pairs = zip(results.pictures, results.held_out.targets, strict=True)
    return np.array([[_apart(*pair), 1.0] for pair in pairs])


def _returns(results: Results) -> Statistics:
    pairs = zip(results.returned, results.held_out.inputs, strict=True)
    return np.array([[_apart(*pair), 1.0] for pair in pairs])


def _psnr(results: Results) -> Statistics:
    """Of Y (BT.601), without a border of 4 px, as SRGAN has it."""
    rows = []
    for pair in zip(results.pictures, results.held_out.targets, strict=True):
        inner = np.s_[_SR_BORDER_PX:-_SR_BORDER_PX, _SR_BORDER_PX:-_SR_BORDER_PX]
        result, target = (image[inner].astype(np.float64) @ [65.481, 128.553, 24.966] / 255 for image in pair)
        error = float(np.square(result - target).mean())
        rows.append([min(_FARTHEST_DB, 10 * np.log10(255**2 / max(error, 1e-12))), 1.0])
    return np.array(rows)


def _apart(first: Image, second: Image) -> float:
    return float(np.abs(first.astype(np.float64) - second).mean() / 255)


def _small(pictures: Sequence[Image]) -> NDArray[np.float32]:
    """Pictures at 16×16, flat: what differs between them then is what they show."""
    return np.array(
        [cv2.resize(p, (16, 16), interpolation=cv2.INTER_AREA).ravel() for p in pictures], np.float32
    )


def _from_one_another(pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    distances = np.abs(pictures[:, None] - pictures[None]).mean(axis=2, dtype=np.float64)
    return distances.sum(axis=1) / (len(pictures) - 1)


def _spreads(results: Results) -> Statistics:
    sets = (results.pictures, results.held_out.targets)
    return np.stack([_from_one_another(_small(pictures)) for pictures in sets], axis=1)


def _own_targets(results: Results) -> Statistics:
    """For each picture the share of the other pictures' targets that are farther from it than its own."""
    made, targets = _small(results.pictures), _small(results.held_out.targets)
    distances = np.abs(made[:, None] - targets[None]).mean(axis=2, dtype=np.float64)
    own = np.diag(distances)[:, None]
    shares = (distances > own).sum(axis=1) / (len(made) - 1)
    return np.stack([shares, np.ones(len(made))], axis=1)


_LAB = "intersection of its histogram in Lab (bins of 1) with the real pictures' (pix2pix, section 4.2)"
_READ = (
    "labels read off the results against the input's: off relief by the nearest label colour, after the same "
    "9 px median that made the labels; off satellite pictures by a U-Net trained on real ones with L1, in "
    "the place of the papers' FCN"
)

MEASURES: dict[str, Measure] = {
    "energy": Measure(
        "gradient energy",
        "squared gradient of luma, summed over all held-out pictures, as a share of the real pictures'",
        _energies,
        _mean_of_first,
        digits=2,
    ),
    "gradient": Measure(
        "mean gradient",
        "its mean length likewise: a few steep edges, of snow or coasts, count for less in it",
        _lengths,
        _mean_of_first,
        digits=2,
    ),
    "steepness": Measure(
        "gradient histogram",
        "intersection of the histogram of gradient lengths (25 geometric bins) with the real pictures': both "
        "blur and noise lower it",
        _steepness,
        _intersection,
    ),
    "L": Measure("histogram L", _LAB, _colours(0), _intersection),
    "a": Measure("histogram a", _LAB, _colours(1), _intersection),
    "b": Measure("histogram b", _LAB, _colours(2), _intersection),
    "accuracy": Measure("label accuracy", _READ, _confusion, _accuracy),
    "iou": Measure("label mIoU", _READ, _confusion, _mean_iou),
    "l1": Measure(
        "L1 to the target",
        "mean absolute difference, pictures in 0 … 1",
        _distances,
        _mean_of_first,
        compares=True,
    ),
    "psnr": Measure(
        "PSNR of Y, dB",
        "mean over pictures, 4 px border cut (SRGAN, section 3.1)",
        _psnr,
        _mean_of_first,
        digits=2,
        compares=True,
    ),
    "spread": Measure(
        "spread",
        "mean distance between results of different inputs at 16×16 px, as a share of that between real "
        "pictures",
        _spreads,
        _mean_of_first,
        digits=2,
    ),
    "own": Measure(
        "own target nearest",
        "share of the other held-out targets that are farther from a result than its own, at 16×16 px; .5 is "
        "chance",
        _own_targets,
        _mean_of_first,
        compares=True,
    ),
    "cycle": Measure(
        "L1 there and back",
        "relief → satellite → relief against the first, pictures in 0 … 1",
        _returns,
        _mean_of_first,
        compares=True,
    ),
}
"""Name → measure."""
