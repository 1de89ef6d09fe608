"""Training on a GPU: every family's step in every number format, and the whole loop from stored pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from gpu_setting import Row, Setting
from step_timing import convolutions_of
from torch.nn import functional as F
from train_loop import make_photos

from p2pcli import make_pairs, train
from p2pcli.events import TrainProgress
from p2pcli.recipe import load_recipe
from p2pcli.training.compiling import compile_networks
from p2pcli.training.estimate import random_batch
from p2pcli.training.state import TrainState, new_state
from p2pcli.training.step import training_step


@dataclass(frozen=True)
class Family:
    """A recipe as published, and the batch that fills a large card."""

    overrides: tuple[str, ...] = ()
    filling: int = 32
    tiny: tuple[str, ...] = ("data.size=32", "data.load_size=32", "generator.channels=4")


_WITHOUT_VGG = "losses.perceptual=0"
_LABELS = ("data.labels=35", "data.instances=labels", _WITHOUT_VGG)
_LABELS_TINY = ("data.size=64", "data.load_size=64", "generator.channels=2", "discriminator.channels=4")
FAMILIES = {
    "pix2pix": Family(filling=64),
    "pix2pixhd-512": Family(_LABELS, filling=8, tiny=_LABELS_TINY),
    "spade": Family(_LABELS, filling=16, tiny=_LABELS_TINY),
    "cyclegan": Family(
        filling=16, tiny=("data.size=32", "data.load_size=32", "generator.channels=2", "generator.blocks=1")
    ),
    "srresnet": Family(filling=128, tiny=("data.size=32", "data.load_size=32", "generator.blocks=1")),
    "srgan": Family(
        (_WITHOUT_VGG, "losses.l2=1"),
        filling=64,
        tiny=("data.size=32", "data.load_size=32", "generator.blocks=1"),
    ),
    "inpainting": Family(filling=32, tiny=("data.size=32", "data.load_size=32", "generator.channels=2")),
}
"""Without VGG19, whose weights no registry has: its term costs the same in every form."""


@dataclass(frozen=True)
class Form:
    """One way to run a step."""

    precision: str
    tf32: bool = False
    channels_last: bool = True
    compiled: bool = False
    graphed: bool = False


FORMS = {
    "plain": Form("float32", channels_last=False),
    "float32": Form("float32"),
    "tf32": Form("float32", tf32=True),
    "bf16": Form("bfloat16", tf32=True),
    "bf16 contiguous": Form("bfloat16", tf32=True, channels_last=False),
    "fp16": Form("float16", tf32=True),
    "bf16 graph": Form("bfloat16", tf32=True, graphed=True),
    "bf16 compiled": Form("bfloat16", tf32=True, compiled=True),
}
"""plain: float32 in the default layout, without TF32, as the published codes run."""

_COMPILED = frozenset({"pix2pix"})
"""A compilation takes most of a minute; one family tells."""


def step_rows(setting: Setting) -> Iterator[Row]:
    """Images a second, share of the card's own bfloat16 convolutions, memory: family × batch × form."""
    best = convolution_rate(setting)
    yield {"best_bf16_convolution_tflops": best}
    for batch in (1, 0):
        for name, family in FAMILIES.items():
            base: float | None = None
            for form_name, form in FORMS.items():
                if form.compiled and (name not in _COMPILED or batch == 0 or setting.is_tiny):
                    continue
                row: Row = {"family": name, "form": form_name}
                try:
                    row |= _step_row(setting, name, family, form, batch=batch or family.filling, best=best)
                except Exception as error:  # a form that a card or family lacks is a row, not the end
                    row["not_possible"] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
                else:
                    rate = row["images_per_second"]
                    assert isinstance(rate, float)
                    base = base or rate
                    row["ratio_to_plain"] = rate / base
                yield row


def _step_row(setting: Setting, name: str, family: Family, form: Form, *, batch: int, best: float) -> Row:
    count = 2 if setting.is_tiny and batch > 1 else batch
    setting.start_peak()
    with tf32(form.tf32):
        run = run_of(setting, name, family, form, batch=count)
        step = step_of(run, random_batch(run, samples=count))
        work = sum(one.gflop * times for one, times in convolutions_of(step).items())
        if form.compiled:
            compile_networks(run.task)
        seconds = setting.seconds(graph_of(step, run, setting) if form.graphed else step)
    peak = setting.peak_gb()
    return {
        "batch": count,
        "images_per_second": count / seconds,
        "share_of_best_convolution": work / seconds / 1e3 / best,
        **({} if peak is None else {"peak_gb": peak}),
    }


