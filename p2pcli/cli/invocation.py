"""The command line as it was typed, and how to print one that repeats or resumes it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Invocation:
    """What stood after `p2p`."""

    words: tuple[str, ...]

    def again(self, *, extra: Iterable[str | Path] = (), without: Iterable[str] = ()) -> str:
        """The command that repeats this one, with `extra` words added and the flags in `without` dropped."""
        # After a "--" an option would be one more argument.
        end = self.words.index("--") if "--" in self.words else len(self.words)
        dropped = set(without)
        kept = [word for word in self.words[:end] if word not in dropped]
        return command_line([*kept, *(str(word) for word in extra), *self.words[end:]])


def command_line(words: Sequence[str]) -> str:
    """`p2p` and `words`, quoted so that it can be pasted into the shell of this system."""
    if os.name != "nt":
        return " ".join(["p2p", *map(_quoted, words)])
    import subprocess

    return subprocess.list2cmdline(["p2p", *words])


def _quoted(word: str) -> str:
    """`word` for a shell; as bytes in $'…' where it would not come through a terminal as it is."""
    if word.isprintable():
        return shlex.quote(word)
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(plain)}'"
