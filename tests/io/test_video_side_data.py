"""What lies beside a frame's pixels: the display matrix is found among kinds that PyAV has no name for."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image as PillowImage

from p2pcli.errors import ItemError
from p2pcli.io.video import probe, read_frames


def make_mjpeg(path: Path, *, orientation: int) -> Path:
    """A film of JPEGs as cameras write them: each with EXIF; its left third is white, the rest black."""
    exif = PillowImage.Exif()
    exif[0x0112], exif[0x010E] = orientation, "described"
    still = PillowImage.new("RGB", (48, 32))
    still.paste((255, 255, 255), (0, 0, 16, 32))
    encoded = io.BytesIO()
    still.save(encoded, "JPEG", exif=exif)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for number in range(3):
            packet = av.Packet(encoded.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("orientation", "white"),
    [
        (1, "left"),
        (2, "right"),
        (3, "right"),
        (4, "left"),
        (5, "top"),
        (6, "top"),
        (7, "bottom"),
        (8, "bottom"),
    ],
)
def test_a_film_whose_frames_carry_exif_is_read_upright(tmp_path: Path, orientation: int, white: str) -> None:
    film = make_mjpeg(tmp_path / "camera.mov", orientation=orientation)
    image = next(read_frames(film)).image
    assert image.shape[:2] == ((48, 32) if orientation >= 5 else (32, 48))
    edges = {"left": image[:, 0], "right": image[:, -1], "top": image[0], "bottom": image[-1]}
    assert max(edges, key=lambda edge: edges[edge].mean()) == white
    assert probe(film).mirrored == (orientation in (2, 4, 5, 7))


@pytest.mark.parametrize("number", [1, 5], ids=["minus-one", "input-output"])
def test_a_damaged_film_is_not_said_to_lack_permissions(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*names: object, **options: object) -> None:
        raise av.error.OSError(number, "Input/output error")

    film = make_mjpeg(tmp_path / "camera.mov", orientation=1)
    monkeypatch.setattr(av, "open", damaged)
    with pytest.raises(ItemError, match="damaged, cut short, or another kind of file"):
        probe(film)
