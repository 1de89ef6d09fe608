"""What p2p does on a CUDA card, in at most 8 minutes: `python benchmarks/gpu.py [--json gpu.json]`.

Needs the checkout alone: pictures and films are made here. Prints each row as it is measured, so that a run
cut short still tells, and writes all of them to one JSON file after each section. `--device cpu --tiny` tries
the script on any machine in a minute or two; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gpu_checks
import gpu_training
import gpu_translate
import torch
from gpu_setting import Row, Setting

from p2pcli import __version__
from p2pcli.inference.device import describe_device

SECTIONS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "right": gpu_checks.rows,
    "steps": gpu_training.step_rows,
    "loop": gpu_training.loop_rows,
    "translate": gpu_translate.rows,
    "limits": gpu_checks.limit_rows,
}
"""In the order of worth: what is cut off by the time limit is what would be missed least."""


def measured(section: str, setting: Setting) -> Iterator[Row]:
    """The rows of a section; an error ends the section with a row of its own, never the run."""
    try:
        for row in SECTIONS[section](setting):
            yield {"section": section, **row}
            if setting.is_over():
                yield {"section": section, "left_out": "the rest: the time limit was reached"}
                return
    except Exception as error:
        yield {"section": section, "error": f"{type(error).__name__}: {error}"}
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()


def machine(device: torch.device) -> dict[str, object]:
    """What the figures belong to."""
    return {
        "device": describe_device(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "p2p": __version__,
        "threads": torch.get_num_threads(),
    }


def shown(row: Row) -> str:
    """A row as one line: name, then figures."""
    words = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
    ]
    return " · ".join(words)


def main() -> int:
    """Run the sections asked for; 1 where a check failed or a section ended with an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=[], help=f"{', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small enough for a CPU; figures mean nothing")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--seconds", type=float, default=480.0, help="no row begins after these")
    options = parser.parse_args()
    unknown = sorted(set(options.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section '{unknown[0]}'. Known: {', '.join(SECTIONS)}")
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; --device cpu --tiny tries the script itself")
    rows: list[Row] = []
    about = machine(device)
    print(shown(about), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        setting = Setting(device, Path(name), is_tiny=options.tiny, until=time.monotonic() + options.seconds)
        for section in options.sections or SECTIONS:
            if setting.is_over():
                rows.append({"section": section, "left_out": "the time limit was reached"})
                print(shown(rows[-1]), flush=True)
                continue
            for row in measured(section, setting):
                rows.append(row)
                print(shown(row), flush=True)
            options.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    wrong = [row for row in rows if "error" in row or row.get("holds") is False]
    print(f"{len(rows)} rows, {len(wrong)} wrong; all in {options.json}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
