"""Figures that an older version took with other formulas, taken again: unlike ones are never compared."""

from __future__ import annotations

import copy

from p2pcli.errors import UsageError
from p2pcli.events import Note, Observer
from p2pcli.inference.model_file import read_model
from p2pcli.tasks.networks import state_of
from p2pcli.training.review import Review
from p2pcli.training.run_folder import RunFolder
from p2pcli.training.runlog import FORMULAS_ROW, RunLog
from p2pcli.training.state import Measured, TrainState


def remeasure(run: TrainState, review: Review, *, folder: RunFolder, observe: Observer) -> None:
    """Measure the best model and the current one of a restored run anew, if they are of older formulas.

    Only SSIM changed, so unpaired runs keep theirs. Where best.safetensors cannot be read, the search for the
    best model starts anew, and that is said. Disturbs nothing that training depends on.
    """
    if not run.has_older_figures or run.recipe.task != "paired":
        return
    is_current = run.measured is not None and run.measured.step == run.step
    had_best, run.best, run.measured = run.best is not None, None, None
    run.has_older_figures = False
    if run.step < review.last_step:
        RunLog(folder.log).write(FORMULAS_ROW, run.step, {})
    if not review.is_validation:
        return
    if is_current:
        run.measured = Measured(run.step, run.position.epoch, review.figures_of(run.generators, run))
    if had_best:
        run.best = _best_anew(run, review, folder, observe)


def _best_anew(run: TrainState, review: Review, folder: RunFolder, observe: Observer) -> Measured | None:
    """The figures of best.safetensors; None where it does not hold this run's networks."""
    generators = copy.deepcopy(run.generators)
    try:
        state, _, info = read_model(folder.best)
        for name, network in generators.named_children():
            network.load_state_dict(state_of(state, name))
    except (UsageError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        text = (
            f"The best model so far was measured by an older version whose SSIM was another, and cannot be "
            f"measured again ({first}), so the search for it starts anew."
        )
        observe(Note(text, level="warning"))
        return None
    best = Measured(info.step, info.epoch, review.figures_of(generators, run))
    name = run.recipe.train.best_metric
    observe(
        Note(
            f"{folder.best.name} was measured by an older version whose SSIM was another, so it was measured "
            f"again: {name} {best.metrics[name]:.3f} at step {best.step}."
        )
    )
    return best
