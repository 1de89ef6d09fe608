"""When a run is written to disk, and in which order: whatever a kill leaves behind can be resumed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from p2pcli.events import Note, Observer
from p2pcli.inference.clusters import holds_clusters
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.recipe import FeatureEncoder
from p2pcli.tasks.networks import model_state
from p2pcli.training.checkpoint import save_state
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.state import Measured, TrainState

_COST_LIMIT = 0.02
"""Checkpoints at epoch ends take at most this share of the time; tiny data sets have very short epochs."""


class Keeper:
    """Writes model files and training states of one run."""

    def __init__(self, folder: RunFolder, *, minutes: float, keep_last: int, observe: Observer) -> None:
        self._folder = folder
        self._observe = observe
        self._seconds = minutes * 60
        self._keep_last = keep_last
        self._last_end = time.monotonic()
        self._last_cost = 0.0

    def is_due(self, *, ends_epoch: bool) -> bool:
        """True when the recipe's minutes have passed, or at an epoch's end where it costs little."""
        passed = time.monotonic() - self._last_end
        return passed >= self._seconds or (ends_epoch and passed * _COST_LIMIT >= self._last_cost)

    def save(self, run: TrainState) -> None:
        """Write the best model if there is a new one, the current model, and last the state that names them.

        The state comes last: a resumed run then finds model files that are at least as new, and writes them
        again with the same bytes.
        """
        start = time.monotonic()
        if run.best is not None and run.best_weights is not None:
            self._write_model(self._folder.best, run.best_weights, run, run.best)
            run.best_weights = None
        is_fresh = run.measured is not None and run.measured.step == run.step
        metrics = run.measured.metrics if run.measured is not None and is_fresh else {}
        measured = Measured(run.step, run.position.epoch, metrics)
        self._write_model(self._folder.model, model_state(run.generators), run, measured)
        save_state(self._folder.states, run.capture(), step=run.step, keep_last=self._keep_last)
        self._last_end = time.monotonic()
        self._last_cost = self._last_end - start

    def _write_model(
        self, path: Path, state: Mapping[str, Tensor], run: TrainState, measured: Measured
    ) -> None:
        if isinstance(run.recipe.encoder, FeatureEncoder) and holds_clusters(path):
            # They are clusters of what an older encoder made of the photos.
            text = (
                f"{path}: the looks that p2p cluster stored in it are those of the model before; it is now "
                f"that of step {measured.step}, without looks. Store them anew once the run has ended: "
                f"p2p cluster DATA -m {self._folder.path}."
            )
            self._observe(Note(text, level="warning"))
        save_model(path, state, recipe=run.recipe, info=_info(run, measured))


def _info(run: TrainState, measured: Measured) -> ModelInfo:
    return ModelInfo(
        role="generator",
        trained_size=run.size or run.recipe.data.size,
        step=measured.step,
        epoch=measured.epoch,
        metrics=dict(measured.metrics),
        maker=run.made_by.maker,
        maker_options=dict(run.made_by.options),
    )
