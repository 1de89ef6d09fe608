"""Films: what they are, their frames as upright RGB, and writing them back with everything else kept."""

from p2pcli.io.video.colour import Colour
from p2pcli.io.video.probe import VideoInfo, probe
from p2pcli.io.video.reader import Frame, FrameReader, frame_times, read_frames

__all__ = ["Colour", "Frame", "FrameReader", "VideoInfo", "frame_times", "probe", "read_frames"]
