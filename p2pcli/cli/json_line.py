"""The one JSON object that `--json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping


def json_line(values: Mapping[str, object]) -> str:
    """`values` on one line; bytes of a path that are no UTF-8 as escapes, which JSON readers take."""
    text = json.dumps(values, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"
