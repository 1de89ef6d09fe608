"""Translating image files: read, prepare, batch, network, encode, store, each in its own threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from p2pcli.errors import EnvironmentFaultError
from p2pcli.events import Stop
from p2pcli.image import Colour, Image, as_rgb8, over
from p2pcli.inference.beside import extras_beside, key_with_class
from p2pcli.inference.ledger import source_mark
from p2pcli.inference.outputs import Task
from p2pcli.inference.pipeline import BatchSize, Outcome, Stages, run_pipeline
from p2pcli.inference.progress import Progress
from p2pcli.inference.translator import Translator
from p2pcli.io.atomic import write_bytes
from p2pcli.io.codec import ENCODABLE, ImageMeta, encode, read_image
from p2pcli.io.left_out import LeftOut, metadata_text, pictures_text


@dataclass(frozen=True)
class Picture:
    """A decoded source and what the network is to see of it."""

    source: Image
    prepared: Image
    source_marked: dict[str, int]
    meta: ImageMeta
    """What its file's header said."""


def translate_pictures(
    tasks: Sequence[Task],
    translator: Translator,
    progress: Progress,
    *,
    batch_size: BatchSize,
    quality: int,
    max_pixels: int,
    workers: int,
    stop: Stop,
    begun: Callable[[Task], None] = lambda task: None,
    ended: Callable[[Task], None] = lambda task: None,
) -> bool:
    """Translate the image files of `tasks`; True where all were done, False where `stop` came first.

    `begun` is told of each task before its file is opened, `ended` when all is done with it. What fails is
    recorded in `progress` under its key. Raises `EnvironmentFaultError` where the disk is full.
    """

    data = translator.data
    left_out = LeftOut()

    def decode(task: Task) -> Picture:
        begun(task)
        marked = source_mark(task.entry.path)
        read = read_image(task.entry.path, max_pixels=max_pixels, ids=data.pixels_are_ids)
        source = read.image
        extras = extras_beside(task.entry.path, data, translator.looks, max_pixels=max_pixels)
        key = key_with_class(task.entry, data.classes)
        return Picture(source, translator.prepare(source, key, extras=extras), marked, read.meta)

    def bucket(picture: Picture) -> Hashable:
        return (*translator.padded_size(picture.prepared), picture.source.dtype.str)

    def translate(batch: list[Task], pictures: list[Picture]) -> list[Image]:
        inputs = [picture.prepared for picture in pictures]
        sources = [picture.source for picture in pictures]
        return translator.run(inputs, sources, [task.entry.key for task in batch])

    def finish(task: Task, outcome: Outcome[Picture, Image]) -> None:
        _finish(task, outcome)
        ended(task)

    def _finish(task: Task, outcome: Outcome[Picture, Image]) -> None:
        if outcome.error is not None:
            progress.failed(task, outcome.error, "read" if outcome.loaded is None else "translate")
            return
        assert outcome.loaded is not None and outcome.result is not None
        try:
            _store(task, outcome.result, progress, quality=quality, background=translator.background)
        except EnvironmentFaultError:
            raise
        except Exception as error:  # the per-image border
            progress.failed(task, error, "write")
        else:
            progress.written(task, outcome.loaded.source_marked)
            left_out.add(task.entry.relative, outcome.loaded.meta)

    stages = Stages(decode, bucket, translate, finish, _weight)
    completed = run_pipeline(
        tasks, stages, batch_size=batch_size, in_order=False, stop=stop, decoders=workers, encoders=workers
    )
    if named := metadata_text(left_out.counts()):
        progress.note(f"left out of what is written: {named}")
    if several := pictures_text(left_out.pictures, done="translated"):
        progress.note(several)
    return completed


def _weight(picture: Picture) -> int:
    # The prepared picture, and the float tensors that the network makes of it.
    return picture.source.nbytes + picture.prepared.nbytes


def _store(task: Task, image: Image, progress: Progress, *, quality: int, background: Colour) -> None:
    suffix = task.output.suffix
    held, lost = fitted(image, suffix, background=background)
    if lost:
        progress.note(f"{task.entry.relative}: {lost}, which '{suffix}' cannot hold", level="detail")
    # OpenCV's own way of PNG: a third of the time of zlib at level 3 for files some 8 % larger.
    data = encode(held, suffix, quality=quality, png_compression=None)
    progress.ledger.begin(task.relative)
    write_bytes(task.output, data)


def fitted(image: Image, suffix: str, *, background: Colour) -> tuple[Image, str]:
    """`image` as a file with this suffix can hold it, and what was lost: "" or such as "transparency".

    Without alpha it is shown over `background`: colours below alpha are nothing to look at.
    """
    form = ENCODABLE[suffix.lower()]
    lost = []
    if image.dtype == np.uint16 and not form.holds_16_bit:
        wide = image.astype(np.uint32)
        image = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        lost.append("16 bits became 8")
    if image.shape[2] == 4 and 4 not in form.channels:
        image = over(image, background)
        lost.append("transparency is left out")
    if image.shape[2] == 1 and 1 not in form.channels:
        image = np.repeat(image, 3, axis=2) if image.dtype == np.uint16 else as_rgb8(image)
    return image, ", ".join(lost)
