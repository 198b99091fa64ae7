"""A tf.Example's features as an image and its objects."""

import math

import numpy as np
from pictures.image_files import clean_name
from tables import CORNERS, CROWD, DEPICTION, DIFFICULT, GROUP_OF, OCCLUDED, TRUNCATED, Image

from _detection import rle

_OBJECT = "image/object/"
_BOXES = tuple(_OBJECT + "bbox/" + corner for corner in CORNERS)
_LABELS, _TEXTS, _MASKS = _OBJECT + "class/label", _OBJECT + "class/text", _OBJECT + "mask"
_FLAGS = {
    _OBJECT + name: bit
    for name, bit in (
        ("difficult", DIFFICULT),
        ("truncated", TRUNCATED),
        ("group_of", GROUP_OF),
        ("is_crowd", CROWD),
        ("occluded", OCCLUDED),
        ("depiction", DEPICTION),
    )
}
_KINDS = {
    "image/encoded": "bytes",
    "image/filename": "bytes",
    "image/height": "int64",
    "image/width": "int64",
    "image/class/text": "bytes",
    "image/class/label": "int64",
    **dict.fromkeys(_BOXES, "float"),
    _LABELS: "int64",
    _TEXTS: "bytes",
    **dict.fromkeys(_FLAGS, "int64"),
    _OBJECT + "view": "bytes",
    _OBJECT + "weight": "float",
}
_ADDED = (*_FLAGS, _OBJECT + "view", _OBJECT + "weight")  # which an object may lack
_UNREAD = _OBJECT + "keypoint/x"
_PIXELS = 2.0  # a fraction of this size is most likely a number of pixels
_NO_VIEW = ("", "Unspecified")
_ULP = 2.0**-23  # two units in the last place of a float32 between 0.5 and 1
_LARGEST = 1 << 20  # pixels of a side that can be declared
_SUFFIXES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def told(span, message):
    """A message about a record, with the place where a file of no lines can be looked into."""
    return "record %d (byte %d): %s" % (span.number, span.offset, message)


