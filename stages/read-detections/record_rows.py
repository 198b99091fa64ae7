"""Detections in TFRecords as the Object Detection API's infer_detections writes them: image/detection/bbox, label and score."""

import math

from _detection import mask_picture, rle
from _detection.tf_example import NotAnExampleError, parse_features
from _detection.tfrecord_reader import payloads, spans
from _runtime import StageError

_FOUND = "image/detection/"
_CORNERS = tuple(_FOUND + "bbox/" + corner for corner in ("ymin", "xmin", "ymax", "xmax"))
_LABEL, _SCORE, _MASK = (_FOUND + name for name in ("label", "score", "mask"))
_KINDS = {**dict.fromkeys(_CORNERS, "float"), _LABEL: "int64", _SCORE: "float", _MASK: "bytes"}


class RecordReader:
    """images: `SplitImages`; classes: `ClassNames`; rows: `Rows`; bad: `BadRows`."""

    def __init__(self, images, classes, rows, bad):
        self._images, self._classes, self._rows, self._bad = images, classes, rows, bad
        self._seen = {}

    def read(self, path):
        """Add all detections of a file. Raises StageError where the file cannot be read any further."""
        try:
            found = list(spans(path))
            chosen = [span for span in found if span.length is not None]
            for span, data, damage in payloads(path, chosen):
                where = "%s, record %d" % (path, span.number)
                if data is None or damage is not None:
                    self._bad.add("damaged record", where, "a whole record", damage.message)
                else:
                    self._record(data, where)
        except OSError as error:
            raise StageError("the file cannot be read: %s" % error.strerror, path, "a TFRecord file", None, "check the path") from None
        if len(chosen) < len(found):
            last = found[-1]
            raise StageError(
                "a TFRecord file is damaged",
                "%s, record %d" % (path, last.number),
                "whole records",
                last.damage.message,
                "write or copy it again",
            )

    def _record(self, data, where):
        try:
            features = parse_features(data)
        except NotAnExampleError as error:
            self._bad.add("damaged record", where, "a tf.Example", error.message)
            return
        image = self._image({name: features[name].values for name in features})
        if image is None:
            self._bad.add("unknown image", where, "an image of the split", _told(features))
            return
        if image.place in self._seen:
            self._bad.add("image twice", where, "a record for each image", "%s, as in %s" % (image.name, self._seen[image.place]))
            return
        self._seen[image.place] = where
        wrong = next(
            (name for name, kind in _KINDS.items() if name in features and features[name].values and features[name].kind != kind), None
        )
        if wrong is not None:
            self._bad.add("feature", where, "%s as %s" % (wrong, _KINDS[wrong]), features[wrong].kind)
            return
        columns = [features[name].values if name in features else [] for name in (*_CORNERS, _LABEL, _SCORE)]
        masks = features[_MASK].values if _MASK in features else None
        lengths = {len(column) for column in columns} | ({len(masks)} if masks else set())
        if len(lengths) != 1:
            self._bad.add("lists of different lengths", where, "as many corners, labels, scores and masks", sorted(lengths))
            return
        for number, row in enumerate(zip(*columns), 1):
            self._detection(image, row, masks[number - 1] if masks else None, "%s, detection %d" % (where, number))

    def _detection(self, image, row, mask, where):
        *box, label, score = row
        place = self._classes.of_id(label)
        if place is None:
            self._bad.add("unknown class", where, "a class of the dataset", "label %s" % self._classes.told(label))
            return
        if not math.isfinite(score) or not all(map(math.isfinite, box)):
            self._bad.add("box" if math.isfinite(score) else "score", where, "numbers", [*box, score])
            return
        try:
            found = None if mask is None else mask_picture.png_mask(mask)
        except rle.MaskError as error:
            self._bad.add("mask", where, "a PNG", str(error))
            return
        self._rows.add(image, place, score, box, where, found)

    def _image(self, values):
        """By the file's sha256; else by image/source_id, unless the file's name says that it is another numbering's; else by the name."""
        digest, source, name = (_first(values, key) for key in ("image/key/sha256", "image/source_id", "image/filename"))
        known = self._images.by_sum(digest) if digest else None
        if known is not None:
            return known
        named = self._images.by_name(name) if name else None
        numbered = self._images.by_id(int(source)) if source and source.isdecimal() and len(source) < 19 else None
        if numbered is not None and (not name or named is numbered):
            return numbered
        return named or (self._images.by_name(source) if source else None)


def _first(values, key):
    found = values.get(key) or [b""]
    return found[0].decode("utf-8", "replace") if isinstance(found[0], bytes) else None


def _told(features):
    values = {name: feature.values for name, feature in features.items()}
    return "source_id %s, filename %s" % (_first(values, "image/source_id") or "none", _first(values, "image/filename") or "none")
