"""Detections in COCO's results format (https://cocodataset.org/#format-results): a list, or `annotations` in an object."""

import math

from json_elements import elements

from _runtime import StageError


class CocoReader:
    """images: `SplitImages`; files: {image_id: file's name} or None; classes: `ClassNames`; rows: `Rows`; bad: `BadRows`."""

    def __init__(self, images, files, classes, rows, bad):
        self._images, self._files, self._classes = images, files, classes
        self._rows, self._bad = rows, bad

    def read(self, path):
        """Add all detections of a file. Raises StageError where it is no such JSON."""
        found = False
        for key, number, entry in elements(path):
            found = found or key in (None, "annotations")
            if key in (None, "annotations") and number:
                self._entry(entry, "%s: detection %d" % (path, number))
        if not found:
            raise StageError(
                "the JSON holds no detections",
                path,
                '[{"image_id", "category_id", "bbox", "score"}, …]',
                "an object without `annotations`",
                "check `path`",
            )

    def _entry(self, entry, where):
        if not isinstance(entry, dict):
            self._bad.add("no object", where, '{"image_id", "category_id", "bbox", "score"}', entry)
            return
        image = self._image(entry.get("image_id"))
        if image is None:
            self._bad.add("unknown image", where, "an image of the split", "image_id %s" % (entry.get("image_id"),))
            return
        label = self._label(entry, where)
        score = _number(entry.get("score"))
        if label is None:
            return
        if score is None:
            self._bad.add("score", where, "a number from 0 to 1", entry.get("score"))
            return
        mask = entry.get("segmentation") or None
        if mask is not None and not isinstance(mask, dict):
            self._bad.add("mask", where, 'run lengths, {"size", "counts"}', "a polygon" if isinstance(mask, list) else mask)
            return
        box = self._box(entry, mask, image, where)
        if box is not None:
            self._rows.add(image, label, score, box, where, mask)

    def _image(self, given):
        """An id, its file's name where `files` knows that; a text may be the file's name itself."""
        if self._files is not None:
            name = self._files.get(given if _whole(given) else None)
            return None if name is None else self._images.by_name(name)
        if _whole(given):
            return self._images.by_id(given)
        if not isinstance(given, str):
            return None
        return self._images.by_name(given) or (self._images.by_id(int(given)) if given.isdecimal() and len(given) < 19 else None)

    def _label(self, entry, where):
        given = entry.get("category_id")
        label = self._classes.of_id(given) if _whole(given) else None
        if label is None:
            self._bad.add(
                "unknown class", where, "a class of the dataset", "category_id %s" % self._classes.told(given) if _whole(given) else given
            )
        return label

    def _box(self, entry, mask, image, where):
        """(ymin, xmin, ymax, xmax) as fractions, of the mask where there is no bbox; None where it is told."""
        given = entry.get("bbox")
        if given is None and mask is not None:
            return self._rows.box_of(mask, image, where)
        numbers = [_number(value) for value in given] if isinstance(given, list) else []
        if len(numbers) != 4 or None in numbers:
            self._bad.add("box", where, "bbox [x, y, width, height] in pixels", given)
            return None
        x, y, width, height = numbers
        return y / image.height, x / image.width, (y + height) / image.height, (x + width) / image.width


def read_files(path):
    """{image_id: file's name} of COCO JSON with `images`. Raises StageError."""
    files = {}
    for key, number, value in elements(path):
        if key != "images" or not number:
            continue
        where = "%s: image %d" % (path, number)
        if not isinstance(value, dict) or not _whole(value.get("id")) or not isinstance(value.get("file_name"), str):
            raise StageError("an image has no id or file_name", where, '{"id": 1, "file_name": "a.jpg"}', str(value)[:80], "correct it")
        if files.setdefault(value["id"], value["file_name"]) != value["file_name"]:
            raise StageError("two images have one id", where, "each id once", value["id"], "correct it")
    if not files:
        raise StageError("the file tells no images", path, "COCO JSON with `images`", "none", "check `images`")
    return files


def _whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value):
    """A finite float of a JSON number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
