"""Videos, by PyAV or, where that is not there, by OpenCV."""

import os
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from detect_inputs import UnreadableError
from PIL import Image

from _runtime import StageError

USUAL_RATE = 25.0  # frames a second, where a file does not tell


class Frame(NamedTuple):
    """number: from 0; seconds: after the first frame; pixels: uint8 [height, width, 3], RGB, upright."""

    number: int
    seconds: float
    pixels: Any


def video_library(where):
    """("av", PyAV) or ("cv2", OpenCV). Raises UnreadableError where neither is there, which names `where`."""
    try:
        import av
    except ImportError:
        try:
            import cv2
        except ImportError:
            raise UnreadableError(
                "nothing here reads videos", where, remedy="pip install av (PyAV), or opencv-python-headless (OpenCV)"
            ) from None
        return "cv2", cv2
    return "av", av


def open_video(path, name):
    """A video to read; `name` is how it is told. Raises UnreadableError where it is none, or nothing here reads videos.

    It has `rate` (frames a second), `expected` (frames, by what the file tells of itself; 0 where it does not), `read`(every) and
    `close`(); once it is read, `number` (frames) and `damaged`.
    """
    library, module = video_library(name)
    if not os.path.isfile(path):
        raise UnreadableError("there is no such video", name)
    return (PyAvVideo if library == "av" else OpenCvVideo)(path, name, module)


def cut_short(expected, number):
    """Whether a video ended before its time. A few frames less is usual: what a file tells of itself is rounded."""
    return expected - number > 2 + expected // 50


class PyAvVideo:
    """A video that PyAV (FFmpeg) reads."""

    def __init__(self, path, name, av):
        self._errors = (av.error.FFmpegError, OSError, ValueError)
        self.damaged, self.number = False, 0
        try:
            self._container = av.open(path)
        except self._errors as error:
            raise UnreadableError("the video cannot be read", name, "a whole video", error.strerror or error) from None
        if not self._container.streams.video:
            self._container.close()
            raise UnreadableError("there is no video in the file", name)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate or 0) or USUAL_RATE
        self.expected = self._stream.frames or round((self._container.duration or 0) / 1e6 * self.rate)

    def read(self, every=1):
        """Every frame whose number is a multiple of `every`, as `Frame`s. What cannot be decoded is left out, and `damaged` says so."""
        start = None
        for number, frame in enumerate(self._frames()):
            seconds = number / self.rate if frame.time is None else frame.time
            start = seconds if start is None else start
            self.number = number + 1
            if number % every == 0:
                yield Frame(number, round(seconds - start, 6), self._upright(frame))
        self.damaged = self.damaged or cut_short(self.expected, self.number)

    def _frames(self):
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except self._errors:
                    self.damaged = True
                    continue
                yield from frames
        except self._errors:
            self.damaged = True

    def _upright(self, frame):
        degrees = getattr(frame, "rotation", None)  # counter-clockwise
        if degrees is None:  # where an older PyAV told it
            degrees = (getattr(self._stream, "side_data", None) or {}).get("DISPLAYMATRIX", 0)
        return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(degrees / 90)))

    def close(self):
        """Close the file."""
        self._container.close()


class OpenCvVideo:
    """A video that OpenCV reads."""

    def __init__(self, path, name, cv2):
        self._cv2 = cv2
        self.damaged, self.number = False, 0
        self._capture = cv2.VideoCapture(path)
        if not self._capture.isOpened():
            raise UnreadableError("the video cannot be read", name, "a whole video")
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = self.rate if 0 < self.rate < 1000 else USUAL_RATE
        self.expected = max(0, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def read(self, every=1):
        """As `PyAvVideo.read`. OpenCV turns frames upright by itself."""
        start = None
        while self._capture.grab():
            seconds = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
            start = seconds if start is None else start
            number, self.number = self.number, self.number + 1
            if number % every == 0:
                found, pixels = self._capture.retrieve()
                if not found:
                    self.damaged = True
                    continue
                yield Frame(number, round(seconds - start, 6), np.ascontiguousarray(pixels[:, :, ::-1]))
        self.damaged = self.damaged or cut_short(self.expected, self.number)

    def close(self):
        """Close the file."""
        self._capture.release()


def create_video(path, size, rate):
    """An MP4 to write: it has `write`(picture, a PIL image) and `close`(). Raises StageError where it cannot be written.

    size: (width, height) of its pictures in pixels; rate: frames a second.
    """
    library, module = video_library(path)
    even = tuple(side + side % 2 for side in size)  # codecs take nothing else
    return (PyAvWriter if library == "av" else OpenCvWriter)(path, even, rate, module)


class PyAvWriter:
    """A video that PyAV writes: H.264, or MPEG-4 where it cannot do that."""

    def __init__(self, path, size, rate, av):
        self._av, self._path, self._size = av, path, size
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        try:
            self._container = av.open(path, "w", format="mp4")
            self._stream = self._container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _unwritten(path, error) from None
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
        self._stream.thread_count = 1  # so that the same pictures give the same bytes on any machine

    def write(self, picture):
        """Add a frame."""
        frame = self._av.VideoFrame.from_ndarray(np.asarray(_fitted(picture, self._size)), format="rgb24")
        self._mux(frame)

    def _mux(self, frame):
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise _unwritten(self._path, error) from None

    def close(self):
        """Write what is left, and the file's end."""
        try:
            self._mux(None)
        finally:
            self._container.close()


class OpenCvWriter:
    """A video that OpenCV writes: MPEG-4, which is all that its packages bring."""

    def __init__(self, path, size, rate, cv2):
        self._size = size
        self._writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
        if not self._writer.isOpened():
            raise _unwritten(path, "OpenCV cannot write it")

    def write(self, picture):
        """Add a frame."""
        self._writer.write(np.ascontiguousarray(np.asarray(_fitted(picture, self._size))[:, :, ::-1]))

    def close(self):
        """Write the file's end."""
        self._writer.release()


def _fitted(picture, size):
    """The picture in that size: wider or higher by a pixel, or, where a video changes its size on the way, scaled."""
    if picture.size == size:
        return picture
    if (picture.width + picture.width % 2, picture.height + picture.height % 2) == size:
        canvas = Image.new("RGB", size)
        canvas.paste(picture)
        return canvas
    return picture.resize(size)


def _unwritten(path, error):
    return StageError("the video cannot be written", path, found=error, remedy="give another folder with --output")
