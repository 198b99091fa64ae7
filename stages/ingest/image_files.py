"""Finding an annotation's image by name, and reading it whole to be sure that it can be decoded."""

import hashlib
import io
import os
import unicodedata
import warnings
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from png_check import png_fault

from _detection.resize import DAMAGED

EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG"}
OTHER_EXTENSIONS = (".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic")  # known for images, but not read by the training image
SUFFIX = {"JPEG": ".jpg", "PNG": ".png"}
_ORIENTATION = 0x0112  # EXIF tag

# First bytes (at an offset) of the types that people have.
_MAGIC = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"WEBP", 8, "WebP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"ftyp", 4, "HEIC or AVIF"),
    (b"%PDF", 0, "PDF"),
    (b"version https://git-lfs", 0, "a Git LFS pointer (fetch the files with `git lfs pull`)"),
    (b"<", 0, "a text or web page"),
)


class Checked(NamedTuple):
    """What became of an image file: the copy's facts, or a code and message that say why there is none."""

    sha256: str = None
    bytes: int = None
    format: str = None  # "JPEG" or "PNG"
    width: int = None
    height: int = None
    orientation: int = None  # the original's EXIF orientation; 1 where it has none
    converted: str = None  # what was converted; None where the copy is the file's own bytes
    code: str = None
    message: str = None


class _UnusableError(Exception):
    """An image that cannot be taken: code and message."""


class ImageFolder:
    """The image files of a folder, found by name without regard to case or Unicode form."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._names = []
        self._folded = {}
        self._stems = {}
        for name in sorted(os.listdir(str(self.folder))):
            stem, suffix = os.path.splitext(name)
            if (suffix.lower() in EXTENSIONS or suffix.lower() in OTHER_EXTENSIONS) and not name.startswith("."):
                self._names.append(name)
                self._folded.setdefault(_fold(name), []).append(name)
                self._stems.setdefault(_fold(stem), []).append(name)

    def names(self):
        """Every image file's name, sorted."""
        return self._names

    def find(self, name):
        """The path of the file `name` (or, where that has no extension, of the image with that stem), or None; several fit: None."""
        if "/" in name:
            return self.folder / name if (self.folder / name).is_file() else None
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
    """Read, hash and fully decode an image, and keep a copy under its hash. job: (path, folder for the copy). Returns Checked."""
    path, folder = job
    try:
        data, kind = _read(path)
        data, facts = _decoded(data, kind)
    except _UnusableError as error:
        return Checked(code=error.args[0], message=error.args[1])
    digest = hashlib.sha256(data).hexdigest()
    _keep(data, Path(folder) / (digest + SUFFIX[facts.format]))
    return facts._replace(sha256=digest, bytes=len(data))


def _read(path):
    """(bytes, format) of a file whose first bytes and name agree."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _UnusableError("image-unreadable", "the image cannot be read: %s" % error.strerror) from None
    if not data:
        raise _UnusableError("image-empty", "the image is an empty file")
    kind = next((kind for magic, offset, kind in _MAGIC if data[offset : offset + len(magic)] == magic), "of an unknown type")
    named = EXTENSIONS.get(os.path.splitext(path)[1].lower(), "another type")
    if kind not in SUFFIX:
        raise _UnusableError("image-type", "the file is %s, not JPEG or PNG: convert it" % kind)
    if kind != named:
        raise _UnusableError("image-type", "the file is %s, but its name says %s: rename it" % (kind, named))
    return data, kind


def _decoded(data, kind):
    """(bytes for the copy, Checked without hash and size in bytes)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF, and of sizes below the limit
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                fault = png_fault(data) if kind == "PNG" else None
                if fault is not None:
                    raise _UnusableError("image-damaged", "the PNG is damaged: %s" % fault)
                image.load()
                facts = Checked(
                    format=kind, width=image.width, height=image.height, orientation=_orientation(image), converted=_conversion(image)
                )
                return (data, facts) if facts.converted is None else (_as_png(image), facts._replace(format="PNG"))
    except UnidentifiedImageError:
        raise _UnusableError("image-damaged", "the image cannot be decoded: its header is damaged") from None
    except DAMAGED as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise _UnusableError("image-damaged", "the image cannot be decoded: %s" % said) from None


def _conversion(image):
    """What TensorFlow 1.13 and Pillow would not decode to the same RGB pixels (measured), or None.

    Pillow cuts 16-bit greys off at 255 where TensorFlow takes their high byte; TensorFlow inverts CMYK even where the Adobe marker
    that says so is absent. Everything else decodes alike: grey, palette, alpha, 1 to 16 bits in PNG; grey, CMYK with marker in JPEG.
    """
    if image.mode.startswith("I"):
        return "16-bit grey to 8 bits"
    if image.mode == "CMYK" and "adobe" not in image.info:
        return "CMYK without an Adobe marker to RGB"
    return None


def _as_png(image):
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    encoded = io.BytesIO()
    image.convert("L" if image.mode == "L" else "RGB").save(encoded, "PNG")
    return encoded.getvalue()


def _orientation(image):
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except DAMAGED:
        return 1


def _keep(data, path):
    if not path.exists():
        # Two processes may write the same content at once: the names differ, and either may win.
        part = path.with_name(".%s.%d" % (path.name, os.getpid()))
        part.write_bytes(data)
        os.replace(str(part), str(path))
