"""Opening a film: which files and formats are let in, and what each way of failing is called."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from p2pcli.errors import ItemError
from p2pcli.io.sniff import HEAD_BYTES, is_jpeg_film

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi,mpegts,mpeg,mpegvideo,m4v,flv,live_flv,asf,ogg,ivf,nut,mxf,dv,rm,wtv,gif,apng,yuv4mpegpipe",
    "h264,hevc,vvc,obu,vc1,h261,h263,dirac,mjpeg,amv,aac,ac3,mp3,wav,flac",
)
"""Demuxers that may open a file. Left out on purpose: playlists (hls, dash, concat), which name other files,
and those that take any text or still picture for a film."""

MAX_PIXELS = 200_000_000
"""A frame larger than this is refused before anything is decoded."""


# From 19 on the library keeps titles that are no UTF-8 by itself, bit for bit.
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}

_OUTPUT_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})


def open_input(path: Path) -> InputContainer:
    """The opened container of a local film; the caller closes it.

    Raises `ItemError`: not a local file, empty, or nothing that one of `FORMATS` recognises.
    """
    name = os.fspath(path)
    # Path("http://a") has one slash left; a drive letter has one letter.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name) and not path.exists():
        raise ItemError(f"{name}: an address. Films are read from local files: download it first.")
    if not path.is_file():
        what = "not a plain file" if path.exists() else "there is no such file"
        raise ItemError(f"{name}: {what}. A video file was expected: check the name.")
    try:
        if path.stat().st_size == 0:
            raise ItemError(f"{name}: empty (0 bytes). A video file was expected: copy or download it again.")
        with path.open("rb") as file:
            is_jpegs = is_jpeg_film(file.read(HEAD_BYTES), path.suffix)
        # The prefix keeps names such as "concat:a.mp4" from being taken for another protocol.
        container: InputContainer = av.open(
            f"file:{name}",
            mode="r",
            # Its beginning is that of a still picture, for which the library would take it.
            format="mjpeg" if is_jpegs else None,
            options={"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)},
            **_METADATA,
        )
        return container
    except (OSError, av.FFmpegError, ValueError, EOFError) as error:
        # The library answers with the numbers of I/O errors where a film is damaged.
        if isinstance(error, OSError) and error.errno not in (errno.EIO, errno.EPERM):
            raise ItemError(f"{name}: cannot be read ({error.strerror}). Check its permissions.") from error
        raise ItemError(
            f"{name}: no video container that can be read ({reason(error)}): damaged, cut short, or another "
            "kind of file. Play it elsewhere to check, and copy or download it again."
        ) from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that is read: the first video stream with a decoder and a size that is no cover picture."""
    films = [stream for stream in container.streams.video if not _is_cover(stream)]
    usable = [
        stream
        for stream in films
        if has_codec(stream) and stream.codec_context.width and stream.codec_context.height
    ]
    if usable:
        stream = usable[0]
        size = stream.codec_context.width * stream.codec_context.height
        if size > MAX_PIXELS:
            raise ItemError(
                f"{path}: frames of {stream.codec_context.width}×{stream.codec_context.height} px. At most "
                f"{MAX_PIXELS:,} pixels are decoded: scale the film down first."
            )
        return stream
    if films:
        raise ItemError(
            f"{path}: its video stream has no size or a codec without a decoder here. A film in H.264, HEVC, "
            "VP9, AV1, MPEG or ProRes was expected: convert it first."
        )
    kinds = sorted({stream.type for stream in container.streams})
    what = "audio only" if "audio" in kinds else f"only {', '.join(kinds) or 'no streams'}"
    raise ItemError(f"{path}: no video stream ({what}). A film was expected: leave this file out.")


def has_codec(stream: Stream) -> bool:
    """True where the stream's codec is known here; the library gives no context otherwise."""
    return getattr(stream, "codec_context", None) is not None


def reason(error: BaseException) -> str:
    """The library's words for `error`, without the error number and the file name."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def read_only(container: InputContainer, indices: Collection[int]) -> None:
    """Let the demuxer pass over the streams that are not among `indices`."""
    for stream in container.streams:
        if stream.index not in indices:
            stream.discard = Discard.all


def output_fault(error: BaseException) -> bool:
    """True where the library could not write because of the machine: disk, quota or permissions.

    Other errors with a number belong to the film. Decoders and formats answer -1, which is also the number
    of "operation not permitted", for whatever they do not like.
    """
    return isinstance(error, OSError) and error.errno in _OUTPUT_FAULTS


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & stream.disposition.__class__.attached_pic)