class Rows:
    """Adds records to a part. file: their file in messages; labels: `Labels` or None; scratch: the start of the paths of files to write."""

    def __init__(self, part, file, labels, scratch):
        self._part = part
        self._file = file
        self._labels = labels
        self._scratch = scratch
        self._unread = False

    def add(self, span, name, features):
        """One record: an image and its objects, or a finding that says why not. name: the image's; features: {name: Feature}."""
        wrong = [key for key, kind in _KINDS.items() if key in features and features[key].values and features[key].kind != kind]
        if wrong:
            message = "%s is a list of %s, where %s is read" % (wrong[0], features[wrong[0]].kind, _KINDS[wrong[0]])
            self._bad(span, "feature-type", message)
            return
        values = {key: feature.values for key, feature in features.items()}
        boxes = [values.get(key, []) for key in _BOXES]
        counts = [len(column) for column in boxes] + [len(values[key]) for key in (_LABELS, _TEXTS) if values.get(key)]
        if len(set(counts)) > 1:
            self._bad(
                span, "lists-differ", "the lists of corners, labels and texts have different lengths: %s" % ", ".join(map(str, counts))
            )
            return
        if any(math.isfinite(value) and value >= _PIXELS for column in boxes for value in column):
            self._bad(span, "box-pixels", "corners look like pixels, where fractions of the image's sides are read")
            return
        image = self._image(span, name, values)
        if image is None:
            return
        if values.get(_UNREAD) and not self._unread:
            self._unread = True
            self._part.findings.note("keypoints-unread", self._file, told(span, "keypoints are not read; boxes and masks are"), span.number)
        self._objects(span, self._part.image(image), boxes, values, (image.width, image.height))

    def _bad(self, span, code, message, number=None):
        self._part.findings.bad(code, self._file, told(span, message), span.number, number)

    def _doubt(self, span, code, message, number=None):
        self._part.findings.doubt(code, self._file, told(span, message), span.number, number)

    def _image(self, span, name, values):
        """The Image, its file written where the record holds it; None where its name leads out of the images' folder."""
        width, height = (values.get("image/" + side, [0])[:1] or [0] for side in ("width", "height"))
        size = (width[0], height[0])
        if not all(0 < side < _LARGEST for side in size):
            self._doubt(span, "size-undeclared", "image/width and image/height are not both there; the image's own size was taken")
            size = (0, 0)
        data = (values.get("image/encoded") or [b""])[0]
        labels = self._image_labels(values)
        if data:
            return Image(name, self._file, span.number, *size, path=self._write(span, data), labels=labels)
        written = (values.get("image/filename") or [b""])[0].decode("utf-8", "replace")
        cleaned = clean_name(written)
        if cleaned is None:
            message = told(span, "image/filename %s leads out of the images' folder" % written[:200])
            self._part.findings.refuse("filename-outside", self._file, message, span.number)
            return None
        return Image("" if cleaned == "." else cleaned, self._file, span.number, *size, labels=labels)

    def _write(self, span, data):
        suffix = next((suffix for magic, suffix in _SUFFIXES if data.startswith(magic)), ".jpg")
        path = "%s-%08d%s" % (self._scratch, span.number, suffix)
        with open(path, "wb") as stream:
            stream.write(data)
        return path

    def _image_labels(self, values):
        names = [text.decode("utf-8", "replace") for text in values.get("image/class/text", []) if text]
        if not names and self._labels:
            names = [self._labels.names[label] for label in values.get("image/class/label", []) if label in self._labels.names]
        return tuple((name, True) for name in dict.fromkeys(names)) or None

    def _objects(self, span, row, boxes, values, size):
        count = len(boxes[0])
        added = {}
        for key in _ADDED:
            column = values.get(key, [])
            if column and len(column) != count:
                self._doubt(span, "lists-differ", "%s has %d values, and there are %d boxes; it is not read" % (key, len(column), count))
            elif column:
                added[key] = column
        masks = self._masks(span, values.get(_MASKS, []), count, size)
        for place, box in enumerate(zip(*boxes, strict=True)):
            if not all(math.isfinite(value) for value in box):
                corners = ", ".join("%g" % value for value in box)
                self._bad(span, "box-not-a-number", "a corner of object %d is no number: %s" % (place + 1, corners), place + 1)
                continue
            name = self._class(span, place, values)
            if name is None:
                continue
            own = {key: column[place] for key, column in added.items()}
            view = own.get(_OBJECT + "view", b"").decode("utf-8", "replace")
            self._part.object(
                row,
                name,
                self._snapped(box, size),
                span.number,
                place + 1,
                self._flags(span, place, own),
                mask=masks[place],
                view=None if view in _NO_VIEW else view,
                weight=self._weight(span, place, own),
            )

    @staticmethod
    def _snapped(box, size):
        """The fractions of whole pixels where float32, which records have, cannot tell them apart from these."""
        return [_snap(value, side) for value, side in zip(box, size * 2, strict=True)]

    def _class(self, span, place, values):
        """The class's name: of the text, else of the label in the label map; None (told) where neither names one."""
        text = (values.get(_TEXTS, [])[place : place + 1] or [b""])[0].decode("utf-8", "replace")
        label = (values.get(_LABELS, [])[place : place + 1] or [None])[0]
        named = self._labels.names.get(label) if self._labels else None
        if not text and named is None:
            where = "has no class text" + ("" if label is None else ", and its label %d is in no label map" % label)
            self._bad(span, "label-empty", "object %d %s" % (place + 1, where), place + 1)
            return None
        if text and named not in (None, text) and self._labels.texts.get(text) != label:
            message = "object %d has the text %s, and the label %d, which is %s; the text is taken"
            self._doubt(span, "label-differs", message % (place + 1, text[:80], label, named), place + 1)
        # A display name stands for its item.
        return self._labels.names[self._labels.texts[text]] if text and self._labels and text in self._labels.texts else text or named

    def _flags(self, span, place, own):
        flags = 0
        for key, bit in _FLAGS.items():
            value = own.get(key, 0)
            if value not in (0, 1):
                message = "%s of object %d is %d, where 0 or 1 was expected; taken as 0" % (key, place + 1, value)
                self._doubt(span, "flag-unclear", message, place + 1)
            flags |= bit * (value == 1)
        return flags

    def _weight(self, span, place, own):
        weight = own.get(_OBJECT + "weight", 1.0)
        if not 0 <= weight < math.inf:
            self._doubt(span, "weight-unclear", "the weight of object %d is %g; taken as 1" % (place + 1, weight), place + 1)
            return None
        return None if weight == 1 else weight

    def _masks(self, span, column, count, size):
        """A mask as masks.py takes it, or None, for each object."""
        if not column:
            return [None] * count
        if isinstance(column[0], bytes) and len(column) == count:
            return [self._picture(span, place, data) for place, data in enumerate(column)]
        if isinstance(column[0], float) and count and len(column) == count * size[0] * size[1]:
            masks = np.array(column, np.float32).reshape(count, size[1], size[0]) > 0
            return [{"rle": rle.encode(mask)} for mask in masks]
        self._doubt(span, "lists-differ", "%d values of masks do not fit %d boxes; no mask is read" % (len(column), count))
        return [None] * count

    def _picture(self, span, place, data):
        if not data:
            return None
        path = "%s-%08d-mask-%05d.png" % (self._scratch, span.number, place)
        with open(path, "wb") as stream:
            stream.write(data)
        return {"picture": path, "values": None}


def _snap(value, side):
    nearest = round(value * side)
    return nearest / side if side and abs(value * side - nearest) <= side * _ULP else value
