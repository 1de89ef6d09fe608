"""The job behind `p2p cluster`: the looks that a pix2pixHD model can choose from, stored in the model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2pcli.conditions import instance_ids, label_ids
from p2pcli.errors import ExitCode, ItemError, NothingMatchedError, UsageError, item_border
from p2pcli.events import Advanced, Ended, Note, Observer, Started, Stop, ignore
from p2pcli.inference.clusters import CLUSTERS_PER_CLASS, cluster_features, instances_in, without_clusters
from p2pcli.inference.device import choose_device
from p2pcli.inference.model_file import model_in, read_model, save_model, with_weights
from p2pcli.io.atomic import sweep_stale_of
from p2pcli.io.lock import locked
from p2pcli.io.places import path_of
from p2pcli.nets import Network
from p2pcli.plan import Failure, Tally
from p2pcli.recipe import FeatureEncoder, Recipe
from p2pcli.tasks.networks import encoder_name, required_encoder, state_of, states_by_name
from p2pcli.tensors import stacked
from p2pcli.training.augment import Square
from p2pcli.training.batches import squares_to_batch
from p2pcli.training.data import TrainingData, one_sample, open_data
from p2pcli.training.run_folder import RunFolder

STAGE = "cluster"
_SMALLEST_SHARE = 1 / 64
"""Of the picture. Smaller instances do not count, as published."""

Features = dict[int, list[NDArray[np.float32]]]
"""Class → one feature vector an instance."""


@dataclass
class ClusterReport:
    """How many looks each class has now, and where they are stored."""

    output: Path
    tally: Tally = field(default_factory=Tally)
    """Counts pairs."""
    interrupted: bool = False
    seconds: float = 0.0
    looks: dict[int, int] = field(default_factory=dict)
    """Class → number of clusters."""

    @property
    def exit_code(self) -> ExitCode:
        """0, or 3 with pairs that could not be read."""
        return ExitCode.ITEMS_FAILED if self.tally.failed else ExitCode.OK

    def as_json(self) -> dict[str, object]:
        """All of it, as JSON-able values."""
        return {
            "output": str(self.output),
            "looks": {str(label): count for label, count in self.looks.items()},
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
            **self.tally.as_json(),
        }


def cluster(
    data: str | Path,
    *,
    model: str | Path,
    output: str | Path | None = None,
    clusters: int = CLUSTERS_PER_CLASS,
    device: str = "auto",
    seed: int = 0,
    limit: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    observe: Observer = ignore,
    stop: Stop | None = None,
) -> ClusterReport:
    """Encode the instances of the training pairs in `data`; store clusters of their features in the model.

    `model` is a pix2pixHD model with its feature encoder, or a run folder; `output` None: that file itself,
    whose networks stay as they are. Each class gets at most `clusters` looks, by k-means over its instances
    larger than 1/64 of the picture (1711.11585, section 3.4, and its code). Raises `UsageError` where the
    model has no such encoder, `NothingMatchedError` where no instance is large enough.
    """
    started = time.monotonic()
    if clusters < 1:
        raise UsageError(f"clusters {clusters}: expected at least 1.")
    data, source = path_of(data, "data"), model_in(path_of(model, "model"))
    target = source if output is None else Path(output)
    if target != source and target.exists() and not overwrite:
        raise UsageError(f"{target}: is there already. Name another -o, or add --overwrite.")
    # A run that still trains writes its models too, and would lose the looks or be lost to them.
    in_run = RunFolder(target.parent).is_run
    with locked(*([] if dry_run else [target.parent if in_run else target]), observe=observe):
        state, recipe, info = read_model(source)
        place = choose_device(device)
        encoder = _encoder_in(source, state, recipe, place)
        pairs = open_data(data, recipe, limit=limit)
        one_sample(pairs)
        report = ClusterReport(target, Tally(planned=len(pairs.split.train)))
        features = _collected(pairs, encoder, place, report, observe, stop or Stop())
        report.tally.close(interrupted=report.interrupted)
        report.seconds = time.monotonic() - started
        if report.interrupted:
            return report
        if not features:
            raise NothingMatchedError(
                f"{data}: no instance is larger than 1/64 of its picture, so there is nothing to cluster. "
                f"Expected the pairs that the model was trained on, with their instance maps."
            )
        found = cluster_features(features, most=clusters, seed=seed)
        report.looks = {int(label): int((found.classes == label).sum()) for label in np.unique(found.classes)}
        observe(Note(f"{len(found.classes)} looks of {len(report.looks)} classes"))
        if not dry_run:
            sweep_stale_of(target)
            save_model(target, {**without_clusters(state), **found.tensors()}, recipe=recipe, info=info)
        return report


def _encoder_in(source: Path, state: Mapping[str, Tensor], recipe: Recipe, device: torch.device) -> Network:
    name = encoder_name(recipe)
    if not isinstance(recipe.encoder, FeatureEncoder) or name not in states_by_name(state):
        raise UsageError(
            f"{source}: has no encoder of instance features. Expected a pix2pixHD model that was trained "
            f"with encoder.name=pix2pixhd_features, or imported with its latest_net_E.pth."
        )
    build = partial(required_encoder, recipe)
    encoder = with_weights(source, build, state_of(state, name), section=recipe.encoder)
    return encoder.to(device).eval().requires_grad_(False)


def _collected(
    pairs: TrainingData,
    encoder: Network,
    device: torch.device,
    report: ClusterReport,
    observe: Observer,
    stop: Stop,
) -> Features:
    """The features of all training pairs; those that cannot be read are counted in `report`."""
    features: Features = {}
    keys = pairs.split.train
    observe(Started(STAGE, len(keys), "pair"))
    for index, key in enumerate(keys):
        if stop.is_set():
            report.interrupted = True
            break
        try:
            with item_border(key, stage="make"):
                _add_features(features, pairs.validation_square(key), encoder, device)
            report.tally.written += 1
        except ItemError as error:
            row = Failure(key, str(pairs.path), error.stage, type(error).__name__, str(error))
            report.tally.failed.append(row)
        observe(Advanced(STAGE, index + 1, len(report.tally.failed)))
    observe(Ended(STAGE))
    return features


def _add_features(features: Features, square: Square, encoder: Network, device: torch.device) -> None:
    """Append the feature of every instance that is large enough to those of its class."""
    batch = squares_to_batch((square,), device=device, channels_last=False)
    with torch.no_grad():
        planes = encoder(batch.target, batch.instances)[0].cpu().numpy()
    packed = stacked([square.input])
    ids, labels = instance_ids(packed, square.data), label_ids(packed, square.data)
    assert ids is not None
    found = instances_in(ids[0, 0].numpy(), None if labels is None else labels[0, 0].numpy())
    flat = planes.reshape(len(planes), -1)
    for label, middle, count in zip(found.classes, found.middles, found.counts, strict=True):
        if count > flat.shape[1] * _SMALLEST_SHARE:
            features.setdefault(label, []).append(flat[:, middle])
