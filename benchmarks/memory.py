"""Memory over a long run: make-pairs over 10 000 images, translate over a 10-minute film.

    python benchmarks/memory.py [pairs|film] [--images 10000] [--minutes 10]

The images and the film are made here. The job runs in a process of its own; its resident memory, with that of
all its children, is sampled twice a second. Prints the growth between the level after the first 5 % of the
run and the highest later one (goal: within 200 MB).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np


def resident_mb(pid: int) -> float:
    """Resident set of `pid` and all its descendants, in MB (Linux)."""
    total = 0
    pending = [pid]
    while pending:
        process = pending.pop()
        try:
            status = Path(f"/proc/{process}/status").read_text()
            pending += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        except (OSError, ValueError):
            continue
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


def watch(command: list[str]) -> list[tuple[float, float]]:
    """Run `command`; give (seconds, MB) samples until it ends. Raises where it fails."""
    start = time.perf_counter()
    samples = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            samples.append((time.perf_counter() - start, resident_mb(process.pid)))
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return samples


def show(name: str, samples: list[tuple[float, float]]) -> None:
    """Print the level after the first 5 % and the growth after it."""
    total = samples[-1][0]
    # Pools start and libraries load in the first seconds; 5 % of the run is what the goal allows for that.
    early = [mb for seconds, mb in samples if seconds <= 0.05 * total]
    later = [mb for seconds, mb in samples if seconds > 0.05 * total]
    level = max(early)
    print(
        f"{name}: {total:.0f} s, level after 5 % {level:.0f} MB, highest later {max(later):.0f} MB, "
        f"growth {max(later) - level:+.0f} MB  (goal ≤ +200 MB)"
    )


def make_images(folder: Path, *, count: int) -> None:
    """`count` JPEGs of 640×480 with enough detail to be ordinary; 64 different ones, under many names."""
    import cv2

    rng = np.random.default_rng(0)
    kinds = []
    for _ in range(64):
        coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        kinds.append(cv2.imencode(".jpg", picture)[1].tobytes())
    for index in range(count):
        place = folder / f"{index // 1000:03d}"
        place.mkdir(exist_ok=True)
        (place / f"{index:06d}.jpg").write_bytes(kinds[index % len(kinds)])


def make_film(path: Path, *, minutes: float) -> None:
    """A film of moving gradients, 160×96 at 25 frames a second, with a tone."""
    import av

    rate, frames = 25, int(minutes * 60 * 25)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        ramp = np.indices((96, 160)).sum(0)
        samples = (np.sin(np.arange(16000 // rate) * 2 * np.pi * 440 / 16000) * 8000).astype(np.int16)
        for index in range(frames):
            picture = np.stack([(ramp + shift * index) % 256 for shift in (1, 2, 3)], 2).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(video.encode(frame))
            sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts = 16000, index * len(samples)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def make_model(path: Path) -> None:
    """A small U-Net with random weights, so that the film's length decides, not the network."""
    from p2pcli.inference.model_file import ModelInfo, save_model
    from p2pcli.recipe import parse_recipe
    from p2pcli.tasks import build_task

    values = {"data": {"size": 32, "load_size": 32}, "generator": {"channels": 4}}
    recipe = parse_recipe(values, where="benchmark")
    save_model(path, build_task(recipe).generator.state_dict(), recipe=recipe, info=ModelInfo())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["pairs", "film"])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    p2p = [sys.executable, "-m", "p2pcli"]
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:
        folder = Path(name)
        if options.what in (None, "pairs"):
            photos = folder / "photos"
            photos.mkdir()
            make_images(photos, count=options.images)
            show(
                "make-pairs",
                watch([*p2p, "make-pairs", "edges", str(photos), "-o", str(folder / "pairs"), "-q"]),
            )
        if options.what in (None, "film"):
            make_film(folder / "film.mp4", minutes=options.minutes)
            make_model(folder / "model.safetensors")
            arguments = [str(folder / "film.mp4"), "-m", str(folder / "model.safetensors")]
            show("translate", watch([*p2p, "translate", *arguments, "-o", str(folder / "out.mp4"), "-q"]))


if __name__ == "__main__":
    main()
