"""Which pictures and videos are meant, and a picture's pixels."""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from _detection.resize import DAMAGED, load_rgb
from _runtime import StageError

# What is taken from a folder; a file that is named itself may have any name.
PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
VIDEOS = {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
EXIF_ORIENTATION = 0x0112


class UnreadableError(StageError):
    """One of the pictures, videos or folders cannot be read; the others can."""


class Source(NamedTuple):
    """A picture or video. name: how it is told; folder: of its own below the output's, "" for none; video: whether it is one."""

    path: str
    name: str
    folder: str
    video: bool


class Sources(NamedTuple):
    """found: list of Source, in order; problems: list of StageError; passed: {folder's name: {ending: files that are neither}}."""

    found: list
    problems: list
    passed: dict


def find_sources(paths, names, output=None):
    """`Sources` of files and folders, each file once; folders are read with all that is below them, sorted.

    names: how each of `paths` is told; output: the folder where results go, if there is one; it is no source. Raises StageError where it
    is one of them.
    """
    sources = Sources([], [], {})
    for path, name in zip(paths, names):
        if not os.path.isdir(path):
            sources.found.append(Source(path, printable(name), "", _ending(path) in VIDEOS))
            continue
        if _same(path, output):
            raise StageError(
                "the results would go among the pictures", path, "a folder of their own", output, "give another one with --output"
            )
        _add_folder(sources, path, name, output)
    first = {}
    for source in sources.found:
        first.setdefault(os.path.abspath(source.path), source)
    return sources._replace(found=list(first.values()))


def _add_folder(sources, root, name, output):
    found, others = [], {}
    for path in _files(root, output, sources.problems):
        ending, hidden = _ending(path), os.path.basename(path).startswith(".")
        if hidden or ending not in PICTURES | VIDEOS:
            others[ending] = others.get(ending, 0) + 1
            continue
        below = os.path.relpath(path, root)
        found.append(Source(path, printable(os.path.join(name, below)), printable(os.path.dirname(below)), ending in VIDEOS))
    if others:
        sources.passed[name] = others
    if not found:
        what = "other files: %d" % sum(others.values()) if others else "nothing"
        sources.problems.append(UnreadableError("there is no picture and no video in the folder", name, "one or more", what))
    sources.found.extend(sorted(found, key=lambda source: source.path.split(os.sep)))


def _files(root, output, problems):
    """Every file below a folder, but for hidden folders and that of the results; a link to a folder is followed once."""
    seen = set()

    def unreadable(error):
        problems.append(UnreadableError("the folder cannot be read", error.filename, found=error.strerror))

    for here, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [each for each in folders if not each.startswith(".") and not _same(os.path.join(here, each), output)]
        for name in names:
            yield os.path.join(here, name)


def _ending(path):
    return os.path.splitext(path)[1].lower()


def _same(path, output):
    return output is not None and os.path.realpath(path) == os.path.realpath(output)


def printable(text):
    """Text that can be printed and written as UTF-8: a file's name may be neither."""
    return "".join(char if char.isprintable() else "?" for char in text.encode("utf-8", "replace").decode("utf-8"))


def notes_on(passed):
    """A line on each folder in which files were passed over. passed: of `Sources`."""
    for name, others in passed.items():
        each = ", ".join("%s %d" % (ending or "without ending", number) for ending, number in sorted(others.items()))
        yield "%s: passed over, for they are neither pictures nor videos: %d (%s)" % (name, sum(others.values()), each)


def read_picture(path, name):
    """The picture's pixels, upright as viewers show it and as the training's pictures were: uint8 [height, width, 3], RGB.

    name: how it is told. Raises UnreadableError.
    """
    if not os.path.isfile(path):
        raise UnreadableError("there is no such picture", name)
    try:
        return upright(load_rgb(path), _orientation(path))
    except StageError as error:
        raise UnreadableError("the picture cannot be decoded", name, "a whole JPEG or PNG", error.found) from None


def upright(pixels, orientation):
    """The pixels turned as an EXIF orientation (1 to 8; others are none) asks for: CIPA DC-008, tag 274."""
    turns = {
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: np.rot90(pixels, 3),
        7: lambda: np.rot90(pixels, 2).swapaxes(0, 1),
        8: lambda: np.rot90(pixels),
    }
    return np.ascontiguousarray(turns[orientation]()) if orientation in turns else pixels


def _orientation(path):
    try:
        with Image.open(path) as image:
            if image.format == "TIFF" or "exif" not in image.info:  # Pillow turns TIFF by itself
                return 1
            exif = Image.Exif()
            exif.load(image.info["exif"])
            return exif.get(EXIF_ORIENTATION, 1)
    except DAMAGED:
        return 1
