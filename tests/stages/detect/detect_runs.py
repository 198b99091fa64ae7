"""What tests of detect.py have in common."""

import os

CLASSES = ["ace", "king", "queen"]
LIBRARIES = ("av", "cv2")


def own(line):
    """Whether a line of standard error is not what LiteRT, FFmpeg or OpenCV say by themselves."""
    return not line.startswith(("INFO: ", "["))


def others(library):
    """What to hide, so that `library` reads videos."""
    return [name for name in LIBRARIES if name != library]


def files(folder):
    """The files below a folder, sorted."""
    return sorted(os.path.relpath(os.path.join(here, name), str(folder)) for here, _, names in os.walk(str(folder)) for name in names)
