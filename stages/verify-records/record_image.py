"""The pictures in a record: the image itself and its masks, decoded whole. Each check yields (level, code, message).

What TensorFlow 1.13 and the decoder of the API do with each case was tried out: a PNG without its end, a JPEG without its last two bytes
and an empty mask stop the training; a GIF becomes four-dimensional; the format "raw" is never decoded.
"""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from _detection.jpeg_check import jpeg_fault
from _detection.png_check import png_fault
from _detection.resize import DAMAGED

ERROR, WARNING, NOTE = "error", "warning", "note"
_ORIENTATION = 0x0112  # EXIF tag
_NAMES = {"jpeg": "JPEG", "jpg": "JPEG", "png": "PNG"}
_MOST_MASK_PIXELS = 1 << 28


def kind_of(data):
    """What the first bytes say: "JPEG", "PNG", another type's name, or None."""
    for magic, offset, kind in (
        (b"\xff\xd8\xff", 0, "JPEG"),
        (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
        (b"GIF8", 0, "GIF"),
        (b"BM", 0, "BMP"),
        (b"WEBP", 8, "WebP"),
        (b"II*\0", 0, "TIFF"),
        (b"MM\0*", 0, "TIFF"),
    ):
        if data[offset : offset + len(magic)] == magic:
            return kind
    return None


def check_image(data, declared):
    """(problems, (width, height) in pixels or None). data: image/encoded; declared: image/format as bytes, or None where it is absent."""
    kind, problems = kind_of(data), []
    if declared is not None and declared.lower() == b"raw":
        problems.append((ERROR, "format-raw", "image/format is raw: the API does not decode such an image"))
    elif declared is not None and declared and _NAMES.get(declared.decode("latin-1").lower()) != kind and kind in ("JPEG", "PNG"):
        problems.append((WARNING, "format-differs", "image/format is %s, and the image is a %s" % (shown(declared), kind)))
    if kind == "BMP":
        problems.append((WARNING, "image-type", "the image is a BMP: the API reads it, other tools want JPEG or PNG"))
    elif kind not in ("JPEG", "PNG"):
        message = "the image is a %s, which the API does not read" % kind if kind else "its %d bytes are no image" % len(data)
        return [*problems, (ERROR, "image-type", message)], None
    found, size = _decode(data, kind)
    return problems + found, size


def _decode(data, kind):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                size = image.size
                fault = png_fault(data) if kind == "PNG" else None
                if fault is None:
                    image.load()
                    fault = jpeg_fault(data, image) if kind == "JPEG" else None
                if fault is not None:
                    return [(ERROR, "image-damaged", "the %s is damaged: %s" % (kind, fault))], size
                turned = _orientation(image)
    except UnidentifiedImageError:
        return [(ERROR, "image-damaged", "the image cannot be decoded: its header is damaged")], None
    except DAMAGED as error:
        return [(ERROR, "image-damaged", "the image cannot be decoded: %s" % _said(error))], None
    if turned != 1:
        return [(WARNING, "exif-orientation", "its EXIF orientation is %d: a viewer turns it, training does not" % turned)], size
    return [], size


def _orientation(image):
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except DAMAGED:
        return 1


def check_size(declared, size):
    """declared: (image/width, image/height), None where absent; size: the image's, (width, height) in pixels."""
    if None in declared:
        yield WARNING, "size-undeclared", "image/height and image/width are not both there: masks need them"
    elif declared != size:
        swapped = " (swapped: turned by its EXIF orientation?)" if declared == size[::-1] else ""
        message = "image/width and image/height say %d x %d, the image has %d x %d%s: the boxes may be of another version of it"
        yield ERROR, "size-differs", message % (*declared, *size, swapped)


def check_masks(masks, size):
    """masks: list of PNG bytes, one for each object; size: the image's (width, height) or None where that is not known."""
    for number, data in enumerate(masks, 1):
        if kind_of(data) != "PNG":
            what = "empty" if not data else "no PNG"
            yield ERROR, "mask-damaged", "the mask of object %d is %s" % (number, what)
            continue
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                fault = png_fault(data)
                if fault is not None or image.width * image.height > _MOST_MASK_PIXELS:
                    yield ERROR, "mask-damaged", "the mask of object %d is damaged: %s" % (number, fault or "too large")
                    continue
                found, empty = image.size, image.convert("I").getextrema()[1] == 0
        except DAMAGED as error:
            yield ERROR, "mask-damaged", "the mask of object %d cannot be decoded: %s" % (number, _said(error))
            continue
        if size is not None and found != size:
            yield ERROR, "mask-size", "the mask of object %d has %d x %d pixels, the image %d x %d" % (number, *found, *size)
        if empty:
            yield WARNING, "mask-empty", "the mask of object %d has no pixel of it" % number


def shown(data):
    """Bytes of a feature for a message: as text where they are some, cut to 60 characters."""
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else str(data)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return "%r" % (text if len(text) <= 60 else text[:57] + "…")


def _said(error):
    return " ".join(str(error).split()) or type(error).__name__
