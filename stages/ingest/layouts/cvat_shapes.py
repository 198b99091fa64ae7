"""The shapes that people draw in CVAT, and their boxes."""

import math
import re
from typing import NamedTuple

import numpy as np
from formats.box_text import corner_numbers, number
from tables import DIFFICULT, OCCLUDED, PIXELS, TRUNCATED

from _detection import rle as rles

_TRUE = ("1", "true", "yes")
_FLAGS = {"difficult": DIFFICULT, "truncated": TRUNCATED, "occluded": OCCLUDED}  # as attributes that the labellers defined
_BOX = ("xtl", "ytl", "xbr", "ybr")
_ELLIPSE = ("cx", "cy", "rx", "ry")
_MASK = ("left", "top", "width", "height")


class Shape(NamedTuple):
    """A shape of an image. values: XML attributes; attributes: the labellers'; size: the image's (width, height), or 0, 0."""

    tag: str
    label: str
    values: dict
    attributes: dict
    size: tuple
    file: str
    line: int
    number: int


def add_shape(part, row, shape):
    """Add the object of a shape, where it has a box; whether it has an outline too, of which that is the bounds."""
    make = _SHAPES.get(shape.tag)
    if make is None:
        _bad(part, shape, "shape-unsupported", "a <%s> has no box: draw a rectangle, polygon, ellipse or mask" % shape.tag)
        return False
    made = make(part, shape)
    if made is None:
        return False
    box, mask = made
    flags = OCCLUDED if shape.values.get("occluded") == "1" else 0
    for name, flag in _FLAGS.items():
        if shape.attributes.get(name, "").lower() in _TRUE:
            flags |= flag
    part.object(row, shape.label, box, shape.line, shape.number, flags, mask=mask)
    return mask is not None


def _bad(part, shape, code, message):
    part.findings.bad(code, shape.file, "%s: %s" % (shape.label, message), shape.line, shape.number)


def _numbers(part, shape, names):
    return corner_numbers(
        [shape.values.get(name) for name in names], shape.label, shape.file, shape.line, shape.number, part.findings, names
    )


def _rotation(part, shape):
    """Radians clockwise, or None."""
    text = shape.values.get("rotation", "0").strip()
    degrees = number(text)
    if degrees is None:
        _bad(part, shape, "box-not-a-number", "rotation is %s" % text[:40])
        return None
    return math.radians(math.fmod(degrees, 360))


def _box(part, shape):
    corners, angle = _numbers(part, shape, _BOX), _rotation(part, shape)
    if corners is None or angle is None:
        return None
    if angle == 0:
        return corners, None
    xmin, ymin, xmax, ymax = corners
    width, height = (xmax - xmin) / 2, (ymax - ymin) / 2
    half = _turned(width, height, angle)
    message = "%s: the box is turned by %s degrees: the box around its corners was taken" % (shape.label, shape.values["rotation"].strip())
    part.findings.fixed("box-rotated", shape.file, message, shape.line, shape.number)
    x, y = xmin + width, ymin + height
    return (x - half[0], y - half[1], x + half[0], y + half[1]), None


def _turned(width, height, angle):
    """Half the sides of the box around the corners of a turned one; its own half sides keep their signs, for what is inverted stays so."""
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    if width < 0 or height < 0:
        return width, height
    return width * cosine + height * sine, width * sine + height * cosine


def _ellipse(part, shape):
    values, angle = _numbers(part, shape, _ELLIPSE), _rotation(part, shape)
    if values is None or angle is None:
        return None
    x, y, width, height = values
    half_width = math.copysign(math.hypot(width * math.cos(angle), height * math.sin(angle)), width)
    half_height = math.copysign(math.hypot(width * math.sin(angle), height * math.cos(angle)), height)
    return (x - half_width, y - half_height, x + half_width, y + half_height), None


def _polygon(part, shape):
    texts = re.split("[;,]", shape.values.get("points", ""))
    values = [number(text.strip()) for text in texts]
    if None in values:
        _bad(part, shape, "box-not-a-number", "points holds %s" % (texts[values.index(None)][:40] or "nothing"))
        return None
    if len(values) < 6 or len(values) % 2:
        _bad(part, shape, "box-incomplete", "points holds %d numbers, where three or more points of two were expected" % len(values))
        return None
    box = min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2])
    return box, {"polygons": [values], "unit": PIXELS}


def _mask(part, shape):
    """A mask's own run lengths go along the rows of its box, the first of pixels that are not the object's."""
    place = _numbers(part, shape, _MASK)
    if place is None:
        return None
    left, top, width, height = place
    runs = shape.values.get("rle", "").split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", run) for run in runs):
        _bad(part, shape, "mask-broken", "rle is no list of run lengths")
        return None
    lengths = np.array([int(run) for run in runs], np.int64)
    image_width, image_height = shape.size
    if not 0 < image_width * image_height <= rles.MOST_PIXELS:
        _bad(part, shape, "mask-broken", "the image's size is %d x %d, without which a mask has no place" % shape.size)
        return None
    whole = all(value == int(value) for value in place)
    if not whole or min(place) < 0 or left + width > image_width or top + height > image_height or lengths.sum() != width * height:
        _bad(
            part,
            shape,
            "mask-broken",
            "the run lengths are not those of %g x %g pixels at %g, %g in the image" % (width, height, left, top),
        )
        return None
    pixels = np.zeros((image_height, image_width), bool)
    inside = pixels[int(top) : int(top + height), int(left) : int(left + width)]
    inside[:] = np.repeat(np.arange(lengths.size) % 2 == 1, lengths).reshape(inside.shape)
    return (left, top, left + width, top + height), {"rle": rles.encode(pixels)}


_SHAPES = {"box": _box, "polygon": _polygon, "mask": _mask, "ellipse": _ellipse}
