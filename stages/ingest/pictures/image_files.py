"""Image files: finding them by name, reading each once, and keeping the copy for the dataset."""

import hashlib
import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pictures.image_content import TYPES, UnusableError, examine

SUFFIX = {"JPEG": ".jpg", "PNG": ".png"}
# TensorFlow reads no tensor of text, and protobuf no message, much beyond this; no image within the limit of pixels needs it.
MAX_BYTES = 2**30


class Checked(NamedTuple):
    """What became of an image file: the copy's facts, or a code and message that say why there is none.

    sha256, bytes, format ("JPEG" or "PNG"), width, height (pixels): of the copy, which is upright. orientation: EXIF's, of the original, 1
    where it has none that is valid. dhash: difference hash of the upright picture (near_duplicates.picture_hash), an int of 64 bits.
    findings: tuple of (way, code, message), ways as in findings.py.
    """

    sha256: str = None
    bytes: int = None
    format: str = None
    width: int = None
    height: int = None
    orientation: int = None
    dhash: int = None
    findings: tuple = ()
    code: str = None
    message: str = None


class ImageFolder:
    """The image files of a folder, found by name without regard to case or Unicode form."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._names = []
        self._folded = {}
        self._stems = {}
        for name in sorted(os.listdir(str(self.folder))):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in TYPES and not name.startswith("."):
                self._names.append(name)
                self._folded.setdefault(_fold(name), []).append(name)
                self._stems.setdefault(_fold(stem), []).append(name)

    def names(self):
        """Every image file's name, sorted."""
        return self._names

    def find(self, name):
        """The path of the file `name` (or, where that has no extension, of the image with that stem), or None; several fit: None."""
        if "/" in name:
            return self.folder / name if os.path.isfile(str(self.folder / name)) else None  # False too for what is too long for a name
        candidates = self._folded.get(_fold(name), [])
        if name in candidates:
            return self.folder / name
        return self.folder / candidates[0] if len(candidates) == 1 else self.find_stem(name)

    def find_stem(self, stem):
        """The path of the only image with that stem, or None."""
        candidates = self._stems.get(_fold(stem), [])
        return self.folder / candidates[0] if len(candidates) == 1 else None


def _fold(name):
    return unicodedata.normalize("NFC", name).casefold()


def clean_name(filename):
    """The relative name that an annotation gives of its image, with slashes; None where it leads out of the folder."""
    path = PurePosixPath(filename.replace("\\", "/"))
    drive = filename[1:2] == ":"
    return None if drive or "\0" in filename or path.is_absolute() or ".." in path.parts else str(path)


def check_image(job):
    """Read, decode and judge an image, and keep a copy named by its hash. job: (path, folder for the copy). Returns Checked."""
    path, folder = job
    try:
        content = examine(_read(path), os.path.splitext(path)[1].lower())
    except UnusableError as error:
        return Checked(code=error.args[0], message=error.args[1])
    digest = hashlib.sha256(content.data).hexdigest()
    _keep(content.data, os.path.join(folder, digest + SUFFIX[content.format]))
    return Checked(
        digest,
        len(content.data),
        content.format,
        content.width,
        content.height,
        content.orientation,
        content.dhash,
        content.findings,
    )


def _read(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would block for ever
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnusableError("image-unreadable", "the image cannot be read: it is no file, but a folder, pipe or device")
            if status.st_size > MAX_BYTES:
                raise UnusableError("image-too-large", "the image's file has %d bytes, more than %d" % (status.st_size, MAX_BYTES))
            data = stream.read()
    except FileNotFoundError:
        raise UnusableError("image-missing", "the image is not there") from None
    except OSError as error:
        raise UnusableError("image-unreadable", "the image cannot be read: %s" % error.strerror) from None
    if not data:
        raise UnusableError("image-empty", "the image is an empty file")
    return data


def _keep(data, path):
    """Write the copy, unless it is there: its name says what it holds, and nothing reads it before all are written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return
    with open(descriptor, "wb") as stream:
        stream.write(data)
