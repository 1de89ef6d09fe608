"""Threads that work for the network and must not hold it up."""

from __future__ import annotations

import os
import sys
import threading

_NICENESS = 10


def step_behind_the_network() -> None:
    """Give this thread, and those that it starts, a lower priority than the network's (Linux; else nothing).

    On a CPU the network's threads wait for each other at every layer, so one that loses its core to a decoder
    holds up all of them. Behind them, decoders and encoders take what the network leaves.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
