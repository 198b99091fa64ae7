"""One XML file of LabelMe's web tool: polygons, and masks in pictures.

Tags: http://labelme.csail.mit.edu, as the data set toolbox reads them; read by tag, whatever their order.
"""

import os

from formats.box_text import corner_numbers, number
from formats.xml_file import parse_xml, text_of
from pictures.image_files import clean_name
from tables import CORNERS, OCCLUDED, PIXELS, Image

_BOX = "bounding_box"  # what <type> says of a polygon that was drawn as a box
_MASKS = "Masks"


def read_xml(part, path, file, root):
    """Add one annotation file to the part; where it is unusable, only the finding that says why. root: the dataset's folder."""
    findings = part.findings
    tree = parse_xml(path, file, findings)
    if tree is None:
        return
    if tree.tag != "annotation":
        findings.bad("xml-not-labelme", file, "the outermost tag is <%s>, where <annotation> was expected" % tree.tag, tree.sourceline)
        return
    folder, filename = text_of(tree, "folder") or "", text_of(tree, "filename") or ""
    name = clean_name("/".join(text for text in (folder, filename) if text))
    if name is None:
        findings.refuse("filename-outside", file, "<folder> and <filename>, %s/%s, lead out of the images' folder" % (folder, filename))
        return
    stem = os.path.splitext(os.path.basename(path))[0]
    row = part.image(Image("" if name == "." else name, file, tree.sourceline, *_size(tree), stem=stem))
    masks = os.path.join(root, _MASKS, clean_name(folder) or "")
    for place, element in enumerate(tree.findall("object"), 1):
        if text_of(element, "deleted") != "1":
            _object(part, row, element, place, file, masks)


def _size(tree):
    size = tree.find("imagesize")
    sides = [None, None] if size is None else [number(text_of(size, tag) or "") for tag in ("ncols", "nrows")]
    return tuple(int(side) for side in sides) if all(side is not None and 0 < side < 1e9 for side in sides) else (0, 0)


def _object(part, row, element, place, file, masks):
    findings, line = part.findings, element.sourceline
    label = text_of(element, "name")
    if not label:
        findings.bad("label-empty", file, "the object has no <name>", line, place)
        return
    flags = OCCLUDED * (text_of(element, "occluded") == "yes")
    outline, segment = element.find("polygon"), element.find("segm")
    if outline is not None:
        points = _points(outline, label, file, place, findings)
        if points is not None:
            xs, ys = points[::2], points[1::2]
            mask = {"polygons": [points], "unit": PIXELS} if text_of(element, "type") != _BOX else None
            part.object(row, label, [min(xs), min(ys), max(xs), max(ys)], line, place, flags, mask=mask)
    elif segment is not None and segment.find("box") is not None:
        texts = [text_of(segment.find("box"), corner) for corner in CORNERS]
        box = corner_numbers(texts, label, file, line, place, findings)
        if box is not None:
            part.object(row, label, box, line, place, flags, mask=_picture(segment, masks))
    else:
        findings.bad("box-missing", file, "%s has neither <polygon> nor <segm> with a <box>" % label, line, place)


def _points(outline, label, file, place, findings):
    """[x, y, …] of a polygon; None where it has no three points, which `findings` are told."""
    texts = [(text_of(point, axis) or "") for point in outline.findall("pt") for axis in ("x", "y")]
    if len(texts) < 6:
        findings.bad("box-incomplete", file, "%s: the polygon has %d points" % (label, len(texts) // 2), outline.sourceline, place)
        return None
    values = [number(text) for text in texts]
    if None in values:
        wrong = texts[values.index(None)]
        findings.bad("box-not-a-number", file, "%s: the polygon has the coordinate %s" % (label, wrong[:40]), outline.sourceline, place)
        return None
    return values


def _picture(segment, masks):
    name = text_of(segment, "mask")
    if not name or os.path.basename(name) != name or name in (".", "..") or "\0" in name:
        return None
    return {"picture": os.path.join(masks, name), "values": None}
