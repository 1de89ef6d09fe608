"""What a run tells while it trains: rows in the log, progress events, the health line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from p2pcli.events import Note, Observer, TrainProgress
from p2pcli.recipe import Train
from p2pcli.training.health import Health
from p2pcli.training.pace import Pace
from p2pcli.training.runlog import RunLog
from p2pcli.training.schedule import total_epochs, total_steps

_EVENT_SECONDS = 0.5
_LOG_ROWS = 1000
_NORM_SECONDS = 5.0
"""Norms read every gradient once more: rarely enough not to slow a step."""


class LossWindow:
    """Sums of losses, kept on the device so that adding to them waits for nothing."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], tuple[Tensor, int]] = {}
        self.steps = 0
        self.images = 0

    def add(self, losses: Mapping[str, Tensor], *, images: int) -> None:
        """Take in one step on `images` pairs."""
        values = torch.stack([loss.float() for loss in losses.values()])
        names = tuple(losses)
        sums, steps = self._sums.get(names, (torch.zeros_like(values), 0))
        self._sums[names] = (sums + values, steps + 1)
        self.steps += 1
        self.images += images

    def take(self) -> dict[str, float]:
        """The mean of each loss since the last call; the window starts anew."""
        means: dict[str, float] = {}
        # A warm-up of D has fewer terms than the steps after it; each term counts the steps that had it.
        for names, (sums, steps) in self._sums.items():
            means |= dict(zip(names, (sums / steps).tolist(), strict=True))
        self._sums, self.steps, self.images = {}, 0, 0
        return means


class ProgressReport:
    """Feeds log.jsonl every so many steps, and the observer twice a second."""

    def __init__(
        self,
        train: Train,
        *,
        count: int,
        objective: str,
        share: float,
        log: RunLog,
        observe: Observer,
        accuracy: Callable[[], Mapping[str, Tensor]] = dict,
        norms: Callable[[], dict[str, float]] = dict,
        growth: Callable[[int], dict[str, object]] = lambda step: {},
    ) -> None:
        """`count`: training pairs; `share`: as in `Health`.

        `accuracy` gives the shares of D's right verdicts in the last step (of this process's part, the last
        one where a batch is computed in parts), `norms` those of its gradients by side, `growth` what a row
        says of its stage.
        """
        self._growth, self._accuracy = growth, accuracy
        self._norms, self._last_norms = norms, 0.0
        self.steps = total_steps(train, count)
        self.epochs = total_epochs(train, count)
        self._log = log
        self._observe = observe
        self._health = Health(objective, share)
        self._log_window, self._event_window = LossWindow(), LossWindow()
        self._right_window = LossWindow()
        self._log_every = max(1, min(50, self.steps // _LOG_ROWS))
        self._pace = Pace()
        self._done_here = 0
        self._start = self._last_event = self._last_log = time.monotonic()

    def step(self, losses: dict[str, Tensor], *, step: int, epoch: int, images: int, rate: float) -> None:
        """Take in step number `step` (from 1) of epoch `epoch` (from 0), made at learning rate `rate`."""
        self._log_window.add(losses, images=images)
        self._event_window.add(losses, images=images)
        right = self._accuracy()
        if right:
            self._right_window.add(right, images=images)
        self._done_here += 1
        if time.monotonic() - self._last_norms >= _NORM_SECONDS or step == self.steps:
            self._health.norms, self._last_norms = self._norms(), time.monotonic()
        if step % self._log_every == 0 or step == self.steps:
            self._write_row(step, epoch, rate)
        if time.monotonic() - self._last_event >= _EVENT_SECONDS or step == self.steps:
            self._tell(step, epoch)

    def _write_row(self, step: int, epoch: int, rate: float) -> None:
        now = time.monotonic()
        steps, images = self._log_window.steps, self._log_window.images
        losses = self._log_window.take()
        right = self._right_window.take()
        self._health.update(losses, accuracy=right, steps=steps)
        speed = images / max(now - self._last_log, 1e-9)
        self._last_log = now
        row: dict[str, object] = {"epoch": epoch, **self._growth(step)}
        row |= {"losses": losses, "learning_rate": rate}
        row["images_per_second"] = round(speed, 3)
        if right:
            row["accuracy"] = right
        row["health"] = self._health.line()
        if self._health.norms:
            row["gradient_norms"] = self._health.norms
        self._log.write("step", step, row)
        warning = self._health.warning()
        if warning:
            self._log.write("health", step, {"text": warning})
            self._observe(Note(f"step {step}: {warning}", level="warning"))

    def _tell(self, step: int, epoch: int) -> None:
        now = time.monotonic()
        speed = self._event_window.images / max(now - self._last_event, 1e-9)
        if slower := self._pace.update(speed, now, of=str(self._growth(step).get("size", ""))):
            self._observe(Note(f"step {step}: {slower}", level="warning"))
        seconds_left = (now - self._start) / self._done_here * (self.steps - step)
        losses = self._event_window.take()
        self._last_event = now
        self._observe(
            TrainProgress(
                step=step,
                steps=self.steps,
                epoch=epoch + 1,
                epochs=self.epochs,
                images_per_second=speed,
                seconds_left=seconds_left,
                losses=losses,
                health=self._health.line(),
            )
        )
