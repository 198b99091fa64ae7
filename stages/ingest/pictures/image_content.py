"""What an image file holds: decoded whole, turned upright, and converted where training would see other pixels than Pillow, or none."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from audit.findings import DOUBT, FIXED, NOTE
from PIL import Image, UnidentifiedImageError

from _detection.jpeg_check import jpeg_fault
from _detection.png_check import png_fault
from _detection.resize import DAMAGED
from pictures.jpeg_turning import encode_turned
from pictures.near_duplicates import picture_hash

TYPES = {  # the type that a file's extension tells
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".heif": "HEIC",
}
_OWN = ("JPEG", "PNG")  # the types that the training image reads
_CONVERTED = ("BMP", "GIF", "WEBP", "TIFF", "AVIF")  # by Pillow

# First bytes (at an offset) of the types that people have; those of ISO media files are told by their brands.
_MAGIC = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"WEBP", 8, "WEBP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"II+\0", 0, "TIFF"),
    (b"MM\0+", 0, "TIFF"),
    (b"%PDF", 0, "PDF"),
    (b"version https://git-lfs", 0, "a Git LFS pointer (fetch the files with `git lfs pull`)"),
    (b"<", 0, "a text or web page"),
)
_AVIF_BRANDS, _HEIC_BRANDS = {b"avif", b"avis"}, {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}

# Pillow opens nothing larger. TensorFlow's limit for JPEG is the same number: 2^29 samples (tensorflow/core/lib/jpeg/jpeg_mem.cc, v1.13.1).
MAX_PIXELS = 2 * Image.MAX_IMAGE_PIXELS

_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MODES = {"1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}  # of 8 bits, that Pillow turns into RGB
_WIDE = {"I": "32-bit numbers", "F": "floating-point numbers"}


class UnusableError(Exception):
    """An image that cannot be taken: code and message."""


class Content(NamedTuple):
    """data: the file's bytes for the dataset; format, width, height (pixels): of these; orientation: EXIF's, of the original.

    dhash: `near_duplicates.picture_hash` of the upright picture; findings: tuple of (way, code, message).
    """

    data: bytes
    format: str
    width: int
    height: int
    orientation: int
    dhash: int
    findings: tuple


def examine(data, suffix):
    """The `Content` of an image file. data: its bytes; suffix: of its name, lower case, with the dot. Raises UnusableError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd EXIF, of transparency in palettes, and of sizes below the limit
        return _examined(data, suffix)


def _examined(data, suffix):
    kind = _kind(data)
    if kind not in _OWN + _CONVERTED:
        raise UnusableError("image-type", "the file is %s, not JPEG or PNG: convert it" % kind)
    findings = []
    named = TYPES.get(suffix)
    if named not in (None, kind):
        findings.append((FIXED, "image-type", "the file is %s, though its name says %s: it is read as what it is" % (kind, named)))
    image, orientation, pages = _decoded(data, kind)
    if image.mode == "La":  # a TIFF's grey multiplied by alpha; of colours Pillow divides them by itself
        image = image.convert("LA")
    if image.mode not in _MODES and not image.mode.startswith("I;16"):
        raise UnusableError("image-type", "the pixels of this %s are %s: convert it to 8 bits" % (kind, _WIDE.get(image.mode, image.mode)))
    if pages > 1:
        findings.append((DOUBT, "image-pages", "the first of the %s's %d pages is taken" % (kind, pages)))
    exact = orientation if orientation in _TURNS else 1
    if exact != 1:
        findings.append((FIXED, "exif-orientation", "the EXIF orientation is %d: the copy in the dataset is turned upright" % exact))
    elif orientation != 1:
        findings.append((NOTE, "exif-orientation-invalid", "the EXIF orientation is %s, not 1 to 8: it is ignored" % (orientation,)))
    return _copy(data, kind, image, exact, findings)


