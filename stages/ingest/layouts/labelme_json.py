"""One JSON file of LabelMe: an image, and the shapes drawn on it."""

import base64
import json
import math
import os
import posixpath

import numpy as np
from formats.json_elements import shown, writable
from formats.whole_file import read_whole
from pictures.image_files import clean_name
from tables import CROWD, DEPICTION, DIFFICULT, GROUP_OF, OCCLUDED, PIXELS, TRUNCATED, Image

from _detection import rle as rles
from _detection.mask_picture import png_mask

_LARGEST = 512 << 20  # bytes: the image itself may be in the file
_FLAGS = {
    "difficult": DIFFICULT,
    "truncated": TRUNCATED,
    "group_of": GROUP_OF,
    "crowd": CROWD,
    "occluded": OCCLUDED,
    "depiction": DEPICTION,
}
_OUTLINES = ("polygon", "oriented_rectangle", "rotation")  # the last as X-AnyLabeling calls it
_POINTS = {"rectangle": (2, 4), "circle": (2,), "mask": (2,)}  # how many each has


def read_json(part, path, file):
    """Add one annotation file to the part; where it is unusable, only the finding that says why."""
    value = _load(path, file, part.findings)
    if value is None:
        return
    shapes = value.get("shapes") if isinstance(value, dict) else None
    if not isinstance(shapes, list):
        part.findings.bad("json-not-labelme", file, "there is no list of shapes in it")
        return
    name = image_name(value.get("imagePath"), file)
    size = _size(value)
    if 0 in size:
        part.findings.doubt("size-undeclared", file, "the image's size is not declared; the file's own was taken")
    row = part.image(Image(name, file, 0, *size, stem=os.path.splitext(os.path.basename(path))[0]))
    objects = {}
    for number, shape in enumerate(shapes, 1):
        found = _Shape.of(shape, size, file, number, part.findings)
        if found is not None:
            key = number if found.group is None else (found.group, found.label)
            objects.setdefault(key, []).append(found)
    for members in objects.values():
        first = members[0]
        flags = 0
        for member in members:
            flags |= member.flags
        part.object(row, first.label, _around(members), 0, first.number, flags, mask=_mask_of(members))


def image_name(written, file):
    """The name of the image that an annotation tells relative to its own folder, relative to the dataset's.

    Where it leads out of that, as the labeller's own folders do, its last part: images are looked for by it.
    """
    text = written.replace("\\", "/") if isinstance(written, str) else ""
    if "/" in text and not text.startswith("/") and text[1:2] != ":":
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(file), text))
        if clean_name(joined) is not None:
            return joined
    last = text.rsplit("/", 1)[-1]
    return last if last not in ("", ".") and clean_name(last) is not None else ""


def _load(path, file, findings):
    data = read_whole(path, file, _LARGEST, ("json-unreadable", "json-broken"), findings)
    if data is None:
        return None
    try:
        return json.loads(data.decode("utf-8-sig"), strict=False)
    except json.JSONDecodeError as error:
        findings.bad("json-broken", file, "not well-formed JSON: %s" % error.msg, error.lineno)
    except UnicodeDecodeError as error:
        findings.bad("json-broken", file, "not UTF-8", data.count(b"\n", 0, error.start) + 1)
    except (RecursionError, ValueError) as error:
        findings.bad("json-broken", file, "not well-formed JSON: %s" % str(error)[:100])
    return None


def _size(value):
    sides = [value.get("imageWidth"), value.get("imageHeight")]
    known = all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1e9 for side in sides)
    return tuple(sides) if known else (0, 0)


