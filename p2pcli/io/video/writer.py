"""Writing a film: upright frames on the source's own clock, with everything else of the source kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from p2pcli.errors import EnvironmentFaultError, ItemError, UsageError, item_border
from p2pcli.image import Image
from p2pcli.io.atomic import atomic_path, environment_fault
from p2pcli.io.video.colour import as_yuv, written_colour
from p2pcli.io.video.container import output_fault, reason
from p2pcli.io.video.encoder import ENCODERS, Picture, pick_encoder, set_up
from p2pcli.io.video.mux import container_format
from p2pcli.io.video.probe import VideoInfo
from p2pcli.io.video.side_streams import SideStreams


class VideoWriter:
    """Writes one film, whole or not at all; a context manager.

    Leaving the block without an error, or `close`, checks the file and puts it in place; an error, or
    `abort`, leaves nothing. Frames are stored upright, without a rotation tag.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        like: VideoInfo,
        source: Path | None = None,
        width: int | None = None,
        height: int | None = None,
        encoder: str = "auto",
        quality: int | None = None,
        preset: str | None = None,
        pix_fmt: str | None = None,
        trim: bool = False,
        threads: int = 0,
    ) -> None:
        """Open the encoder and the file, and prepare the copying.

        `like` gives clock, colour and pixel aspect; `source` is the file whose sound, subtitles, chapters and
        titles are copied (None: none). `quality` is the encoder's own scale, lower is better. `trim` ends the
        sound with the last frame. Raises `UsageError` for a suffix or a sound codec that does not fit, and
        `EnvironmentFaultError` where no encoder opens or the disk is full.
        """
        self.path = Path(path)
        self.like = like
        self.notes: list[str] = []
        """Sentences on what could not be kept as it was."""
        self.frames = 0
        self._container = container_format(self.path)
        self._colour = written_colour(like.colour)
        self._reformatter = VideoReformatter()
        self._trim = trim
        self._threads = threads
        self._last_pts: int | None = None
        self._end_pts = 0
        picture = self._picture(width or like.width, height or like.height, pix_fmt, encoder)
        self._encoder, note = pick_encoder(encoder, self._container, picture)
        self._note(note)
        self._picture_written = picture
        self._stack = contextlib.ExitStack()
        try:
            self._temporary = self._stack.enter_context(atomic_path(self.path))
            with self._faults():
                self._open(source, quality, preset, threads)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is None:
            self.close()
        else:
            self._discard(value)

    def write(self, image: Image, pts: int, duration: int | None = None) -> None:
        """Append one upright frame, RGB (H, W, 3) uint8; `pts` and `duration` in the source's time base.

        pts must ascend.
        """
        expected = (self._picture_written.height, self._picture_written.width, 3)
        if image.shape != expected or image.dtype != "uint8":
            raise ValueError(f"a frame of {image.shape} {image.dtype}; uint8 {expected} was announced")
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"pts {pts} does not come after {self._last_pts}")
        self._last_pts, self._end_pts = pts, pts + (duration or 0)
        frame = as_yuv(
            image,
            self._colour,
            reformatter=self._reformatter,
            pix_fmt=self._picture_written.pix_fmt,
            threads=self._threads,
        )
        frame.pts = pts - self._shift
        frame.time_base = self._picture_written.time_base
        if duration:
            frame.duration = duration
        with self._faults():
            self._mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Finish the file, check it, make it durable and put it in place."""
        try:
            if not self.frames:
                raise ItemError(
                    f"{self.path}: no frame was written. At least one was expected.", stage="write"
                )
            with self._faults():
                self._mux(self._stream.encode(None))
                self._finish_side_streams()
                self._output.close()
            self._verify()
        except BaseException as error:
            self._discard(error)
            raise
        self._stack.close()

    def abort(self) -> None:
        """Leave nothing behind."""
        self._discard(_AbandonedError())

    def _picture(self, width: int, height: int, pix_fmt: str | None, encoder: str) -> Picture:
        is_odd = bool(width % 2 or height % 2)
        known = ENCODERS.get(encoder)
        takes_odd = known.takes_odd_sizes if known else encoder == "auto" and self._container == "webm"
        if pix_fmt is None and is_odd and not takes_odd:
            pix_fmt = "yuv444p"
            self._note(
                f"{self.path.name}: {width}×{height} px is odd, so it is stored as 4:4:4 (yuv444p), which "
                "some players do not show."
            )
        return Picture(
            width,
            height,
            pix_fmt or "yuv420p",
            self.like.time_base,
            self.like.fps,
            self.like.sample_aspect_ratio,
            self._colour,
        )

    def _open(self, source: Path | None, quality: int | None, preset: str | None, threads: int) -> None:
        picture, settings = self._picture_written, ENCODERS[self._encoder]
        options = {}
        if self._container in ("mp4", "mov"):
            options["movflags"] = "+faststart+write_colr"
            if picture.time_base.numerator == 1:
                # Both clocks as fine as the source's: the movie's own, of 1/1000 s, rounds a start offset.
                options["video_track_timescale"] = str(picture.time_base.denominator)
                options["movie_timescale"] = str(picture.time_base.denominator)
        self._output = av.open(
            f"file:{self._temporary}", "w", format=self._container, container_options=options
        )
        self._stack.callback(self._close_output_quietly)
        try:
            stream = self._output.add_stream(self._encoder, rate=picture.fps)
        except ValueError as error:
            raise UsageError(f"{self.path}: {error}. Choose another suffix, or encoder 'auto'.") from error
        assert isinstance(stream, VideoStream)
        self._stream = stream
        set_up(stream.codec_context, picture)
        self._stream.codec_context.options = settings.options(
            settings.quality if quality is None else quality, preset or settings.preset
        )
        self._stream.codec_context.thread_count = threads
        self._stream.time_base = picture.time_base
        self._side: SideStreams | None = None
        if source is not None:
            # What is read here may fail with the same numbers as a disk that takes no more.
            with item_border(source.name):
                self._side = SideStreams(source, self._output)
        self._shift = 0
        if self._side is not None:
            self._stack.callback(self._side.close)
            self._side.describe_pictures(stream)
            self._shift = round(self._side.origin / picture.time_base)
        self._output.start_encoding()

    def _close_output_quietly(self) -> None:
        # After a failure only: `close` has closed it by then, or the file is thrown away.
        with contextlib.suppress(av.FFmpegError, OSError):
            self._output.close()

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if self._side is not None and packet.dts is not None:
                self._side.advance(Fraction(packet.dts * packet.time_base))
            self._output.mux_one(packet)

    def _finish_side_streams(self) -> None:
        if self._side is None:
            return
        end = Fraction((self._end_pts - self._shift) * self._picture_written.time_base)
        self._side.finish(end if self._trim else None)
        self.notes.extend(self._side.notes)

    def _verify(self) -> None:
        with av.open(f"file:{self._temporary}") as written:
            packets = sum(1 for packet in written.demux(written.streams.video[0]) if packet.size)
        if packets != self.frames:
            raise EnvironmentFaultError(
                f"{self.path}: {packets} frames can be read back of {self.frames} written. The disk may be "
                "full or failing: check it, then run the same command again."
            )

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turns what the muxer says of a full disk, or of a place not to be written to, into our errors."""
        try:
            yield
        except av.FFmpegError as error:
            fault = environment_fault(error, self.path) if isinstance(error, OSError) else None
            if fault is not None and output_fault(error):
                raise fault from error
            raise ItemError(
                f"{self.path}: cannot be written ({reason(error)}). Encoder and container do not take what "
                "this film holds: choose another suffix, or convert the film first.",
                stage="write",
            ) from error

    def _discard(self, error: BaseException) -> None:
        with contextlib.suppress(_AbandonedError, av.FFmpegError):
            try:
                self._stack.__exit__(type(error), error, error.__traceback__)
            except BaseException as raised:
                if raised is not error:
                    raise

    def _note(self, text: str | None) -> None:
        if text:
            self.notes.append(text)


class _AbandonedError(Exception):
    """Thrown into the temporary file's context so that it is removed."""
