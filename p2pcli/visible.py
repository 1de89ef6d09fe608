"""Names of files as they may be shown: on one line, without what would steer the terminal."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line breaks, and marks that turn the direction of writing."""


def visible(text: str) -> str:
    r"""`text` with each character that moves the cursor or colours the terminal as its escape.

    >>> visible("a\nb\x1b[31m.png")
    'a\\nb\\x1b[31m.png'
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def visible_lines(text: str) -> str:
    """As `visible` for a text of several lines, whose line breaks stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


def as_json_text(line: str) -> str:
    """A line of JSON with such characters as JSON's own escapes: its values stay what they are."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
