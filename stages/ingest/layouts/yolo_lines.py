"""The lines of YOLO label files."""

import re

from formats.box_text import corner_numbers
from formats.text_files import read_lines
from tables import FRACTION, Image

_MOST = 1.01  # of a fraction, with what rounding adds; Ultralytics allows as much
_PIXELS = 2.0  # past this a number was not meant as a fraction
_SHOWN = 60  # characters of a cell
_BOX = ("cx", "cy", "width", "height")


def read_labels(part, files, names, keypoints):
    """Add images with their objects.

    files: (Pair, its label file's name for messages or None); names: {number: class name}; keypoints: numbers that follow a box.
    """
    polygons, first = 0, None
    for pair, file in files:
        if file is None:
            part.image(Image(pair.name, pair.name, path=pair.image))
            continue
        lines = read_lines(pair.label, file, part.findings)
        if lines is None:
            continue
        row = part.image(Image(pair.name, file, path=pair.image))
        for number, (line, text) in enumerate(lines, 1):
            if _object(part, row, text.split(), names, keypoints, (file, line, number)):
                polygons, first = polygons + 1, first or (file, line, number)
    if first is not None:
        message = "polygons: %d, this one first; the box is the one around the points, the mask the polygon" % polygons
        part.findings.note("box-from-polygon", first[0], message, *first[1:])


def _object(part, row, cells, names, keypoints, place):
    """Add the object of a line; whether it is a polygon. place: (file, line, number)."""
    file, line, number = place
    label = _label(cells[0], names, part.findings, place)
    if label is None:
        return False
    coordinates = cells[1:]
    if keypoints and len(coordinates) == 4 + keypoints:
        coordinates = coordinates[:4]
    count = len(coordinates)
    if count == 5:
        message = "%s: the line has a sixth number, such as the confidence of a detection: a label has five" % label
        part.findings.bad("label-line", file, message, line, number)
        return False
    if count != 4 and (count < 6 or count % 2):
        message = "%s: the line has %d numbers, where a class and 4, or 3 or more points of 2, were expected" % (label, len(cells))
        part.findings.bad("label-line", file, message, line, number)
        return False
    axes = _BOX if count == 4 else tuple("%s%d" % ("xy"[place % 2], place // 2 + 1) for place in range(count))
    values = corner_numbers(coordinates, label, file, line, number, part.findings, axes)
    if values is None or not _are_fractions(values, axes, label, part.findings, place):
        return False
    if count == 4:
        cx, cy, width, height = values
        part.object(row, label, (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), line, number)
        return False
    box = (min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2]))
    part.object(row, label, box, line, number, mask={"polygons": [values], "unit": FRACTION})
    return True


def _label(text, names, findings, place):
    """The class name of a number, or None."""
    file, line, number = place
    whole = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text)
    if whole is None:
        findings.bad("class-number", file, "the class is %s, where a whole number from 0 was expected" % text[:_SHOWN], line, number)
        return None
    name = names.get(int(whole.group(1)))
    if name is None:
        message = "the class is %s, but the names are numbered 0 to %d" % (whole.group(1), max(names))
        findings.bad("class-number", file, message, line, number)
    return name


def _are_fractions(values, axes, label, findings, place):
    file, line, number = place
    largest = max(values)
    if largest <= _MOST:
        return True
    axis = axes[values.index(largest)]
    reason = "these look like pixels" if largest > _PIXELS else "it lies outside the image"
    message = "%s: %s is %g, where a fraction of the image (0 to 1) was expected: %s" % (label, axis, largest, reason)
    findings.bad("box-not-a-fraction", file, message, line, number)
    return False
