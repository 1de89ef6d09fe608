"""make-pairs edges against bare process pools that make the same calls and write nothing.

    python benchmarks/make_pairs.py PHOTOS [--workers 2] [--count 4000] [--rounds 3]

Every side decodes, brings to 256 px, draws and encodes two PNGs per photo, with equally many spawned workers
and one OpenCV thread in each, in turns, whose order is reversed each round; pool start-up is inside all
timings. Two bare pools:

    same calls       the drawing that make-pairs makes, pixel for pixel (checked), in plain calls: blur,
                     gradient, automatic threshold by numpy.partition, Canny, removal of specks
    fixed threshold  cv2.Canny with two given thresholds, the least that can be called a drawing

make-pairs does beyond them: plan, header checks, hashes, Parquet with its checksums, flushed shards, records,
table of errors, card, preview, manifest. Prints median rates, and the medians of each round's ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


def square_of(path: str):
    """The photo's middle, 256 × 256 px, BGR."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (256, 256), interpolation=cv2.INTER_AREA)


def same_drawing(square):
    """What `MAKERS["edges"]` draws by default, in plain calls."""
    import cv2
    import numpy as np

    gray = cv2.GaussianBlur(cv2.cvtColor(square, cv2.COLOR_BGR2GRAY), (0, 0), 1.2)
    dx, dy = cv2.spatialGradient(gray)
    strength = dx.astype(np.int32) ** 2 + dy.astype(np.int32) ** 2
    index = int(0.88 * strength.size)
    high = max(max(0.0, np.partition(strength, index, axis=None)[index] - 0.5) ** 0.5, 24.0)
    weak, strong = int((0.4 * high) ** 2) + 0.5, int(high * high) + 0.5
    lines = cv2.Canny(dx, dy, weak**0.5, strong**0.5, L2gradient=True)
    _, labels = cv2.connectedComponents(lines, connectivity=8)
    on = np.flatnonzero(lines != 0)
    component = labels.reshape(-1)[on]
    lines.reshape(-1)[on[(np.bincount(component) < 5)[component]]] = 0
    return 255 - lines


def fixed_drawing(square):
    """Canny with thresholds given."""
    import cv2

    gray = cv2.GaussianBlur(cv2.cvtColor(square, cv2.COLOR_BGR2GRAY), (0, 0), 1.2)
    return 255 - cv2.Canny(gray, 80, 160)


def same_calls(path: str) -> int:
    """All calls for one photo with the drawing of make-pairs; returns the bytes it would have written."""
    square = square_of(path)
    return encoded_bytes(square, same_drawing(square))


def fixed_threshold(path: str) -> int:
    """All calls for one photo with the simplest drawing; returns the bytes it would have written."""
    square = square_of(path)
    return encoded_bytes(square, fixed_drawing(square))


def encoded_bytes(*pictures) -> int:
    """The bytes of the pictures as PNG."""
    import cv2

    return sum(len(cv2.imencode(".png", picture)[1]) for picture in pictures)


def require_same_drawing(path: str) -> None:
    """Stop where the bare pool would draw something else than make-pairs."""
    import cv2
    import numpy as np

    from p2pcli.pairs import draw_options, maker_named

    rng, maker, square = np.random.default_rng(0), maker_named("edges"), square_of(path)
    options = draw_options(maker, {}, rng, jitter=False)
    made = maker.make(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), rng=rng, options=options)
    if not np.array_equal(made[:, :, 0], same_drawing(square)):
        raise SystemExit(f"{path}: the bare pool draws something else than make-pairs; mend same_drawing")


def bare_pool(item: Callable[[str], int], paths: list[str], workers: int) -> float:
    """Seconds for all photos in a bare pool."""
    start = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        sum(pool.map(item, paths, chunksize=16))
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
    """A folder of `count` copies of the photos, so that start-up does not decide."""
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
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"same calls": [], "fixed threshold": [], "make-pairs": []}
    with repeated(options.photos, count=options.count) as folder:
        paths = [str(path) for path in sorted(folder.iterdir())]
        for path in paths[:200]:
            require_same_drawing(path)
        sides = {
            "same calls": lambda: bare_pool(same_calls, paths, options.workers),
            "fixed threshold": lambda: bare_pool(fixed_threshold, paths, options.workers),
            "make-pairs": lambda: ours(folder, options.workers),
        }
        for number in range(options.rounds):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                seconds[name].append(sides[name]())
    for name, taken in seconds.items():
        print(f"{name:16} {options.count / statistics.median(taken):7.1f} photos/s")
    for name in ("same calls", "fixed threshold"):
        ratios = [bare / ours for bare, ours in zip(seconds[name], seconds["make-pairs"], strict=True)]
        rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"ratio to {name:16} {statistics.median(ratios):5.2f}  (goal ≥ 0.90; rounds: {rounds})")


if __name__ == "__main__":
    main()
