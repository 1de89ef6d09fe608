"""Pair makers: pure functions from a target picture to the input a network shall learn to turn back into it.

No file is read or written here; the same makers serve `make-pairs` and pairs made on the fly in `train`.
"""

from __future__ import annotations

from p2pcli.errors import UsageError, did_you_mean
from p2pcli.pairs import downsample, edges, gray, mask, restore
from p2pcli.pairs.maker import Maker, MakerOptions, draw_options

__all__ = ["MAKERS", "Maker", "MakerOptions", "draw_options", "maker_named"]

MAKERS: dict[str, Maker] = {
    "edges": edges.MAKER,
    "gray": gray.MAKER,
    "downsample": downsample.MAKER,
    "mask": mask.MAKER,
    "restore": restore.MAKER,
}


def maker_named(name: str) -> Maker:
    """The maker of that name. Raises `UsageError` with a did-you-mean."""
    if name not in MAKERS:
        raise UsageError(f"no pair maker '{name}'. {did_you_mean(name, MAKERS)}")
    return MAKERS[name]
