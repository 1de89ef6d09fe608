"""The memory that each network takes to translate one picture, against what p2p estimates.

    python benchmarks/network_memory.py [--networks unet spade] [--megapixels 0.5 1 2] [--channels 16]

Each network and size runs in a process of its own, with random weights, as `p2p translate` does. Prints what
the resident memory grew by at its largest, the estimate, and their ratio (goal: within 25 %). Linux alone.
`--channels` is the width of all networks (default: each its own); narrow ones take less time and memory.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def status_bytes(name: str) -> int:
    """A row of /proc/self/status, such as VmRSS."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) * 1024  # type: ignore[index]


def measure(network: str, megapixels: float, channels: int | None, precision: str) -> None:
    """Translate one picture in this process; print a JSON object with both numbers."""
    import torch

    from p2pcli.inference.model_file import ModelInfo, save_model
    from p2pcli.inference.translator import load_model
    from p2pcli.kept_memory import keep_freed_memory
    from p2pcli.recipe import parse_recipe
    from p2pcli.tasks import build_generator

    keep_freed_memory()
    data: dict[str, object] = {"size": 256, "load_size": 256}
    data |= {"labels": 35} if network == "spade" else {"scale": 4} if network == "srresnet" else {}
    section = {"name": network, **({"channels": channels} if channels else {})}
    recipe = parse_recipe({"data": data, "generator": section}, where="benchmark")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(path, build_generator(recipe).state_dict(), recipe=recipe, info=ModelInfo())
        translator = load_model(path, device="cpu", precision=precision)
    noise = np.random.default_rng(0)
    shape = (35, 1) if network == "spade" else (256, 3)

    def picture(side: int) -> np.ndarray:
        return noise.integers(0, shape[0], (side, side, shape[1]), dtype=np.uint8)

    # Libraries load and kernels are chosen with the first picture.
    translator(picture(256))
    image = picture(int((megapixels * 1e6) ** 0.5) // 256 * 256)
    height, width = translator.padded_size(image)
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    translator(image)
    used = status_bytes("VmHWM") - before
    estimate = height * width * translator.bytes_per_pixel
    row = {"px": height * width, "used": used, "estimate": estimate, "threads": torch.get_num_threads()}
    sys.stdout.write(json.dumps(row) + "\n")


def main() -> None:
    from p2pcli.recipe.generators import GENERATOR_SECTIONS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(GENERATOR_SECTIONS))
    parser.add_argument("--megapixels", nargs="*", type=float, default=[1, 4, 9])
    parser.add_argument("--channels", type=int)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.networks[0], options.megapixels[0], options.channels, options.precision)
        return
    for network in options.networks:
        for megapixels in options.megapixels:
            words = ["--one", "--networks", network, "--megapixels", str(megapixels)]
            words += ["--precision", options.precision]
            words += ["--channels", str(options.channels)] if options.channels else []
            command = [sys.executable, __file__, *words]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                print(f"{network} {megapixels} MP: {run.stderr.strip().splitlines()[-1:]}")
                continue
            row = json.loads(run.stdout)
            print(
                f"{network}: {row['px'] / 1e6:.2f} MP used {row['used'] / 1e6:.0f} MB, estimated "
                f"{row['estimate'] / 1e6:.0f} MB, ratio {row['estimate'] / row['used']:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
