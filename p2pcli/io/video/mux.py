"""The formats that films are written in, and which of them can hold a film's sound and subtitles."""

from __future__ import annotations

import io
from pathlib import Path

import av

from p2pcli.errors import UsageError
from p2pcli.io.video.container import has_codec, open_input, read_only
from p2pcli.io.video.probe import VideoInfo

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Suffix → format that films are written in. Others lose timestamps (avi) or titles and chapters (ts)."""

FALLBACK_SUFFIX = ".mkv"
"""Holds every sound and subtitle codec, but keeps time in milliseconds."""

_TRIED_PACKETS = 8
"""So many packets of a stream may be damaged before a format is said to refuse it."""


def container_format(path: Path) -> str:
    """The format that `path`'s suffix asks for; raises `UsageError` where none is written."""
    known = CONTAINERS.get(path.suffix.lower())
    if known is None:
        raise UsageError(
            f"{path}: films are not written as '{path.suffix or path.name}'. "
            f"Choose one of {', '.join(CONTAINERS)}."
        )
    return known


def output_suffix(info: VideoInfo) -> tuple[str, str | None]:
    """The suffix under which the film's translation keeps its sound, and a note where it is another.

    The source's own where films are written so and every sound stream fits; else ".mp4", ".mov" or ".mkv".
    Where some sound fits none of them, the one that takes most, in this order: the rest is encoded anew.
    """
    own = info.path.suffix.lower()
    candidates = [own] if own in CONTAINERS else []
    if own != ".webm":
        candidates.extend(suffix for suffix in (".mp4", ".mov") if suffix != own)
    candidates.append(FALLBACK_SUFFIX)
    with open_input(info.path) as source:
        sounds = [sound.index for sound in source.streams.audio if has_codec(sound)]

    def refused(suffix: str) -> int:
        return sum(not accepts(CONTAINERS[suffix], info.path, index) for index in sounds)

    suffix = min(dict.fromkeys(candidates), key=refused)
    if suffix == own:
        return suffix, None
    return (
        suffix,
        f"{info.path.name}: written as {suffix}, since {own or 'its format'} cannot take the result.",
    )


def accepts(container: str, path: Path, index: int) -> bool:
    """True where a file of this format can hold stream `index` of the film at `path`.

    Found by writing a file with its first packets to memory: some formats refuse only when they are finished.
    """
    with open_input(path) as source:
        stream = source.streams[index]
        if not has_codec(stream):
            return False
        read_only(source, {index})
        taken = refused = 0
        try:
            with av.open(io.BytesIO(), "w", format=container) as trial:
                copy = trial.add_stream_from_template(stream)
                trial.start_encoding()
                for packet in source.demux(stream):
                    if not packet.size:
                        continue
                    packet.stream = copy
                    try:
                        trial.mux_one(packet)
                        taken += 1
                    except (av.FFmpegError, ValueError):
                        refused += 1
                    if taken or refused == _TRIED_PACKETS:
                        break
        except (av.FFmpegError, ValueError):
            return False
    return taken > 0 or not refused
