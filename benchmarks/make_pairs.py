"""make-pairs edges against a bare process pool that makes the same calls and writes nothing.

    python benchmarks/make_pairs.py PHOTOS [--workers 2] [--rounds 3]

Both sides decode, bring to 256 px, run Canny and encode two PNGs per photo, with equally many spawned
workers, in alternation; pool start-up is inside both timings. Prints the ratio of the medians of their rates.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def bare_item(path: str) -> int:
    """The calls that cannot be avoided, for one photo; returns the bytes it would have written."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(image[top : top + side, left : left + side], (256, 256), interpolation=cv2.INTER_AREA)
    gray = cv2.GaussianBlur(cv2.cvtColor(square, cv2.COLOR_BGR2GRAY), (0, 0), 1.0)
    edges = 255 - cv2.Canny(gray, 80, 160)
    written = 0
    for picture in (edges, square):
        written += len(cv2.imencode(".png", picture)[1])
    return written


def bare_pool(paths: list[str], workers: int) -> float:
    """Seconds for all photos in a bare pool."""
    start = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        sum(pool.map(bare_item, paths, chunksize=16))
    return time.perf_counter() - start


def ours(folder: Path, workers: int) -> float:
    """Seconds for the whole `make_pairs`, dataset card, checksums and all."""
    from p2pcli import make_pairs

    output = Path(tempfile.mkdtemp(prefix="bench-pairs-"))
    start = time.perf_counter()
    report = make_pairs("edges", [folder], output / "pairs", workers=workers)
    seconds = time.perf_counter() - start
    if report.tally.failed:
        raise SystemExit(f"{len(report.tally.failed)} photos failed; compare on a clean folder")
    shutil.rmtree(output)
    return seconds


@contextlib.contextmanager
def repeated(photos: Path, *, count: int):
    """A folder of `count` links to the photos, so that start-up does not decide."""
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        raise SystemExit(f"{photos} holds no JPEG files")
    with tempfile.TemporaryDirectory(prefix="bench-photos-") as name:
        folder = Path(name)
        for index in range(count):
            source = files[index % len(files)]
            shutil.copyfile(source, folder / f"{index:06d}{source.suffix}")
        yield folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with repeated(options.photos, count=options.count) as folder:
        paths = [str(path) for path in sorted(folder.iterdir())]
        bare, full = [], []
        for _ in range(options.rounds):
            bare.append(bare_pool(paths, options.workers))
            full.append(ours(folder, options.workers))
    bare_rate = options.count / statistics.median(bare)
    full_rate = options.count / statistics.median(full)
    print(f"bare pool    {bare_rate:7.1f} photos/s")
    print(f"make-pairs   {full_rate:7.1f} photos/s")
    print(f"ratio        {full_rate / bare_rate:7.2f}  (goal ≥ 0.90)")


if __name__ == "__main__":
    main()
