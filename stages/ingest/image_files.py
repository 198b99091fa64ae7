"""Finding an annotation's image by name, and reading it whole to be sure that it can be decoded."""
import hashlib
import io
import os
import struct
import unicodedata
import warnings
import zlib
from collections import namedtuple
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError
from png_check import png_fault

EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG"}
OTHER_EXTENSIONS = (".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic")  # known for images, but not read by the training image
SUFFIX = {"JPEG": ".jpg", "PNG": ".png"}
_ORIENTATION = 0x0112  # EXIF tag

# What Pillow raises for damaged files, besides OSError.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error, zlib.error,
            Image.DecompressionBombError)

# A good image: sha256, bytes, format, width, height of the copy, the original's EXIF orientation (1 where it has none), and what was
# converted (None: nothing, the copy is the file's own bytes). A bad one: code and message, the others None.
Checked = namedtuple("Checked", "sha256 bytes format width height orientation converted code message")


class ImageFolder:
    """The image files of a folder, found by name without regard to case or Unicode form."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._names = {}
        self._folded = {}
        self._stems = {}
        for name in sorted(os.listdir(str(self.folder))):
            suffix = os.path.splitext(name)[1].lower()
            if suffix in EXTENSIONS or suffix in OTHER_EXTENSIONS:
                self._names[name] = name
                self._folded.setdefault(_fold(name), []).append(name)
                self._stems.setdefault(_fold(os.path.splitext(name)[0]), []).append(name)

    def names(self):
        """Every image file's name, sorted."""
        return list(self._names)

    def find(self, name):
        """The path of the file `name` (or, without an extension, of the image of that stem), or None. Several candidates: None."""
        if "/" in name:
            path = self.folder / name
            return path if path.is_file() else None
        for candidates in ([self._names[name]] if name in self._names else [], self._folded.get(_fold(name), [])):
            if len(candidates) == 1:
                return self.folder / candidates[0]
        return self.find_stem(name)

    def find_stem(self, stem):
        """The path of the only image with that stem, or None."""
        candidates = self._stems.get(_fold(stem), [])
        return self.folder / candidates[0] if len(candidates) == 1 else None


def _fold(name):
    return unicodedata.normalize("NFC", name).casefold()


def clean_name(filename):
    """The relative name that an annotation gives of its image, with slashes; None where it leads out of the folder."""
    if "\0" in filename:
        return None
    path = PurePosixPath(filename.replace("\\", "/"))
    drive = len(filename) > 1 and filename[1] == ":"
    return None if drive or path.is_absolute() or ".." in path.parts else str(path)


def check_image(job):
    """Read, hash and fully decode an image, and keep a copy under its hash. job: (path, folder for the copy). Returns Checked."""
    path, folder = job
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return _bad("image-unreadable", "the image cannot be read: %s" % error.strerror)
    if not data:
        return _bad("image-empty", "the image is an empty file")
    kind = _kind(data)
    if kind not in SUFFIX:
        return _bad("image-type", "the file is %s, not JPEG or PNG: convert it" % kind)
    expected = EXTENSIONS.get(os.path.splitext(str(path))[1].lower())
    if kind != expected:
        return _bad("image-type", "the file is %s, but its name says %s: rename it" % (kind, expected or "another type"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                fault = png_fault(data) if kind == "PNG" else None
                if fault is not None:
                    return _bad("image-damaged", "the PNG is damaged: %s" % fault)
                image.load()
                size, orientation = image.size, _orientation(image)
                converted = _conversion(image)
                if converted is not None:
                    data, kind = _as_png(image), "PNG"
    except UnidentifiedImageError:
        return _bad("image-damaged", "the image cannot be decoded: its header is damaged")
    except _DAMAGED as error:
        return _bad("image-damaged", "the image cannot be decoded: %s" % (" ".join(str(error).split()) or type(error).__name__))
    digest = hashlib.sha256(data).hexdigest()
    _keep(data, Path(folder) / (digest + SUFFIX[kind]))
    return Checked(digest, len(data), kind, size[0], size[1], orientation, converted, None, None)


def _bad(code, message):
    return Checked(None, None, None, None, None, None, None, code, message)


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


def _keep(data, path):
    if not path.exists():
        # Two processes may write the same content at once: the names differ, and either may win.
        part = path.with_name(".%s.%d" % (path.name, os.getpid()))
        part.write_bytes(data)
        os.replace(str(part), str(path))


def _orientation(image):
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DAMAGED:
        return 1


def _kind(data):
    """The type of an image file by its first bytes."""
    for magic, offset, kind in ((b"\xff\xd8\xff", 0, "JPEG"), (b"\x89PNG\r\n\x1a\n", 0, "PNG"), (b"GIF8", 0, "GIF"), (b"BM", 0, "BMP"),
                                (b"WEBP", 8, "WebP"), (b"II*\0", 0, "TIFF"), (b"MM\0*", 0, "TIFF"), (b"ftyp", 4, "HEIC or AVIF"),
                                (b"%PDF", 0, "PDF"), (b"version https://git-lfs", 0, "a Git LFS pointer (fetch the files with `git lfs pull`)"),
                                (b"<", 0, "a text or web page")):
        if data[offset:offset + len(magic)] == magic:
            return kind
    return "of an unknown type"
