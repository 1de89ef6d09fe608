"""With how many threads a verb computes on a CPU, where the environment does not say."""

from __future__ import annotations

import os

from p2pcli.cli.running import Printing
from p2pcli.cores import CHOSEN_BY_USER, threads_allowed, threads_for


def use_free_cores(printing: Printing) -> None:
    """Give torch as many threads as there are cores that nobody else uses just now; say where that is fewer.

    For a process of our own. A run stores the number, and goes on with it when it is resumed.
    """
    if any(os.environ.get(name) for name in CHOSEN_BY_USER):
        return
    import torch

    most = torch.get_num_threads()
    threads = threads_for(most)
    if threads < most:
        torch.set_num_threads(threads)
        printing.say(
            f"Other programs or quotas leave cores for {threads} of {most} threads (more would wait for "
            f"each other). OMP_NUM_THREADS={most} takes them all."
        )


def use_allowed_cores() -> None:
    """Give torch no more threads than affinity and quota allow.

    Not by load: the last bits of a picture may depend on the number of threads, and must not on the moment.
    """
    if any(os.environ.get(name) for name in CHOSEN_BY_USER):
        return
    import torch

    torch.set_num_threads(threads_allowed(torch.get_num_threads()))
