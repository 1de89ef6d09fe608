"""Every error a user can cause, and the exit code each one ends with.

    P2PError                     1  anything below that has no code of its own
    ├── UsageError               2  an option, an argument or a value that cannot be used
    │   └── RecipeError          2  an unknown key, a value out of range, keys that contradict
    ├── NothingMatchedError      4  the sources held nothing to work on
    ├── EnvironmentFaultError   5  a missing extra, a device that is not there, a full disk
    │   └── OutputInUseError     5  another run is writing to the output
    ├── ResumeMismatchError      6  what lies in the output was made from other inputs or options
    └── ItemError                –  one image or frame failed: recorded under its key, the run goes on

A message has three parts: what was found and where; what was expected; what to do next.
"""

from __future__ import annotations

import contextlib
import difflib
import enum
from collections.abc import Iterable, Iterator

from p2pcli.synonyms import meaning_of


class ExitCode(enum.IntEnum):
    """What the process answers; documented in docs/cli.md."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    ITEMS_FAILED = 3
    NOTHING_MATCHED = 4
    ENVIRONMENT = 5
    RESUME_MISMATCH = 6
    SIGINT = 130
    SIGTERM = 143


class P2PError(Exception):
    """A mistake that a user can mend; printed as one line, without a traceback."""

    exit_code = ExitCode.UNEXPECTED


class UsageError(P2PError):
    """An option, an argument or a file that cannot be used as asked."""

    exit_code = ExitCode.USAGE


class RecipeError(UsageError):
    """A recipe, or a --set override, that is not valid."""


class NothingMatchedError(P2PError):
    """The sources held nothing to work on."""

    exit_code = ExitCode.NOTHING_MATCHED


class EnvironmentFaultError(P2PError):
    """A missing extra, a device that is not there, no space left, no permission."""

    exit_code = ExitCode.ENVIRONMENT


class OutputInUseError(EnvironmentFaultError):
    """Another run is writing to the output just now."""


class ResumeMismatchError(P2PError):
    """The output was made from other inputs or options than the ones asked for now."""

    exit_code = ExitCode.RESUME_MISMATCH


class ItemError(P2PError):
    """One item (image, frame, pair) cannot be used; the run records it and goes on.

    `stage` is where it broke: "read", "make", "translate" or "write".
    """

    def __init__(self, message: str, *, stage: str = "read") -> None:
        super().__init__(message)
        self.stage = stage


class NotFiniteError(ItemError):
    """A picture of floats holds NaN or infinity: something went wrong before it was saved."""


@contextlib.contextmanager
def item_border(name: str, *, stage: str = "read") -> Iterator[None]:
    """Inside, whatever goes wrong with the item `name` is raised as an `ItemError` with its cause.

    A decoder may raise anything on hostile bytes. Other errors of ours pass as they are: they end the run.
    """
    try:
        yield
    except P2PError:
        raise
    except Exception as error:  # the per-item border
        raise ItemError(unforeseen(name, error), stage=stage) from error


def unforeseen(name: str, error: Exception) -> str:
    """What to tell of an item `name` whose reading or translating ended in an error of somebody else's."""
    found = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{name}: cannot be used ({found}). It may be damaged: copy, export or convert it again."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence to append to an error: the known name that was meant, else the list of all of them.

    What other tools call a thing counts before how a word is spelt.

    >>> did_you_mean("egdes", ["edges", "gray"])
    "Did you mean 'edges'?"
    >>> did_you_mean("sketch", ["edges", "gray"])
    "Did you mean 'edges'?"
    >>> did_you_mean("zzz", ["edges", "gray"])
    'Known: edges, gray.'
    """
    names = sorted(known)
    # Dashes are alike in all options, and would make any two short ones near.
    bare = {name.lstrip("-"): name for name in names}
    close = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.6)
    meant = meaning_of(word, frozenset(names)) or (bare[close[0]] if close else None)
    return f"Did you mean '{meant}'?" if meant is not None else f"Known: {', '.join(names)}."