def run_of(setting: Setting, name: str, family: Family, form: Form, *, batch: int) -> TrainState:
    """A run of the family in this form, on the device."""
    form_keys = [
        f"train.precision={form.precision}",
        f"train.channels_last={str(form.channels_last).lower()}",
        f"train.batch_size={batch}",
    ]
    tiny = family.tiny if setting.is_tiny else ()
    return new_state(load_recipe(name, [*family.overrides, *tiny, *form_keys]), setting.device)


def step_of(run: TrainState, batch: Any) -> Callable[[], object]:
    """One training step on a batch that is there already."""
    return lambda: training_step(run.task, batch, run.optimizers, run.precision)


def graph_of(step: Callable[[], object], run: TrainState, setting: Setting) -> Callable[[], object]:
    """The step recorded once as a CUDA graph and replayed; raises where it holds what a graph cannot."""
    if setting.device.type != "cuda":
        raise RuntimeError("CUDA graphs need CUDA")
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["capturable"] = True
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


@contextmanager
def tf32(wanted: bool) -> Iterator[None]:
    """TF32 in products and convolutions while inside."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
        torch.backends.cudnn.benchmark = benchmark


def convolution_rate(setting: Setting) -> float:
    """TFLOP/s of the best of three large 3×3 convolutions in bfloat16, channels last."""
    rates = []
    for channels, side, count in ((256, 128, 16), (512, 64, 32), (1024, 32, 32)):
        if setting.is_tiny:
            channels, side, count = 8, 8, 1
        x = torch.randn(count, channels, side, side, device=setting.device, dtype=torch.bfloat16)
        x = x.contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3, device=setting.device, dtype=torch.bfloat16)
        weight = weight.contiguous(memory_format=torch.channels_last)
        with tf32(True):
            seconds = setting.seconds(lambda x=x, weight=weight: F.conv2d(x, weight, padding=1))
        rates.append(2 * count * side * side * channels * channels * 9 / seconds / 1e12)
    return max(rates)


def loop_rows(setting: Setting) -> Iterator[Row]:
    """The whole loop from JPEG with pairs on the fly, and from a dataset, beside the bare step."""
    count, batch, side = (8, 2, 32) if setting.is_tiny else (512, 16, 256)
    photos, pairs = setting.folder / "photos", setting.folder / "pairs"
    photos.mkdir()
    make_photos(photos, count=count)
    make_pairs("edges", photos, pairs, size=side, split=(1.0, 0.0, 0.0))
    tiny = FAMILIES["pix2pix"].tiny if setting.is_tiny else ()
    keys = [
        *tiny,
        f"train.batch_size={batch}",
        "train.epochs=3",
        "train.decay_epochs=0",
        "train.validate_every=9",
    ]
    run = new_state(load_recipe("pix2pix", keys), setting.device)
    bare = batch / setting.seconds(step_of(run, random_batch(run, samples=batch)))
    for name, data, further in (
        ("photos, edges on the fly", photos, ["pairs.maker=edges"]),
        ("dataset", pairs, []),
    ):
        rate = loop_rate(
            setting, data, [*keys, *further], output=setting.folder / f"run-{name.split(',')[0]}"
        )
        yield {
            "from": name,
            "images_per_second": rate,
            "share_of_the_time_that_the_gpu_waits": max(0.0, 1 - rate / bare),
        }


def loop_rate(setting: Setting, data: Any, keys: list[str], *, output: Any) -> float:
    """Images a second of `train` itself after its first epoch."""
    seen: list[tuple[int, float]] = []

    def observe(event: object) -> None:
        if isinstance(event, TrainProgress) and event.epoch > 1:
            seen.append((event.step, time.perf_counter()))

    train(data, recipe="pix2pix", output=output, overrides=keys, device=str(setting.device), observe=observe)
    batch = load_recipe("pix2pix", keys).train.batch_size
    if len(seen) < 2:
        return 0.0
    (first, began), (last, ended) = seen[0], seen[-1]
    return (last - first) * batch / max(ended - began, 1e-9)
