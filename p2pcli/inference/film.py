"""Translating one film in a single pass: every frame on its own timestamp, sound and the rest copied."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from p2pcli.errors import EnvironmentFaultError, ItemError
from p2pcli.events import Advanced, Ended, Observer, Started, Stop
from p2pcli.image import Image, as_rgb8, resize
from p2pcli.inference.beside import extras_beside, key_with_class
from p2pcli.inference.ledger import source_mark
from p2pcli.inference.outputs import Task
from p2pcli.inference.pipeline import BatchSize, Outcome, Stages, run_pipeline
from p2pcli.inference.progress import Progress
from p2pcli.inference.translator import Translator
from p2pcli.io.video import Frame, FrameReader, VideoInfo, VideoWriter, probe, read_frames

_HOPELESS = 8
"""So many failed frames with not one translated end a film: the rest would fail likewise."""

_EVENT_EVERY = 8
"""Frames between two progress events."""


def translate_film(
    task: Task,
    translator: Translator,
    progress: Progress,
    *,
    batch_size: BatchSize,
    workers: int,
    stop: Stop,
) -> bool:
    """Translate the film of `task`; False where `stop` came before it was done or failed.

    A frame that cannot be translated shows the source and is counted. An unfinished film leaves nothing.
    One that was cut short is written as far as it goes, and failed.
    Whatever goes wrong with it is one failed row, but `EnvironmentFaultError`, where the disk is full.
    """
    try:
        marked = source_mark(task.entry.path)
        info = probe(task.entry.path)
        with read_frames(task.entry.path) as reader:
            film = _Film(task, info, progress.observe, translator.scale)
            completed = _run(film, reader, translator, batch_size=batch_size, workers=workers, stop=stop)
            if completed:
                progress.ledger.begin(task.relative)
                film.close()
    except EnvironmentFaultError:
        raise
    except Exception as error:  # the per-item border
        progress.failed(task, error, "read" if isinstance(error, OSError) else "translate")
        return True
    if not completed:
        progress.unfinished_film = task.entry.relative
        return False
    progress.frames += film.written
    progress.frames_failed += film.failed
    cut = reader.cut_short
    for text in (*reader.notes, *film.notes):
        if text != cut:
            progress.note(text)
    if cut is None:
        progress.written(task, marked)
    else:
        progress.incomplete(
            task, marked, ItemError(f"{cut} What there is of it, {film.written:,} frames, is translated.")
        )
    return True


def _run(
    film: _Film,
    reader: FrameReader,
    translator: Translator,
    *,
    batch_size: BatchSize,
    workers: int,
    stop: Stop,
) -> bool:
    """Carry the frames through the pipeline; the film is left open where all went well, else abandoned."""

    data, entry = translator.data, film.task.entry
    # A still beside a film belongs to all its frames: the hole where a logo was.
    extras = extras_beside(entry.path, data, translator.looks)
    name = key_with_class(entry, data.classes)

    def decode(frame: Frame) -> Image:
        return translator.prepare(frame.image, f"{name}@{frame.pts}", extras=extras)

    def bucket(image: Image) -> Hashable:
        return (*translator.padded_size(image), image.dtype.str)

    def translate(frames: list[Frame], inputs: list[Image]) -> list[Image]:
        keys = [f"{name}@{frame.pts}" for frame in frames]
        return translator.run(inputs, [frame.image for frame in frames], keys)

    stages = Stages(decode, bucket, translate, film.finish, lambda image: 2 * image.nbytes)
    film.observe(Started(film.stage, film.info.frames, "frame"))
    try:
        completed = run_pipeline(
            reader, stages, batch_size=batch_size, in_order=True, stop=stop, decoders=workers
        )
    except BaseException:
        film.abort()
        raise
    finally:
        film.observe(Ended(film.stage))
    if not completed:
        film.abort()
    return completed


@dataclass
class _Film:
    """The film being written. The writer opens with the first frame, which tells the size."""

    task: Task
    info: VideoInfo
    observe: Observer
    scale: int = 1
    """Px of the result for one of the source."""
    writer: VideoWriter | None = None
    written: int = 0
    failed: int = 0
    first_error: Exception | None = None
    notes: list[str] = field(default_factory=list)
    _size: tuple[int, int] = (0, 0)

    @property
    def stage(self) -> str:
        return self.task.entry.relative

    def finish(self, frame: Frame, outcome: Outcome[Image, Image]) -> None:
        """Write one frame, in order; the source's where there is no translation."""
        image = self._enlarged(frame.image) if outcome.result is None else outcome.result
        if outcome.error is not None:
            self.failed += 1
            self.first_error = self.first_error or outcome.error
            if self.failed == self.written + 1 >= _HOPELESS:
                raise self._hopeless()
        image = _eight_bit(image)
        if self.writer is None:
            self._size = (image.shape[1], image.shape[0])
            self.writer = VideoWriter(
                self.task.output,
                like=self.info,
                source=self.task.entry.path,
                width=self._size[0],
                height=self._size[1],
            )
        if (image.shape[1], image.shape[0]) != self._size:
            image = resize(image, *self._size)
        self.writer.write(image, frame.pts, frame.duration)
        self.written += 1
        if self.written % _EVENT_EVERY == 0:
            self.observe(Advanced(self.stage, self.written, self.failed))

    def _enlarged(self, image: Image) -> Image:
        height, width = image.shape[:2]
        return resize(image, width * self.scale, height * self.scale) if self.scale > 1 else image

    def close(self) -> None:
        """Check the film and put it in place. Raises `ItemError` where not one frame was translated."""
        if self.writer is None:
            raise ItemError(f"{self.stage}: not one frame could be read. Copy or download it again.")
        if self.failed == self.written:
            self.abort()
            raise self._hopeless()
        self.writer.close()
        self.notes += self.writer.notes
        if self.failed:
            self.notes.append(
                f"{self.stage}: {self.failed} of {self.written} frames could not be translated and show the "
                f"source ({self.first_error})."
            )

    def abort(self) -> None:
        """Leave nothing behind."""
        if self.writer is not None:
            self.writer.abort()

    def _hopeless(self) -> ItemError:
        error = ItemError(
            f"{self.stage}: none of its first {self.failed} frames could be translated: {self.first_error}",
            stage="translate",
        )
        error.__cause__ = self.first_error
        return error


def _eight_bit(image: Image) -> Image:
    return np.ascontiguousarray(as_rgb8(image))
