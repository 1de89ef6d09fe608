"""Whether a GPU computes what the CPU does, and what becomes of work that is too large for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from gpu_setting import Row, Setting
from gpu_training import FAMILIES, tf32
from translate import make_model, make_picture

from p2pcli import train
from p2pcli.events import Note, Stop
from p2pcli.inference.model_file import read_model
from p2pcli.inference.translator import load_model
from p2pcli.nets import init_weights
from p2pcli.recipe import load_recipe
from p2pcli.tasks import build_generator, networks_of
from p2pcli.training.estimate import random_batch
from p2pcli.training.state import new_state
from p2pcli.training.step import training_step

FLOAT32_BOUND = 1e-4
BFLOAT16_BOUND = 0.05
"""Of values in [-1, 1], in the mean: bfloat16 keeps 8 bits through some 20 layers."""


def rows(setting: Setting) -> Iterator[Row]:
    """Outputs against the CPU's, equal results twice, steps that never wait, runs that change device."""
    for name in FAMILIES:
        yield output_row(setting, name)
    for name in list(FAMILIES)[:4]:
        yield repeated_row(setting, name)
    for name in FAMILIES:
        yield waiting_row(setting, name)
    yield moved_row(setting, there=str(setting.device), back="cpu")
    yield moved_row(setting, there="cpu", back=str(setting.device))


def output_row(setting: Setting, name: str) -> Row:
    """How far a generator's outputs are from the CPU's: float32's at most, bfloat16's in the mean."""
    family = FAMILIES[name]
    recipe = load_recipe(name, [*family.overrides, *(family.tiny if setting.is_tiny else ())])
    network = build_generator(recipe).eval()
    init_weights(network, seed=0)
    draw = torch.Generator().manual_seed(1)
    side = recipe.data.input_size
    x = torch.rand(1, recipe.data.input_planes, side, side, generator=draw) * 2 - 1
    with torch.no_grad(), tf32(False):
        expected = network(x)
        moved = network.to(setting.device)
        found = moved(x.to(setting.device)).cpu()
        with torch.autocast(setting.device.type, dtype=torch.bfloat16):
            reduced = moved(x.to(setting.device)).float().cpu()
    apart = float((found - expected).abs().max())
    reduced_apart = float((reduced - expected).abs().mean())
    holds = apart <= FLOAT32_BOUND and reduced_apart <= BFLOAT16_BOUND
    return {
        "outputs": name,
        "float32_apart": apart,
        "bfloat16_apart_in_the_mean": reduced_apart,
        "holds": holds,
    }


def repeated_row(setting: Setting, name: str) -> Row:
    """Whether three steps from one seed end equal twice; torch promises it for some kernels alone."""
    family = FAMILIES[name]
    keys = [*family.overrides, *family.tiny, "train.precision=float32"]
    ends = []
    for _ in range(2):
        run = new_state(load_recipe(name, keys), setting.device)
        torch.manual_seed(0)
        batch = random_batch(run, samples=2)
        for _ in range(3):
            training_step(run.task, batch, run.optimizers, run.precision)
        ends.append(
            [p.detach().cpu() for network in networks_of(run.task).values() for p in network.parameters()]
        )
    apart = max(float((a - b).abs().max()) for a, b in zip(*ends, strict=True))
    return {"twice": name, "equal": apart == 0.0, "apart": apart}


def waiting_row(setting: Setting, name: str) -> Row:
    """Whether a step lets the host wait: CUDA's own debug mode turns each wait into an error."""
    family = FAMILIES[name]
    run = new_state(load_recipe(name, [*family.overrides, *family.tiny]), setting.device)
    batch = random_batch(run, samples=2)
    training_step(run.task, batch, run.optimizers, run.precision)
    if setting.device.type != "cuda":
        return {"waits": name, "not_possible": "CUDA alone tells"}
    torch.cuda.set_sync_debug_mode("error")
    try:
        training_step(run.task, batch, run.optimizers, run.precision)
    except RuntimeError as error:
        return {"waits": name, "found": str(error).splitlines()[0], "holds": False}
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"waits": name, "holds": True}


