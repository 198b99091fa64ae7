"""Detections in a CSV as Open Images' challenges take them: boxes as fractions, or masks.

Columns, in any order and case: ImageID (the file's name without its ending), LabelName, Score (or Conf, Confidence), then
XMin, XMax, YMin, YMax, or ImageWidth, ImageHeight, Mask: COCO's compressed run lengths, packed by zlib and then base64
(https://storage.googleapis.com/openimages/web/challenge2019.html).
"""

import base64
import binascii
import csv
import math
import zlib

from _runtime import StageError

_LONGEST_CELL = 1 << 26
_LARGEST_MASK = 1 << 24  # bytes of run lengths
_SCORES = ("score", "conf", "confidence")
_BOX = ("xmin", "xmax", "ymin", "ymax")
_MASK = ("imagewidth", "imageheight", "mask")


class OpenImagesReader:
    """images: `SplitImages`; classes: `ClassNames`; rows: `Rows`; bad: `BadRows`."""

    def __init__(self, images, classes, rows, bad):
        self._images, self._classes, self._rows, self._bad = images, classes, rows, bad

    def read(self, path):
        """Add all detections of a file. Raises StageError where it is no such table."""
        csv.field_size_limit(_LONGEST_CELL)
        try:
            with open(str(path), encoding="utf-8-sig", newline="") as stream:
                self._read(csv.reader(stream), path)
        except OSError as error:
            raise StageError("the CSV cannot be read: %s" % error.strerror, path, "a file", None, "check the path") from None
        except UnicodeDecodeError as error:
            found = "the byte 0x%02x" % error.object[error.start]
            raise StageError("the CSV is not UTF-8", path, "UTF-8 text", found, "save it as UTF-8") from None

    def _read(self, lines, path):
        places, header = None, []
        while True:
            where = "%s:%d" % (path, lines.line_num + 1)
            try:
                cells = next(lines, None)
            except csv.Error as error:
                raise StageError("the CSV cannot be read", where, "cells with commas between them", error, "correct that line") from None
            if cells is None:
                break
            if places is None:
                places, header = columns(cells, path), cells
            elif not any(cell.strip() for cell in cells):
                continue
            elif len(cells) != len(header):
                self._bad.add("cells", where, "%d cells, as in the first line" % len(header), "%d cells" % len(cells))
            else:
                self._row({name: cells[place].strip() for name, place in places.items()}, where)
        if places is None:
            raise StageError("the CSV is empty", path, "ImageID,LabelName,Score,XMin,XMax,YMin,YMax", "nothing", "check `path`")

    def _row(self, row, where):
        image, label, score = self._images.by_name(row["imageid"]), self._classes.of_code(row["labelname"]), _number(row["score"])
        if image is None:
            self._bad.add("unknown image", where, "an image of the split", "ImageID %s" % row["imageid"])
        elif label is None:
            self._bad.add(
                "unknown class",
                where,
                "a class of the dataset, or a code that `categories` names",
                "LabelName %s" % self._classes.told(row["labelname"]),
            )
        elif score is None:
            self._bad.add("score", where, "a number from 0 to 1", row["score"])
        else:
            self._add(image, label, score, row, where)

    def _add(self, image, label, score, row, where):
        mask = None
        if row.get("mask"):
            try:
                mask = _unpacked(row)
            except (ValueError, zlib.error) as error:
                self._bad.add("mask", where, "run lengths, packed by zlib and base64, and their size", str(error))
                return
        if "xmin" not in row or (mask is not None and not any(row[name] for name in _BOX)):
            box = None if mask is None else self._rows.box_of(mask, image, where)
            if mask is None:
                self._bad.add("mask missing", where, "a mask or a box", "neither")
        else:
            box = [_number(row[name]) for name in ("ymin", "xmin", "ymax", "xmax")]
            if None in box:
                self._bad.add("box", where, "four numbers", ", ".join("%s %s" % (name, row[name] or "missing") for name in _BOX))
                return
        if box is not None:
            self._rows.add(image, label, score, box, where, mask)


def columns(header, path):
    """{name: place} of the columns that are read, the score's called score. Raises StageError where one is missing, or there twice."""
    names = [cell.strip().lower() for cell in header]
    score = [name for name in _SCORES if name in names]
    has_box, has_mask = (all(name in names for name in group) for group in (_BOX, _MASK))
    wanted = ["imageid", "labelname", *score[:1], *(_BOX if has_box else ()), *(_MASK if has_mask else ())]
    missing = [name for name in wanted if name not in names]
    if missing or not score or not (has_box or has_mask) or any(names.count(name) > 1 for name in wanted):
        raise StageError(
            "the CSV is not one of detections",
            "%s:1" % path,
            "ImageID, LabelName, Score and XMin, XMax, YMin, YMax or ImageWidth, ImageHeight, Mask, each once",
            ", ".join(header)[:200],
            "write these columns",
        )
    return {("score" if name in _SCORES else name): names.index(name) for name in wanted}


def _unpacked(row):
    """The run-length encoding of a row's mask. Raises ValueError or zlib.error."""
    try:
        packed = base64.b64decode(row["mask"], validate=True)
    except binascii.Error as error:
        raise ValueError("base64: %s" % error) from None
    unpacking = zlib.decompressobj()
    counts = unpacking.decompress(packed, _LARGEST_MASK)
    if not unpacking.eof:
        raise ValueError("zlib: cut short, or more than %d MiB" % (_LARGEST_MASK >> 20))
    if not (row["imagewidth"].isdecimal() and row["imageheight"].isdecimal()):
        raise ValueError("ImageWidth %s, ImageHeight %s" % (row["imagewidth"], row["imageheight"]))
    return {"size": [int(row["imageheight"][:9]), int(row["imagewidth"][:9])], "counts": counts}


def _number(text):
    """The finite float that a cell holds, or None."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
