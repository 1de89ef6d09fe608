"""How many threads a run computes with: as many as it began with, so that a resume repeats its bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from p2pcli.cores import CHOSEN_BY_USER
from p2pcli.events import Note, Observer
from p2pcli.training.run_folder import RunFolder

THREADS = "threads"
"""Under this name run.json holds the number."""


@contextmanager
def threads_as_begun(folder: RunFolder, *, resume: bool, observe: Observer) -> Iterator[None]:
    """Inside, torch has the threads that the run in `folder` began with, if it is resumed and says so.

    A variable of the environment stands against it, and the difference is said. Everything is put back.
    """
    before = torch.get_num_threads()
    begun = folder.read_about().get(THREADS) if resume else None
    if isinstance(begun, int) and begun > 0 and begun != before:
        if fixed := next((name for name in CHOSEN_BY_USER if os.environ.get(name)), None):
            text = (
                f"{fixed} is set, and the run began with {begun} thread{'' if begun == 1 else 's'}: sums may "
                f"differ in their last bits from here. {fixed}={begun} repeats them."
            )
            observe(Note(text, level="warning"))
        else:
            torch.set_num_threads(begun)
    try:
        yield
    finally:
        torch.set_num_threads(before)
