"""The one JSON object that `--json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping

from p2pcli.visible import as_json_text


def json_line(values: Mapping[str, object]) -> str:
    """`values` on one line; bytes of a path that are no UTF-8, and what steers a terminal, as escapes."""
    text = json.dumps(values, ensure_ascii=False)
    return as_json_text(text.encode("utf-8", "backslashreplace").decode()) + "\n"