class _Shape:
    """label, group: group_id or None; number: in the file; box: CORNERS in pixels; polygon: [x, y, …] or None; rle: of a mask, or None."""

    def __init__(self, label, group, number, flags, box, polygon=None, rle=None):
        self.label, self.group, self.number, self.flags = label, group, number, flags
        self.box, self.polygon, self.rle = box, polygon, rle

    @classmethod
    def of(cls, shape, size, file, number, findings):
        """The shape of a file's entry; None where it is none that can be used, which `findings` are told."""
        if not isinstance(shape, dict):
            findings.bad("entry-broken", file, "a shape is %s, where an object was expected" % shown(shape), None, number)
            return None
        label = shape.get("label")
        label = label.strip() if isinstance(label, str) else ""
        if not label or not writable(label):
            findings.bad("label-empty", file, "the shape has no label that can be used: %s" % shown(shape.get("label")), None, number)
            return None
        kind = shape.get("shape_type") or "polygon"  # version 3 has polygons alone
        told = "%s: the %s" % (shown(label), shown(kind))
        if kind not in _OUTLINES and (not isinstance(kind, str) or kind not in _POINTS):
            findings.bad("shape-unsupported", file, "%s encloses nothing; rectangles, polygons, circles and masks do" % told, None, number)
            return None
        points = _points(shape.get("points"), kind, told, file, number, findings)
        if points is None:
            return None
        group = shape.get("group_id")
        found = cls(label, group if isinstance(group, (int, str)) and group != "" else None, number, _flags(shape), _box(points, kind))
        if kind in _OUTLINES:
            found.polygon = [float(value) for value in points.ravel()]
        if kind == "mask":
            found.rle, around = _placed(shape.get("mask"), points, size, told, file, number, findings)
            found.box = around or found.box
        return found


def _points(given, kind, told, file, number, findings):
    """float64 [n, 2], finite; None where there are no such points, which `findings` are told."""
    if not isinstance(given, list) or not all(isinstance(point, list) and len(point) == 2 for point in given):
        findings.bad("box-incomplete", file, "%s has no list of points [x, y]" % told, None, number)
        return None
    wanted = _POINTS.get(kind)
    if (wanted is None and len(given) < 3) or (wanted is not None and len(given) not in wanted):
        expected = "at least 3" if wanted is None else " or ".join(map(str, wanted))
        findings.bad("box-incomplete", file, "%s has %d points, where %s were expected" % (told, len(given), expected), None, number)
        return None
    for value in (value for point in given for value in point):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
            findings.bad("box-not-a-number", file, "%s has the coordinate %s" % (told, shown(value)), None, number)
            return None
    return np.array(given, np.float64)


def _box(points, kind):
    if kind == "circle":  # its centre, and a point on its rim
        (x, y), (rim_x, rim_y) = points.tolist()
        radius = math.hypot(rim_x - x, rim_y - y)
        return [x - radius, y - radius, x + radius, y + radius]
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def _placed(given, points, size, told, file, number, findings):
    """(the RLE of a mask that is a picture of its own, in base64, to be put at its upper left point; the box around its pixels).

    None, None where that cannot be. The second point is the picture's last pixel (mask[y1 : y2 + 1, x1 : x2 + 1] in labelme/utils/shape.py,
    5.4), or one past it in files that others write: the pixels say which.
    """
    width, height = size
    pixels, wrong = None, "the image's size is not declared"
    try:
        if 0 < width * height <= rles.MOST_PIXELS:
            pixels = rles.decode(png_mask(base64.b64decode(given, validate=True)))
    except (TypeError, ValueError, rles.MaskError) as error:
        wrong = str(error)
    if pixels is None:
        findings.bad(
            "mask-broken", file, "%s is no mask that can be read: %s; the box is not concerned" % (told, shown(wrong)), None, number
        )
        return None, None
    left, top = (round(value) for value in points.min(axis=0).tolist())
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)).tolist() for axis in (1, 0))
    box = [float(edge) for edge in (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)] if rows else None
    whole = np.zeros((height, width), bool)
    part = pixels[max(-top, 0) :, max(-left, 0) :][: max(height - max(top, 0), 0), : max(width - max(left, 0), 0)]
    whole[max(top, 0) : max(top, 0) + part.shape[0], max(left, 0) : max(left, 0) + part.shape[1]] = part
    return rles.encode(whole), box


def _flags(shape):
    """Flags of the shape's own, and X-AnyLabeling's `difficult`."""
    flags = DIFFICULT * (shape.get("difficult") is True)
    own = shape.get("flags")
    for name, bit in _FLAGS.items():
        flags |= bit * (isinstance(own, dict) and own.get(name) is True)
    return flags


def _around(members):
    boxes = np.array([member.box for member in members])
    return [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]


def _mask_of(members):
    """The mask of an object's shapes; None where they have only boxes."""
    rle = [member.rle for member in members if member.rle is not None]
    polygons = [member.polygon for member in members if member.polygon is not None]
    if len(rle) > 1:
        return {"rle": rles.encode(np.any([rles.decode(each) for each in rle], axis=0))}
    return {"rle": rle[0]} if rle else {"polygons": polygons, "unit": PIXELS} if polygons else None
