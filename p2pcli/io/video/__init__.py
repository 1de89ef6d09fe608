"""Films: what they are, their frames as upright RGB, and writing them back with everything else kept."""

from p2pcli.io.video.colour import Colour
from p2pcli.io.video.mux import CONTAINERS, output_suffix
from p2pcli.io.video.probe import VideoInfo, probe
from p2pcli.io.video.reader import Frame, FrameReader, frame_times, read_frames
from p2pcli.io.video.writer import VideoWriter

__all__ = [
    "CONTAINERS",
    "Colour",
    "Frame",
    "FrameReader",
    "VideoInfo",
    "VideoWriter",
    "frame_times",
    "output_suffix",
    "probe",
    "read_frames",
]
