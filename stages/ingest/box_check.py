"""The checks that every box must pass, in pixels of the image."""

import math
import re

from annotation import CORNERS

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def check_box(raw, width, height, file, audit):
    """[xmin, ymin, xmax, ymax] as floats with 0 ≤ xmin < xmax ≤ width (likewise y), or None where the box is not used.

    raw: RawObject; width, height: of the image in pixels. Coordinates are edges: 0 is the image's left edge, `width` its right one.
    """

    def bad(code, message, clip=False):
        return audit.bad(code, file, "%s: %s" % (raw.label, message), raw.line, raw.number, clip)

    box = []
    for corner, text in zip(CORNERS, raw.corners, strict=True):
        if text is None or text == "":
            bad("box-incomplete", "%s is missing" % corner)
            return None
        value = float(text) if len(text) < 100 and _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            bad("box-not-a-number", "%s is %s" % (corner, text[:40]))
            return None
        box.append(value)
    for low, high, axis in ((0, 2, "x"), (1, 3, "y")):
        if box[low] >= box[high]:
            bad(
                "box-inverted" if box[low] > box[high] else "box-empty",
                "%smin %s is not less than %smax %s" % (axis, raw.corners[low], axis, raw.corners[high]),
            )
            return None
    return _inside(box, width, height, bad)


def _inside(box, width, height, bad):
    clipped = [min(max(value, 0.0), float(limit)) for value, limit in zip(box, (width, height, width, height), strict=True)]
    if clipped == box:
        return box
    shown = "(%s)" % ", ".join("%g" % value for value in box)
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        bad("box-outside", "%s lies outside the image of %d × %d pixels" % (shown, width, height))
        return None
    action = bad("box-outside", "%s reaches outside the image of %d × %d pixels" % (shown, width, height), clip=True)
    return clipped if action == "clipped" else None