def moved_row(setting: Setting, *, there: str, back: str) -> Row:
    """A run that begins on one device and is resumed on the other."""
    photos = setting.folder / "few-photos"
    if not photos.is_dir():
        photos.mkdir()
        for number in range(6):
            from PIL import Image

            Image.fromarray(make_picture(number, side=64)).save(photos / f"{number}.png")
    keys = ["pairs.maker=gray", "data.size=32", "data.load_size=32", "generator.channels=4", "train.steps=6"]
    output = setting.folder / f"moved-{there.replace(':', '')}-{back.replace(':', '')}"
    stop, steps = Stop(), 0

    def observe(event: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 12:
            stop.set()

    train(
        photos,
        recipe="pix2pix",
        output=output,
        overrides=keys,
        device=there,
        overwrite=True,
        observe=observe,
        stop=stop,
    )
    report = train(resume=True, output=output, device=back)
    state, _, _ = read_model(output / "model.safetensors")
    finite = all(bool(torch.isfinite(value).all()) for value in state.values())
    return {
        "begun_on": there,
        "resumed_on": back,
        "steps": report.steps,
        "holds": finite and report.steps == 6,
    }


def limit_rows(setting: Setting) -> Iterator[Row]:
    """The largest batch of pix2pix, and what becomes of a folder whose batch does not fit."""
    yield {"largest_batch_of_pix2pix": largest_batch(setting)}
    yield retried_row(setting)


def largest_batch(setting: Setting) -> int:
    """Doubled until memory ends, at most 1024."""
    family, fits = FAMILIES["pix2pix"], 0
    for batch in (2**power for power in range(2 if setting.is_tiny else 11)):
        try:
            run = new_state(load_recipe("pix2pix", family.tiny if setting.is_tiny else ()), setting.device)
            training_step(run.task, random_batch(run, samples=batch), run.optimizers, run.precision)
            setting.wait()
        except torch.OutOfMemoryError:
            break
        fits = batch
        if setting.is_over():
            break
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
    return fits


def retried_row(setting: Setting) -> Row:
    """A batch for which the card is made too small halves, is said to, and loses no picture."""
    from translate import make_folder

    from p2pcli.jobs.translate import translate

    source, model = setting.folder / "too-many", setting.folder / "small.safetensors"
    make_folder(source, count=8, side=64 if setting.is_tiny else 512)
    make_model(model, channels=24)
    said: list[str] = []

    def observe(event: object) -> None:
        if isinstance(event, Note) and "memory ran out" in event.text:
            said.append(event.text)

    with too_small(setting, model):
        report = translate(
            source,
            model=model,
            output=setting.folder / "halved",
            device=str(setting.device),
            batch_size=8,
            observe=observe,
        )
    return {
        "batch_that_does_not_fit": "halved" if said else "it did fit",
        "holds": report.tally.written == 8 and (bool(said) or setting.device.type != "cuda"),
    }


class too_small:  # noqa: N801 - a context
    """The card's memory limited to little more than one picture takes, while inside."""

    def __init__(self, setting: Setting, model: Path) -> None:
        self.setting, self.model = setting, model

    def __enter__(self) -> None:
        if self.setting.device.type != "cuda":
            return
        translator = load_model(self.model, device=str(self.setting.device))
        picture = np.zeros((512, 512, 3), np.uint8)
        self.setting.start_peak()
        translator.run([picture] * 2, [picture] * 2, ["", ""])
        total = torch.cuda.get_device_properties(self.setting.device).total_memory
        del translator
        share = 1.3 * torch.cuda.max_memory_reserved(self.setting.device) / total
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), self.setting.device)

    def __exit__(self, *_: object) -> None:
        if self.setting.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, self.setting.device)
