"""Which encoders there are, how each is asked for a quality, and which one opens on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from p2pcli.errors import EnvironmentFaultError, ItemError, UsageError, did_you_mean
from p2pcli.io.video.colour import Colour, tags_of
from p2pcli.io.video.container import reason


@dataclass(frozen=True)
class Encoder:
    """How one encoder is set up."""

    quality: int
    """The default: visually lossless or nearly so, in the encoder's own scale (lower is better)."""
    options: Callable[[int, str], dict[str, str]]
    """(quality, preset) → the encoder's private options."""
    preset: str
    takes_odd_sizes: bool = False
    """True where 4:2:0 with an odd width or height is allowed."""


@dataclass(frozen=True)
class Picture:
    """What is encoded: size in pixels, pixel format, clock, colour."""

    width: int
    height: int
    pix_fmt: str
    time_base: Fraction
    fps: Fraction
    sample_aspect_ratio: Fraction
    colour: Colour


_PLAIN = Picture(64, 64, "yuv420p", Fraction(1, 25), Fraction(25), Fraction(1), Colour("bt709", "limited"))
"""What every encoder takes that works at all."""


def _crf(quality: int, preset: str) -> dict[str, str]:
    return {"crf": str(quality), "preset": preset}


def _vpx(quality: int, preset: str) -> dict[str, str]:
    return {"crf": str(quality), "b": "0", "deadline": "good", "cpu-used": preset, "row-mt": "1"}


def _nvenc(quality: int, preset: str) -> dict[str, str]:
    return {"rc": "vbr", "cq": str(quality), "b": "0", "preset": preset}


def _qscale(quality: int, preset: str) -> dict[str, str]:
    return {"flags": "+qscale", "global_quality": str(quality * 118)}  # FF_QP2LAMBDA


ENCODERS: dict[str, Encoder] = {
    "libx264": Encoder(16, _crf, "fast"),
    "libx265": Encoder(18, _crf, "fast"),
    "libvpx-vp9": Encoder(20, _vpx, "4", takes_odd_sizes=True),
    "libsvtav1": Encoder(22, _crf, "8"),
    "h264_nvenc": Encoder(18, _nvenc, "p5"),
    "hevc_nvenc": Encoder(20, _nvenc, "p5"),
    "mpeg4": Encoder(2, _qscale, ""),
}

AUTO = {"webm": ("libvpx-vp9",)}
"""Container format → encoders tried in turn for "auto"; `AUTO_ELSEWHERE` for all others."""
AUTO_ELSEWHERE = ("libx264", "mpeg4")


def pick_encoder(name: str, container: str, picture: Picture) -> tuple[str, str | None]:
    """The first encoder that opens for `picture`, and a note where it is not the one that was asked for.

    `name` is one of `ENCODERS`, or "auto". Raises `UsageError` for an unknown name, `EnvironmentFaultError`
    where none opens on this machine, and `ItemError` (stage "write") where none does for this picture alone.
    """
    if name != "auto" and name not in ENCODERS:
        raise UsageError(f"encoder '{name}' is not known. {did_you_mean(name, [*ENCODERS, 'auto'])}")
    automatic = AUTO.get(container, AUTO_ELSEWHERE)
    tried = automatic if name == "auto" else (name, *(other for other in automatic if other != name))
    failures: list[str] = []
    for candidate in tried:
        failure = _failure_to_open(candidate, picture)
        if failure is None:
            note = f"{'; '.join(failures)}: {candidate} is used instead." if failures else None
            return candidate, note
        failures.append(f"encoder {candidate} does not open here ({failure})")
    if any(_failure_to_open(candidate, _PLAIN) is None for candidate in tried):
        raise ItemError(
            f"{'; '.join(failures)}: not for {picture.width}×{picture.height} px and {picture.fps} frames a "
            "second. Scale or convert the film first.",
            stage="write",
        )
    raise EnvironmentFaultError(f"{'; '.join(failures)}. Install a PyAV wheel that brings {tried[-1]}.")


def set_up(context: VideoCodecContext, picture: Picture) -> None:
    """Give an encoder that is not open yet the picture's size, clock and colour tags."""
    context.width, context.height = picture.width, picture.height
    context.pix_fmt = picture.pix_fmt
    context.time_base = picture.time_base
    context.framerate = picture.fps
    context.sample_aspect_ratio = picture.sample_aspect_ratio
    tags = tags_of(picture.colour)
    context.colorspace = tags.matrix
    context.color_range = tags.range
    context.color_primaries = tags.primaries
    context.color_trc = tags.transfer
    context.thread_type = "AUTO"
    # Without it the last frame gets the average duration instead of its own.
    context.flags |= Flags.frame_duration


def _failure_to_open(name: str, picture: Picture) -> str | None:
    encoder = ENCODERS[name]
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        set_up(context, picture)
        context.options = encoder.options(encoder.quality, encoder.preset)
        context.open()
    except (av.FFmpegError, ValueError) as error:
        return reason(error)
    return None
