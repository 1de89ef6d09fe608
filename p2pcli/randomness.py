"""Random generators that depend on what they are for, never on when or where they run."""

from __future__ import annotations

import hashlib

import numpy as np


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """A generator fixed by `seed` and the names (key, operation, epoch, …) alone.

    Workers, their number and their order do not enter, so results do not depend on them either.
    """
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def fraction_for(seed: int, *names: str | int) -> float:
    """A number in [0, 1) fixed by `seed` and the names alone; used to split a dataset."""
    digest = hashlib.sha256("\x1f".join([str(seed), *map(str, names)]).encode()).digest()
    return int.from_bytes(digest[:7], "little") / (1 << 56)
