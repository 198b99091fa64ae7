"""Small videos, and what can be wrong with them."""

import struct
from fractions import Fraction

import av
import numpy as np

RATE = 20
ONE = 1 << 16
# Matrices of an MP4's track header: how its pictures are turned when they are shown (ISO/IEC 14496-12, 8.3.2).
TURNS = {
    90: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    180: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    270: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}


def pictures(count, width=96, height=64):
    """Pictures in which something moves: list of uint8 [height, width, 3]."""
    made = []
    for number in range(count):
        pixels = np.full((height, width, 3), 60, np.uint8)
        pixels[: height // 3, : width // 3] = (250, 40, 40)
        left = number * 3 % (width - 20)
        pixels[height // 2 : height // 2 + 16, left : left + 20] = (250, 250, 250)
        made.append(pixels)
    return made


def film(path, frames=None, codec="libx264", pix_fmt="yuv420p", times=None, **options):
    """Write a video of 30 pictures, or of those given. times: when each is shown, in seconds; options: of the container."""
    frames = pictures(30) if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width = frames[0].shape[:2] if frames else (64, 96)
        stream.pix_fmt = pix_fmt
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turned(path, degrees):
    """Mark an MP4 as one whose pictures are to be turned clockwise when they are shown."""
    data = path.read_bytes()
    start = data.index(b"tkhd") + 4 + 40  # version and flags, times, identity, duration, layer, group, volume
    path.write_bytes(data[:start] + struct.pack(">9i", *TURNS[degrees]) + data[start + 36 :])
    return path


def sound(path):
    """A file with sound and no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
