"""Damaged pictures and films, made by seed: every one is a row of its own, and the run goes on to the last.

    python benchmarks/fuzz.py [--films 60] [--pictures 300] [--seed 0] [--limit-seconds 900] [--keep FOLDER]

Small whole films of eight formats and pictures of six are damaged in four ways: bits flipped, cut short,
pieces of others spliced in, numbers of the header made to lie. make-pairs and translate run over each kind,
each in a process of its own. A row is right where the run ends with 0 or 3 within the limit and planned =
written + skipped + failed, every file of the input among them. Ends with 1 where a row is wrong; a seed makes
the same files again.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".gif": "GIF", ".bmp": "BMP"}
"""Suffix → Pillow's name of the format."""

FILMS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("mjpeg", "pcm_s16le"),
    ".mkv": ("libx264", "flac"),
    ".webm": ("libvpx-vp9", "libopus"),
    ".avi": ("mpeg4", "adpcm_ms"),
    ".ts": ("libx264", "aac"),
    ".mpg": ("mpeg2video", "mp2"),
    ".flv": ("flv", "adpcm_swf"),
}
"""Suffix → encoders of pictures and sound."""

_FRAMES, _RATE = 12, 8000
_LIES = (0, 1, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def whole_picture(suffix: str, rng: random.Random) -> bytes:
    """A small picture with detail."""
    from PIL import Image

    values = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(values).resize((64, 48))
    encoded = io.BytesIO()
    picture.save(encoded, PICTURES[suffix])
    return encoded.getvalue()


def whole_film(suffix: str, rng: random.Random) -> bytes:
    """Half a second of film with sound."""
    import av

    video_codec, sound_codec = FILMS[suffix]
    rate = 48000 if sound_codec in ("libopus", "mp2") else 11025 if sound_codec == "adpcm_swf" else _RATE
    values = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="fuzz-film-") as folder:
        path = Path(folder) / f"whole{suffix}"
        with av.open(str(path), "w") as output:
            video = output.add_stream(video_codec, rate=24)
            video.width, video.height = 64, 48
            video.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
            sound = output.add_stream(sound_codec, rate=rate, layout="mono")
            for number in range(_FRAMES):
                frame = av.VideoFrame.from_ndarray(values[number % 8] // 4 + 90, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 24)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
            tone = (np.sin(np.arange(rate // 2) / 9) * 9000).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            heard.sample_rate, heard.pts = rate, 0
            output.mux(sound.encode(heard))
            output.mux(sound.encode(None))
        return path.read_bytes()


def flipped(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """1 to 256 bits are turned."""
    damaged = bytearray(data)
    for _ in range(2 ** rng.randrange(9)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The file ends anywhere, also at once."""
    return data[: rng.randrange(len(data))]


def spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A piece of another file takes the place of one of this file's, of any length."""
    begin, end = sorted(rng.randrange(len(data)) for _ in range(2))
    first, last = sorted(rng.randrange(len(other)) for _ in range(2))
    return data[:begin] + other[first:last] + data[end:]


def lying(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four numbers of the first 512 bytes are extreme ones, of two or four bytes and either order."""
    damaged = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        size = rng.choice((2, 4))
        number = rng.choice(_LIES) & (256**size - 1)
        begin = rng.randrange(max(1, min(512, len(damaged) - size)))
        damaged[begin : begin + size] = number.to_bytes(size, rng.choice(("big", "little")))
    return bytes(damaged)


DAMAGES = (flipped, cut, spliced, lying)


def fill(
    folder: Path, suffixes: list[str], count: int, *, whole: Callable[[str, random.Random], bytes], seed: int
) -> None:
    """Write `count` damaged files into `folder`, of each suffix and each damage in turn, and a whole one."""
    folder.mkdir(parents=True)
    rng = random.Random(f"{seed} {folder.name}")
    kinds = {suffix: [whole(suffix, rng) for _ in range(3)] for suffix in suffixes}
    everything = [data for some in kinds.values() for data in some]
    for number in range(count):
        suffix = suffixes[number % len(suffixes)]
        damage = DAMAGES[number // len(suffixes) % len(DAMAGES)]
        data = damage(rng.choice(kinds[suffix]), rng.choice(everything), rng)
        (folder / f"{number:04d}-{damage.__name__}{suffix}").write_bytes(data)
    (folder / f"whole{suffixes[0]}").write_bytes(kinds[suffixes[0]][0])


@dataclass(frozen=True)
class Row:
    """What one verb made of one kind of files."""

    kind: str
    verb: str
    files: int
    code: int
    """What the process ended with: below 0 a signal, 124 the limit."""
    seconds: float
    planned: int
    written: int
    skipped: int
    failed: int
    said: str
    """The last line on stderr."""

    @property
    def is_right(self) -> bool:
        """True where the run came to its end and everything is accounted for."""
        is_whole = self.planned == self.written + self.skipped + self.failed and self.written > 0
        # A film plans a pair or more, or one row for all of it.
        return self.code in (0, 3) and is_whole and self.planned >= self.files

    def __str__(self) -> str:
        verdict = "right" if self.is_right else f"WRONG ({self.said})"
        counts = f"{self.planned} = {self.written} written + {self.skipped} skipped + {self.failed} failed"
        return (
            f"{self.kind:6} {self.verb:10} {self.files:5} files  exit {self.code:3}  {self.seconds:6.1f} s  "
            f"{counts}  {verdict}"
        )


def run(kind: str, verb: str, sources: Path, words: list[str], *, limit_seconds: float) -> Row:
    """Run one verb over a folder in a process of its own."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "p2pcli", verb, *words, "--json"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit_seconds
        )
        code, out, said = ended.returncode, ended.stdout, ended.stderr.strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        code, out, said = 124, "", f"ran past {limit_seconds:g} s"
    return row_of(kind, verb, sources, code, out, said, seconds=time.perf_counter() - begun)


def row_of(kind: str, verb: str, sources: Path, code: int, out: str, said: str, *, seconds: float) -> Row:
    """The row of a run that ended with `code` and this JSON."""
    try:
        values = json.loads(out)
    except ValueError:
        values = {}
    tally = values.get("tally", values)
    counts = {name: int(tally.get(name, 0)) for name in ("planned", "written", "skipped", "failed")}
    return Row(kind, verb, sum(1 for _ in sources.iterdir()), code, seconds, **counts, said=said)


def fuzz(folder: Path, *, films: int, pictures: int, seed: int, limit_seconds: float) -> list[Row]:
    """Make the files below `folder` and run both verbs over each kind; prints each row as it comes."""
    from memory import make_model

    make_model(folder / "model.safetensors")
    sources = {}
    for suffix in PICTURES if pictures else ():
        sources[suffix[1:]] = folder / "in" / suffix[1:]
        fill(sources[suffix[1:]], [suffix], pictures, whole=whole_picture, seed=seed)
    if films:
        sources["films"] = folder / "in" / "films"
        fill(sources["films"], list(FILMS), films, whole=whole_film, seed=seed)
    rows = []
    for kind, place in sources.items():
        made, translated = folder / "pairs" / kind, folder / "translated" / kind
        for verb, words in (
            ("make-pairs", ["gray", str(place), "-o", str(made), "--size", "32", "--every", "4"]),
            ("translate", [str(place), "-m", str(folder / "model.safetensors"), "-o", str(translated)]),
        ):
            rows.append(run(kind, verb, place, words, limit_seconds=limit_seconds))
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=60)
    parser.add_argument("--pictures", type=int, default=300, help="of each of the six formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-seconds", type=float, default=900, help="of each run")
    parser.add_argument("--keep", type=Path, help="a new folder for files and results, to look into")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        rows = fuzz(
            options.keep or Path(name),
            films=options.films,
            pictures=options.pictures,
            seed=options.seed,
            limit_seconds=options.limit_seconds,
        )
    wrong = sum(not row.is_right for row in rows)
    print(f"{len(rows) - wrong} of {len(rows)} runs came to their end with every file accounted for")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
