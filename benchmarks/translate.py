"""Translating a folder and a film, against a plain loop, the bare network and the slowest stage alone.

    python benchmarks/translate.py [--images 960] [--frames 900] [--channels 64] [--film FILM]

Everything is made here and timed in one run; the interesting output are the ratios. The model is the full
pix2pix U-Net with random weights, through which the picture passes: its speed does not depend on what it has
learned, but an encoder's depends on what it is given. Each run of p2p tries its layers out anew, as a command
does, in about the time of a batch and a half: that is part of its rate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image as PillowImage

from p2pcli.events import Ended, Started
from p2pcli.image import Image
from p2pcli.inference.batch_invariance import _outcomes
from p2pcli.inference.model_file import ModelInfo, save_model
from p2pcli.inference.translator import load_model
from p2pcli.io.video import VideoWriter, probe, read_frames
from p2pcli.jobs.translate import translate
from p2pcli.kept_memory import keep_freed_memory
from p2pcli.nets import init_weights
from p2pcli.recipe import parse_recipe
from p2pcli.tasks import build_generator

_PLAIN_IMAGES = 120
"""As many are enough for the rate of the plain loop, which has no start to make up for."""

_FEWEST_CHANNELS = 24
"""Two for each colour of each of 2×2 px: see `show_the_picture`."""


def make_picture(number: int, *, side: int) -> np.ndarray:
    """A smooth picture with some texture, about as hard to compress as a photo."""
    rng = np.random.default_rng(number)
    coarse = PillowImage.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), PillowImage.Resampling.BICUBIC)).astype(np.int16)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def make_folder(folder: Path, *, count: int, side: int) -> None:
    folder.mkdir()
    for number in range(count):
        suffix = ".png" if number % 2 else ".jpg"
        PillowImage.fromarray(make_picture(number, side=side)).save(
            folder / f"{number:04}{suffix}", quality=95
        )


def make_film(path: Path, *, frames: int, side: int) -> None:
    grain = np.random.default_rng(0)
    pictures = [make_picture(number, side=2 * side)[:side, :side] for number in range(4)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            rolled = np.roll(pictures[number // 40 % 4], 2 * number, axis=1)
            grainy = np.clip(rolled + grain.normal(0, 3, rolled.shape), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(grainy, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def make_model(path: Path, *, channels: int) -> None:
    recipe = parse_recipe({"generator": {"channels": channels}}, where="benchmark")
    network = build_generator(recipe)
    init_weights(network, kind="normal", gain=0.02, seed=0)
    show_the_picture(network)
    save_model(path, network.state_dict(), recipe=recipe, info=ModelInfo())


def show_the_picture(unet: torch.nn.Module) -> None:
    """Set the outermost layers so that the picture passes, with a little of what the rest makes on top.

    Random weights make noise of full contrast, some 2 bits a pixel in H.264: no film is that hard to code.
    """
    down, up = unet.model.model[0].weight, unet.model.model[3].weight
    with torch.no_grad():
        up.mul_(0.1)
        for number, (colour, y, x) in enumerate(np.ndindex(3, 2, 2)):
            # Light and dark halves, as the ReLU between the two layers lets only one sign through.
            for channel, sign in ((2 * number, 1), (2 * number + 1, -1)):
                for weight in (down, up):
                    weight[channel] = 0
                    weight[channel, colour, 1 + y, 1 + x] = sign


def plain_loop(model: Path, source: Path, output: Path) -> float:
    """What a short script does: one picture at a time, Pillow, float32, everything after one another.

    Gives its seconds, without loading the model.
    """
    network = load_model(model, precision="float32").network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    output.mkdir(exist_ok=True)
    started = time.perf_counter()
    with torch.no_grad():
        for path in sorted(source.iterdir())[:_PLAIN_IMAGES]:
            with PillowImage.open(path) as opened:
                array = np.asarray(opened.convert("RGB"))
            x = torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            device = next(network.parameters()).device
            y = network(x.to(device))[0].cpu()
            result = ((y + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
            PillowImage.fromarray(result).save(output / path.name, quality=95)
    return time.perf_counter() - started


def ours(model: Path, source: Path, output: Path) -> float:
    """Seconds of `translate` from its first to its last event: without loading the model, like the others."""
    times = []

    def observe(event: object) -> None:
        if isinstance(event, Started | Ended):
            times.append(time.perf_counter())

    _outcomes.clear()
    report = translate(source, model=model, output=output, observe=observe)
    assert report.exit_code == 0 and report.tally.written
    return times[-1] - times[0]


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def bench_folder(folder: Path, model: Path, *, count: int, repeats: int) -> None:
    source = folder / "photos"
    make_folder(source, count=count, side=256)
    translator = load_model(model)
    pictures = [make_picture(number, side=256) for number in range(count)]
    size = translator.batch_that_suits((256, 256))
    rows: dict[str, list[float]] = {"plain": [], "bare": [], "ours": []}

    def bare() -> None:
        for start in range(0, count, size):
            batch = pictures[start : start + size]
            translator.run(batch, batch, [""] * len(batch))

    bare()
    for repeat in range(repeats):
        rows["plain"].append(plain_loop(model, source, folder / "plain"))
        rows["bare"].append(seconds(bare))
        rows["ours"].append(ours(model, source, folder / f"out{repeat}"))
    plain, network, whole = (statistics.median(rows[name]) for name in ("plain", "bare", "ours"))
    print(f"folder of {count} images, 256 px, {translator.describe()}, batch {size}")
    plain *= count / min(count, _PLAIN_IMAGES)
    print(f"  plain Pillow + float32 loop  {count / plain:7.2f} images/s")
    print(f"  bare network                 {count / network:7.2f} images/s")
    print(f"  p2p translate                {count / whole:7.2f} images/s")
    print(f"  ours / plain loop            {plain / whole:7.2f}  (aim: at least 2)")
    print(f"  ours / bare network          {network / whole:7.2f}  (aim: at least 0.9)")


def bench_film(path: Path, model: Path, *, repeats: int) -> None:
    info, folder = probe(path), model.parent
    translator = load_model(model)
    pictures = [frame.image for frame in read_frames(path)]
    frames, (height, width) = len(pictures), pictures[0].shape[:2]
    size = translator.batch_that_suits(translator.padded_size(pictures[0]))

    translated: list[Image] = []

    def network() -> None:
        translated.clear()
        for start in range(0, frames, size):
            batch = pictures[start : start + size]
            translated.extend(translator.run(batch, batch, [""] * len(batch)))

    def encode() -> None:
        # What the network made, not what it was given: how hard a picture is to code decides the time.
        with VideoWriter(folder / "alone.mp4", like=info, width=width, height=height) as writer:
            for number, picture in enumerate(translated):
                writer.write(picture, number * 512, 512)

    stages = {"network": network, "decode": lambda: [None for _ in read_frames(path)], "encode": encode}
    network()
    rounds: dict[str, list[float]] = {name: [] for name in (*stages, "ours")}
    for repeat in range(repeats):
        for name, stage in stages.items():
            rounds[name].append(seconds(stage))
        rounds["ours"].append(ours(model, path, folder / f"film-out{repeat}.mp4"))
    alone = {name: statistics.median(rounds[name]) for name in stages}
    wall = statistics.median(rounds["ours"])
    slowest = max(alone, key=lambda name: alone[name])
    bits = 8 * (folder / "alone.mp4").stat().st_size / (frames * width * height)
    print(f"film of {frames} frames, {width}×{height} px, batch {size}; translated: {bits:.2f} bits a pixel")
    for name, value in alone.items():
        print(f"  {name:8} alone  {value:7.2f} s")
    print(f"  all one after another {sum(alone.values()):7.2f} s")
    print(f"  p2p translate         {wall:7.2f} s")
    print(f"  wall / {slowest} alone   {wall / alone[slowest]:7.2f}  (aim: at most 1.15)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=960)
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--side", type=int, default=256, help="of the film, px")
    parser.add_argument("--film", type=Path, help="a film of yours instead of one made here")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.channels < _FEWEST_CHANNELS:
        parser.error(
            f"--channels {options.channels}: the picture passes through the first layer's, and needs at "
            f"least {_FEWEST_CHANNELS}"
        )
    # As the command does; plain loop and bare network gain by it as well.
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="bench-translate-") as name:
        folder = Path(name)
        make_model(folder / "model.safetensors", channels=options.channels)
        model, repeats = folder / "model.safetensors", options.repeats
        bench_folder(folder, model, count=options.images, repeats=repeats)
        film = options.film or folder / "film.mp4"
        if options.film is None:
            make_film(film, frames=options.frames, side=options.side)
        bench_film(film, model, repeats=repeats)


if __name__ == "__main__":
    main()
