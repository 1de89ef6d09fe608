"""Films: what they are, their frames as upright RGB, and writing them back with everything else kept."""

from p2pcli.io.video.colour import Colour
from p2pcli.io.video.mux import CONTAINERS, output_suffix
from p2pcli.io.video.numbering import FilmFrames, film_frames, frame_times
from p2pcli.io.video.probe import VideoInfo, probe
from p2pcli.io.video.reader import Frame, FrameReader, read_frames
from p2pcli.io.video.writer import VideoWriter

__all__ = [
    "CONTAINERS",
    "Colour",
    "FilmFrames",
    "Frame",
    "FrameReader",
    "VideoInfo",
    "VideoWriter",
    "film_frames",
    "frame_times",
    "output_suffix",
    "probe",
    "read_frames",
]
