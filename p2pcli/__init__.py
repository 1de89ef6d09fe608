"""Paired datasets, trained image translators and translated films from ordinary folders and videos.

    from p2pcli import make_pairs, train, translate, load_model

The names are imported when first used, so that `import p2pcli` and `p2p --help` stay instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p2pcli.inference.translator import Translator, load_model
    from p2pcli.jobs.cluster import cluster
    from p2pcli.jobs.export import export_weights
    from p2pcli.jobs.import_weights import import_weights
    from p2pcli.jobs.make_pairs import make_pairs
    from p2pcli.jobs.train import train
    from p2pcli.jobs.translate import translate

__version__ = "0.1.0"
__all__ = [
    "Translator",
    "__version__",
    "cluster",
    "export_weights",
    "import_weights",
    "load_model",
    "make_pairs",
    "train",
    "translate",
]

_HOMES = {
    "cluster": "p2pcli.jobs.cluster",
    "export_weights": "p2pcli.jobs.export",
    "import_weights": "p2pcli.jobs.import_weights",
    "Translator": "p2pcli.inference.translator",
    "load_model": "p2pcli.inference.translator",
    "make_pairs": "p2pcli.jobs.make_pairs",
    "train": "p2pcli.jobs.train",
    "translate": "p2pcli.jobs.translate",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'p2pcli' has no attribute '{name}'")
