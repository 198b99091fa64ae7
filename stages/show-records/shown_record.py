"""What a record shows: its picture with boxes, labels and masks as training reads them, and its features in words."""

import io
import math
import warnings

import numpy as np
from PIL import Image

from _detection.drawing import Shape, draw_shapes, placard, printable, scaled_to
from _detection.resize import DAMAGED

LONGEST, SHORTEST = 1280, 480  # pixels of the longer side
_MOST_SHAPES = 500  # drawn on a picture
_VALUES, _TEXT = 8, 80  # values of a feature, and characters of one, that are listed
_FLAGS = ("difficult", "truncated", "occluded", "is_crowd", "group_of", "depiction")


def draw(features, labels):
    """(RGB picture, remarks: list of what cannot be drawn). features: {name: Feature}; labels: `Labels` or None."""
    data = (_values(features, "image/encoded", "bytes") or [b""])[0]
    image, fault = _decode(data)
    if image is None:
        return placard(fault, (SHORTEST, SHORTEST * 3 // 4)), [fault]
    shapes, remarks = _shapes(features, labels, image.size)
    if len(shapes) > _MOST_SHAPES:
        remarks.append("%d of %d objects are drawn" % (_MOST_SHAPES, len(shapes)))
    small, factor = scaled_to(image, SHORTEST, LONGEST)
    return draw_shapes(small, shapes[:_MOST_SHAPES], factor), remarks


def describe(features):
    """[{"name", "type", "count", "values": first values as text}] of all features, by name."""
    return [
        {"name": name, "type": feature.kind or "none", "count": len(feature.values), "values": _first(feature)}
        for name, feature in sorted(features.items())
    ]


def _first(feature):
    told = [_told(value) for value in feature.values[:_VALUES]]
    return told + (["…"] if len(feature.values) > _VALUES else [])


def _told(value):
    if isinstance(value, float):
        return "%.7g" % value
    if not isinstance(value, bytes):
        return str(value)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None or not all(char.isprintable() for char in text):
        return "%d bytes: %s%s" % (len(value), value[:12].hex(" "), " …" if len(value) > 12 else "")
    return '"%s"' % (text if len(text) <= _TEXT else text[:_TEXT] + "…")


def _decode(data):
    """(RGB picture, None) or (None, why not)."""
    if not data:
        return None, "no image/encoded"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                deep = image.mode.startswith("I")  # 16 bits of grey: the upper 8
                return (image.convert("I").point(lambda value: value / 256).convert("L") if deep else image).convert("RGB"), None
    except DAMAGED as error:
        return None, "the image cannot be decoded: %s" % (printable(" ".join(str(error).split())) or type(error).__name__)


def _shapes(features, labels, size):
    corners = [_values(features, "image/object/bbox/" + corner, "float") for corner in ("xmin", "ymin", "xmax", "ymax")]
    if len({len(values) for values in corners}) != 1:
        return [], ["the lists of corners have different lengths: no box is drawn"]
    shapes, remarks = [], []
    masks = _masks(features, len(corners[0]), size, remarks)
    for place, box in enumerate(zip(*corners, strict=True)):
        text, number = _class(features, labels, place)
        if not all(math.isfinite(value) for value in box):
            remarks.append("box %d (%s) is no number" % (place + 1, text))
            continue
        if min(box) < 0 or max(box) > 1.000001 or box[0] >= box[2] or box[1] >= box[3]:
            told = "box %d (%s) is odd: [%.5g, %.5g, %.5g, %.5g]" % (place + 1, text, *box)
            remarks.append(told)
        pixels = tuple(value * side for value, side in zip(box, size * 2, strict=True))
        shapes.append(Shape(pixels, text, number, masks[place]))
    return shapes, remarks


def _class(features, labels, place):
    """(text beside the object, number for its colour)."""
    ids, texts = (
        _values(features, "image/object/class/" + key, kind)[place : place + 1] for key, kind in (("label", "int64"), ("text", "bytes"))
    )
    text = texts[0].decode("utf-8", "replace") if texts else ""
    name = text or (labels.names.get(ids[0], "") if labels and ids else "")
    flags = [flag for flag in _FLAGS if _values(features, "image/object/" + flag, "int64")[place : place + 1] == [1]]
    told = " ".join([*(str(number) for number in ids), name]).strip() or "(no class)"
    return told + (" [%s]" % ", ".join(flags) if flags else ""), ids[0] - 1 if ids else sum(text.encode())


def _masks(features, count, size, remarks):
    """A mask, bool [height, width], or None for each object."""
    feature = features.get("image/object/mask")
    if feature is None or not feature.values:
        return [None] * count
    if feature.kind == "float" and len(feature.values) == count * size[0] * size[1]:
        return list(np.array(feature.values, np.float32).reshape(count, size[1], size[0]) > 0)
    if feature.kind != "bytes" or len(feature.values) != count:
        remarks.append("the masks do not fit the objects: none is drawn")
        return [None] * count
    masks = []
    for number, data in enumerate(feature.values, 1):
        try:
            with Image.open(io.BytesIO(data)) as picture:
                masks.append(np.asarray(picture.convert("I")) > 0)
        except DAMAGED:
            masks.append(None)
            remarks.append("the mask of object %d cannot be decoded" % number)
    return masks


def _values(features, name, kind):
    feature = features.get(name)
    return feature.values if feature is not None and feature.kind == kind else []