def _kind(data):
    if data[4:8] == b"ftyp":
        brands = {data[place : place + 4] for place in range(8, min(int.from_bytes(data[:4], "big"), 256), 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else "a video"
    return next((kind for magic, offset, kind in _MAGIC if data[offset : offset + len(magic)] == magic), "of an unknown type")


def _decoded(data, kind):
    """(Pillow's image, loaded; its EXIF orientation as it is written; number of pages)."""
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            pages = 1 if kind == "JPEG" else getattr(image, "n_frames", 1)  # a phone's JPEG may hold previews
            orientation = _orientation(image, kind)
            fault = png_fault(data) if kind == "PNG" else None
            if fault is None and (pages == 1 or kind == "TIFF"):
                image.load()
                fault = jpeg_fault(data, image) if kind == "JPEG" else None
    except Image.DecompressionBombError:
        raise UnusableError("image-too-large", "the image has more than %d pixels: TensorFlow decodes no more" % MAX_PIXELS) from None
    except UnidentifiedImageError:
        raise UnusableError("image-damaged", "the image cannot be decoded: its header is damaged") from None
    except (*DAMAGED, RuntimeError) as error:  # the latter of AVIF
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnusableError("image-damaged", "the image cannot be decoded: %s" % said) from None
    if fault is not None:
        raise UnusableError("image-damaged", "the %s is damaged: %s" % (kind, fault))
    if pages > 1 and kind != "TIFF":
        raise UnusableError("image-animated", "the %s is animated (%d frames): save the frames you want" % (kind, pages))
    return image, orientation, pages


def _orientation(image, kind):
    """The orientation in the file's EXIF (a TIFF's own tag), whatever its type; 1 where there is none. Not XMP's: few programs heed it."""
    try:
        if kind == "TIFF":
            return image.tag_v2.get(_ORIENTATION, 1)
        if "exif" not in image.info:
            return 1
        exif = Image.Exif()
        exif.load(image.info["exif"])
        return exif.get(_ORIENTATION, 1)
    except DAMAGED:
        return 1


def _copy(data, kind, image, orientation, findings):
    """The `Content` whose data are the file's own bytes, where these do."""
    findings += _colour_findings(image)
    conversion = _conversion(data, kind, image, orientation)
    upright = _eight_bits(image) if conversion is not None else image
    if orientation != 1 and kind != "TIFF":  # Pillow turns TIFF by itself
        upright = upright.transpose(_TURNS[orientation])
    if conversion is not None:
        findings.append((FIXED, "image-converted", "the copy in the dataset is converted to PNG: %s" % conversion))
        data = _as_png(upright)
    elif orientation != 1:
        data = encode_turned(upright, image, orientation >= 5) if kind == "JPEG" else _as_png(_eight_bits(upright))
    made = kind if conversion is None else "PNG"
    return Content(data, made, upright.width, upright.height, orientation, picture_hash(upright), tuple(findings))


def _colour_findings(image):
    if _is_see_through(image):
        yield DOUBT, "image-alpha", "some pixels are transparent: training drops the alpha channel, and sees the colours beneath"
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I;16"):
        yield NOTE, "image-grey", "the image is grey: training sees three equal channels"
    if image.mode == "CMYK" and "adobe" in image.info:
        yield NOTE, "image-cmyk", "the image is CMYK: its colours are turned into RGB without a profile"


def _is_see_through(image):
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        image = image.convert("RGBA")
    return image.mode in ("LA", "PA", "RGBA") and image.getchannel(len(image.getbands()) - 1).getextrema()[0] < 255


def _conversion(data, kind, image, orientation):
    """Why the copy is a PNG of 8 bits, or None.

    Of JPEG and PNG, what TensorFlow 1.13 and Pillow would not decode to the same RGB pixels (measured): Pillow cuts 16-bit greys off at 255
    where TensorFlow takes their high byte; TensorFlow inverts CMYK even where the Adobe marker that says so is absent. 16-bit colours
    are of no use to training. Everything else decodes alike: grey, palette, alpha, 1 to 8 bits in PNG; grey, CMYK with marker in JPEG.
    """
    if image.mode.startswith("I;16"):
        return "16-bit grey to 8 bits, its high byte (at most %d here)" % (np.asarray(image).max() >> 8)
    if kind == "PNG" and data[24] == 16:  # IHDR's bit depth
        return "16-bit colours to 8 bits"
    if kind == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        return "CMYK without an Adobe marker to RGB"
    if kind == "JPEG" and image.mode == "CMYK" and orientation != 1:
        return "CMYK to RGB, for it is turned"
    return None if kind in _OWN else "training reads no %s" % kind


def _eight_bits(image):
    """The image as training sees it: grey or RGB of 8 bits."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _as_png(image):
    image.info = {}
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
