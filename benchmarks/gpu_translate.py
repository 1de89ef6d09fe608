"""Translating on a GPU: a folder and a film, each stage alone, and which encoders the machine has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from gpu_setting import Row, Setting
from translate import make_film, make_folder, make_model, make_picture

from p2pcli.inference.translator import load_model
from p2pcli.io.video import VideoWriter, probe, read_frames
from p2pcli.io.video.encoder import ENCODERS
from p2pcli.jobs.translate import translate
from p2pcli.tensors import from_bytes, stacked, to_images

CHANNELS = 64


def rows(setting: Setting) -> Iterator[Row]:
    """A folder of 512 px pictures, the way over the bus, a film of 1080 lines, encoders."""
    model = setting.folder / "model.safetensors"
    make_model(model, channels=24 if setting.is_tiny else CHANNELS)
    yield folder_row(setting, model)
    yield bus_row(setting)
    yield film_row(setting, model)
    yield {
        "encoders_that_open": ", ".join(name for name in ENCODERS if opens(name, setting.folder)) or "none"
    }


def folder_row(setting: Setting, model: Path) -> Row:
    """Pictures a second of `translate`, and of the network alone on pictures in memory."""
    count, side = (4, 64) if setting.is_tiny else (400, 512)
    source = setting.folder / "pictures"
    make_folder(source, count=count, side=side)
    translator = load_model(model, device=str(setting.device))
    size = min(count, translator.batch_that_suits((side, side)))
    pictures = [make_picture(number, side=side) for number in range(size)]
    network = size / setting.seconds(lambda: translator.run(pictures, pictures, [""] * size))
    began = time.perf_counter()
    report = translate(source, model=model, output=setting.folder / "translated", device=str(setting.device))
    whole = report.tally.written / (time.perf_counter() - began)
    return {
        "folder": f"{count} pictures of {side} px",
        "batch": size,
        "pictures_per_second": whole,
        "network_alone": network,
        "holds": report.tally.written == count,
    }


def bus_row(setting: Setting) -> Row:
    """Gigabytes a second that pictures go to the device and results come back."""
    side, count = (64, 2) if setting.is_tiny else (512, 64)
    whole = stacked([make_picture(number, side=side) for number in range(count)])
    there = setting.seconds(lambda: from_bytes(whole, device=setting.device))
    made = from_bytes(whole, device=setting.device)
    back = setting.seconds(lambda: to_images(made))
    return {
        "to_device_gb_per_second": whole.nbytes / there / 1e9,
        "back_gb_per_second": whole.nbytes / back / 1e9,
    }


def film_row(setting: Setting, model: Path) -> Row:
    """Frames a second of `translate` on a film, and what limits them."""
    frames, side = (4, 64) if setting.is_tiny else (150, 1024)
    film = setting.folder / "film.mp4"
    make_film(film, frames=frames, side=side)
    info, translator = probe(film), load_model(model, device=str(setting.device))
    pictures = [frame.image for frame in read_frames(film)]
    size = min(frames, translator.batch_that_suits(translator.padded_size(pictures[0])))
    batch = pictures[:size]

    def encode() -> None:
        with VideoWriter(setting.folder / "alone.mp4", like=info, width=side, height=side) as writer:
            for number, picture in enumerate(pictures):
                writer.write(picture, number * 512, 512)

    alone = {
        "decode": rate(lambda: [None for _ in read_frames(film)], frames),
        "network": size / setting.seconds(lambda: translator.run(batch, batch, [""] * size)),
        "encode": rate(encode, frames),
    }
    output = setting.folder / "film-out.mp4"
    whole = rate(lambda: translate(film, model=model, output=output, device=str(setting.device)), frames)
    slowest = min(alone, key=lambda name: alone[name])
    return {
        "film": f"{frames} frames of {side}×{side} px",
        "frames_per_second": whole,
        **{f"{name}_alone": value for name, value in alone.items()},
        "limit": slowest,
        "share_of_the_limit": whole / alone[slowest],
        "holds": len([None for _ in read_frames(output)]) == frames,
    }


def rate(call: Callable[[], object], count: int) -> float:
    """How many of `count` things a second one call does."""
    began = time.perf_counter()
    call()
    return count / (time.perf_counter() - began)


def opens(encoder: str, folder: Path) -> bool:
    """True where this machine can write a film with the encoder, hardware or not."""
    place = folder / f"{encoder}.mkv"
    source = folder / "film.mp4"
    try:
        with VideoWriter(place, like=probe(source), width=256, height=256, encoder=encoder) as writer:
            for number in range(3):
                writer.write(np.zeros((256, 256, 3), np.uint8), number * 512, 512)
            return not any("is used instead" in note for note in writer.notes)
    except Exception:  # whatever it is: it does not open here
        return False
