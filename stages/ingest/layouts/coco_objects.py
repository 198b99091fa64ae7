"""A piece of a COCO file's annotations as objects."""

import json
import math

from formats.json_elements import shown
from masks import MaskError, box_around, packed
from tables import CROWD, DEPICTION, DIFFICULT, GROUP_OF, OCCLUDED, PIXELS, TRUNCATED, Image

from _runtime import StageError
from layouts.coco_index import key_of

# CVAT writes `occluded` among an annotation's attributes; the stage export-annotations all of them.
_ATTRIBUTES = {"difficult": DIFFICULT, "truncated": TRUNCATED, "group_of": GROUP_OF, "occluded": OCCLUDED, "depiction": DEPICTION}
_NO_IMAGE, _LEFT_OUT = -2, -1


def read_piece(part, table, file, path, piece, categories):
    """Add the annotations of a `Piece` of the file `path` to the part. table: `ImageTable`; file: the file's name for messages."""
    entries = _load(path, file, piece)
    keys = [key_of(entry.get("image_id")) if isinstance(entry, dict) else None for entry in entries]
    rows = table.find([0 if key is None else key for key in keys]).tolist()
    used = list(dict.fromkeys(row for row, key in zip(rows, keys, strict=True) if row >= 0 and key is not None))
    images = dict(zip(used, table.images(used), strict=True))
    reading = _Reading(part, file, images, categories)
    for number, (entry, key, row) in enumerate(zip(entries, keys, rows, strict=True), piece.first):
        reading.entry(entry, row if key is not None else None, number)


def _load(path, file, piece):
    try:
        with open(path, "rb") as stream:
            stream.seek(piece.start)
            data = stream.read(piece.end - piece.start)
        return json.loads("[%s]" % data.decode("utf-8", "replace"), strict=False)
    except (OSError, ValueError) as error:
        where = "%s: byte %d" % (file, piece.start)
        raise StageError(
            "the JSON file cannot be read again", where, "the file as it was", error, "leave it alone while it is read"
        ) from None


class _Reading:
    """images: {row of the table: (name, width, height)}; categories: {key: class name}."""

    def __init__(self, part, file, images, categories):
        self.part, self.file, self.images, self.categories = part, file, images, categories
        self._rows = {}  # row of the table to the part's

    def entry(self, entry, row, number):
        """Add one annotation; row: of its image in the table, negative where there is none, or None where it has no image_id."""
        if not isinstance(entry, dict) or row is None:
            what = "has no image_id that is an id" if isinstance(entry, dict) else "is no object"
            self._bad("entry-broken", "annotations: %s %s" % (shown(entry), what), number)
            return
        told = "annotation %s" % shown(entry.get("id"))
        if row == _LEFT_OUT:
            return  # the image is told, or is not listed
        if row == _NO_IMAGE:
            self._bad("image-unknown", "%s: no image has the id %s" % (told, shown(entry["image_id"])), number)
            return
        label = self._label(entry, told, number)
        if label is None:
            return
        told = "%s: %s" % (told, shown(label))
        name, width, height = self.images[row]
        mask = _mask(entry.get("segmentation"))
        box = self._box(entry, mask, (width, height), told, number)
        if box is None:
            return
        place = self._rows.get(row)
        if place is None:
            place = self._rows[row] = self.part.image(Image(name, self.file, 0, width, height))
        mask = None if mask is None else packed(mask, width, height)
        self.part.object(place, label, box, 0, number, self._flags(entry, told, number), mask=mask)

    def _bad(self, code, message, number):
        self.part.findings.bad(code, self.file, message, None, number)

    def _label(self, entry, told, number):
        given = entry.get("category_id")
        if given is None:
            self._bad("label-empty", "%s: the annotation has no category_id" % told, number)
            return None
        label = self.categories.get(key_of(given))
        if label is None:
            self._bad("category-unknown", "%s: no category has the id %s" % (told, shown(given)), number)
        return label

    def _box(self, entry, mask, size, told, number):
        """[xmin, ymin, xmax, ymax], of the mask where there is no bbox; None where neither gives one, which is told."""
        given = entry.get("bbox")
        if given is None or given == []:
            return self._box_of_mask(mask, size, told, number)
        if not isinstance(given, list):
            self._bad("box-not-a-number", "%s: bbox is %s, where a list was expected" % (told, shown(given)), number)
            return None
        if len(given) != 4 or None in given:
            self._bad("box-incomplete", "%s: bbox is %s, where [x, y, width, height] was expected" % (told, shown(given)), number)
            return None
        numbers = [_number(value) for value in given]
        if None not in numbers:
            x, y, width, height = numbers
            box = [x, y, x + width, y + height]
            if all(map(math.isfinite, box)):
                self._report_turned(entry, told, number)
                return box
        self._bad("box-not-a-number", "%s: bbox is %s" % (told, shown(given)), number)
        return None

    def _box_of_mask(self, mask, size, told, number):
        if mask is None:
            self._bad("box-missing", "%s: the annotation has neither bbox nor segmentation" % told, number)
            return None
        try:
            box = box_around(mask, *size)
        except MaskError as error:
            self._bad("box-missing", "%s: there is no bbox, and none can be taken from the segmentation: %s" % (told, error), number)
            return None
        self.part.findings.fixed(
            "box-from-mask", self.file, "%s: there is no bbox; it was taken from the segmentation" % told, None, number
        )
        return box

    def _report_turned(self, entry, told, number):
        attributes = entry.get("attributes")
        turned = _number(attributes.get("rotation")) if isinstance(attributes, dict) else None
        if turned:
            message = "%s: the box is turned by %g degrees; it was taken as it is without" % (told, turned)
            self.part.findings.doubt("box-turned", self.file, message, None, number)

    def _flags(self, entry, told, number):
        flags = CROWD * self._flag(entry, "iscrowd", told, number) | DIFFICULT * self._flag(entry, "ignore", told, number)
        attributes = entry.get("attributes")
        if isinstance(attributes, dict):
            for name, bit in _ATTRIBUTES.items():
                flags |= bit * (attributes.get(name) is True)
            if flags & GROUP_OF and attributes.get("crowd") is not True:
                flags &= ~CROWD  # COCO has only iscrowd for both
        return flags

    def _flag(self, entry, name, told, number):
        given = entry.get(name)
        if given not in (None, 0, 1):
            message = "%s: %s is %s, where 0 or 1 was expected; taken as 0" % (told, name, shown(given))
            self.part.findings.doubt("flag-unclear", self.file, message, None, number)
        return given in (1, True)


def _number(value):
    """A JSON number as a float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _mask(given):
    """The mask that masks.py knows, whether it is a good one or not; None for none."""
    if not given or given == [[]]:
        return None
    if isinstance(given, dict):
        return {"rle": given}
    flat = isinstance(given, list) and not isinstance(given[0], (list, dict))  # one polygon without a list around it
    return {"polygons": [given] if flat else given, "unit": PIXELS}
