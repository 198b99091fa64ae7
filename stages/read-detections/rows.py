"""Detections in columns, as they are read, and then for each image in order of their scores."""

from array import array

import numpy as np
from pycocotools import mask as coco_mask

from _detection import rle as rles
from _detection.postprocess import Detections

_FAR = 2.0  # a box whose corners are that many sides of the image away is most likely in another unit


class Rows:
    """images: `SplitImages`; bad: `BadRows`. Boxes are kept as float32 fractions of the image's sides, ymin, xmin, ymax, xmax."""

    def __init__(self, images, bad):
        self._images, self._bad = images, bad
        self._place, self._label, self._score, self._box = array("i"), array("i"), array("f"), array("f")
        self._masks, self._first_without, self._without = {}, None, 0

    def __len__(self):
        return len(self._place)

    def add(self, image, label, score, box, where, mask=None):
        """One detection, after checking it. box: ymin, xmin, ymax, xmax as fractions; label: from 0; mask: run-length encoding, or None."""
        kind = self._wrong(score, box)
        if kind is not None:
            self._bad.add(kind[0], where, *kind[1:])
            return
        counts = None
        if mask is not None:
            try:
                counts = _packed(mask, image)
            except rles.MaskError as error:
                self._bad.add("mask", where, "run lengths of %d x %d pixels" % (image.width, image.height), str(error))
                return
        if counts is not None:
            self._masks[len(self._place)] = counts
        else:
            self._first_without, self._without = self._first_without or where, self._without + 1
        self._place.append(image.place)
        self._label.append(label)
        self._score.append(score)
        self._box.extend(box)

    def box_of(self, mask, image, where):
        """The box around a mask's pixels, as `add` takes it; None where there is none, which is told."""
        try:
            x, y, width, height = _box_around(_packed(mask, image), image)
        except rles.MaskError as error:
            self._bad.add("mask", where, "run lengths of %d x %d pixels" % (image.width, image.height), str(error))
            return None
        return y / image.height, x / image.width, (y + height) / image.height, (x + width) / image.width

    @staticmethod
    def _wrong(score, box):
        """(kind, expected, found) of what is wrong with numbers, or None."""
        if not 0 <= score <= 1:
            return "score", "0 to 1", score
        if not all(-1e30 < value < 1e30 for value in box):
            return "box", "four numbers", box
        if box[0] > box[2] or box[1] > box[3]:
            return "box turned round", "xmin <= xmax and ymin <= ymax", box
        return None

    @property
    def masked(self):
        """Whether detections have masks."""
        return bool(self._masks)

    def check_whole(self):
        """Tell where some detections have masks and others not; each detection of a split has one, or none has."""
        if self._masks and self._without:
            self._bad.add("mask missing", self._first_without, "a mask, as other detections have", "%d without" % self._without)

    def far_away(self):
        """How many boxes have corners so far out of their image that their unit must be another one."""
        boxes = np.frombuffer(self._box, np.float32)
        return int((np.abs(boxes.reshape(-1, 4)) > _FAR).any(axis=1).sum()) if len(boxes) else 0

    def tiny(self):
        """Whether there are boxes, and all are smaller than two pixels: fractions that were taken for pixels, most likely."""
        if not len(self):
            return False
        largest = 2 / min(min(image.width, image.height) for image in self._images.all())
        return bool(np.frombuffer(self._box, np.float32).max() <= largest)

    def of_images(self):
        """(`Detections`, masks as run-length encodings or None) of each image of the split, in its order, highest score first."""
        place, label = (np.frombuffer(column, np.int32) if column else np.zeros(0, np.int32) for column in (self._place, self._label))
        score, box = (np.frombuffer(column, np.float32) if column else np.zeros(0, np.float32) for column in (self._score, self._box))
        box = box.reshape(-1, 4)
        order = np.lexsort((-score, place))  # stable: of equal scores the first
        edges = np.searchsorted(place[order], np.arange(self._images.count + 1))
        for image, start, end in zip(self._images.all(), edges[:-1], edges[1:]):
            chosen = order[start:end]
            masks = [{"size": [image.height, image.width], "counts": self._masks[row]} for row in chosen.tolist()] if self._masks else None
            yield Detections(box[chosen], label[chosen].astype(np.int64), score[chosen]), masks


def _box_around(counts, image):
    """(x, y, width, height) in pixels of the pixels that are the object's. Raises MaskError where there are none."""
    packed = {"size": [image.height, image.width], "counts": counts.encode("ascii")}
    if not coco_mask.area(packed):
        raise rles.MaskError("a mask without a pixel")
    return coco_mask.toBbox(packed).tolist()


def _packed(mask, image):
    """The compressed counts of a run-length encoding of either form. Raises MaskError where it is not one of the image's size."""
    height, width, _ = rles.run_lengths(mask)
    if (width, height) != (image.width, image.height):
        raise rles.MaskError("a mask of %d x %d pixels" % (width, height))
    counts = mask["counts"]
    if isinstance(counts, (list, tuple)):
        counts = rles.encode(rles.decode(mask))["counts"]
    return counts.decode("ascii") if isinstance(counts, bytes) else counts
