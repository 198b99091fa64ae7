"""What became of each object and each detection at one threshold, image by image, and what that adds up to."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from best_scores import short
from error_kinds import KINDS, confusions, error_kind, missed
from pycocotools import mask as coco_mask

# Of an object's area in its image's: limits of the bins in which recall is told.
AREA_BINS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_PIXEL_DIGITS = 2


class Taken(NamedTuple):
    """A model's detections of a score of the threshold or higher, by image and falling score.

    images, categories, scores, boxes: as in `detected.Detected`; matched, ignored: as in `coco_classes.ClassResult`.
    """

    images: Any
    categories: Any
    scores: Any
    boxes: Any
    matched: Any
    ignored: Any

    def of(self, image):
        """Those of an image's id."""
        start, end = np.searchsorted(self.images, [image, image + 1])
        return Taken(*(column[start:end] for column in self))


class ImageTruth(NamedTuple):
    """An image's objects: first: id of the first annotation; categories: int [n]; boxes: float64 [n, 4], x, y, width, height in pixels;
    ignored: bool [n], crowds and groups; shares: float64 [n], of the image's area.
    """

    first: int
    categories: Any
    boxes: Any
    ignored: Any
    shares: Any


def taken(detected, results, threshold):
    """`Taken` of a model. detected: `detected.Detected`; results: its `coco_classes.ClassResult`s; threshold: compared as float32."""
    rows, matched, ignored = (np.concatenate([getattr(each, name) for each in results]) for name in ("rows", "matched", "ignored"))
    scores = detected.scores[rows]
    order = np.lexsort((rows, -scores, detected.images[rows]))
    order = order[scores[order] >= np.float32(threshold)]
    rows = rows[order]
    return Taken(
        detected.images[rows], detected.categories[rows], detected.scores[rows], detected.boxes[rows], matched[order], ignored[order]
    )


def image_truths(truth):
    """(image, `ImageTruth`) of each image of a COCO dict, in order of ids."""
    objects = {image["id"]: [] for image in truth["images"]}
    for annotation in truth["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    for image in truth["images"]:
        own = objects[image["id"]]
        yield (
            image,
            ImageTruth(
                own[0]["id"] if own else 0,
                np.array([each["category_id"] for each in own], int),
                np.array([each["bbox"] for each in own], float).reshape(-1, 4),
                np.array([each["iscrowd"] for each in own], bool),
                np.array([each["area"] for each in own], float) / (image["width"] * image["height"]),
            ),
        )


class Outcome:
    """What became of an image's objects and of a model's detections in it.

    kinds, places: of each detection, its kind ("correct", an error's, or "ignored") and the object that it is about, or None; missed:
    places of objects; found: bool [n], of each object; confused: [(category of an object, or None; category of a detection, or None)].
    """

    def __init__(self, truth, own):
        """truth: `ImageTruth`; own: the image's `Taken`."""
        regular = np.flatnonzero(~truth.ignored)
        right = (own.matched > 0) & ~own.ignored
        self.found = np.zeros(len(truth.categories), bool)
        self.found[own.matched[right] - truth.first] = True
        false = np.flatnonzero(~right & ~own.ignored)
        overlaps = _overlaps(own.boxes[false], truth.boxes[regular])
        objects, hits = truth.categories[regular], self.found[regular]
        errors = [error_kind(own.categories[each], overlaps[row], objects) for row, each in enumerate(false)]
        self.kinds = ["ignored" if each else "correct" for each in own.ignored]
        self.places = [int(number) - truth.first if number else None for number in own.matched]
        for each, (kind, place) in zip(false, errors, strict=True):
            self.kinds[each], self.places[each] = kind, None if place is None else int(regular[place])
        self.missed = [int(regular[place]) for place in missed(hits, errors)]
        self.confused = list(_confused(own.categories, right, false, overlaps, objects, hits))


def _overlaps(boxes, objects):
    """IoU [k, m] of boxes (xmin, ymin, xmax, ymax) with objects (x, y, width, height)."""
    if not len(boxes) or not len(objects):
        return np.zeros((len(boxes), len(objects)))
    sized = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return coco_mask.iou(sized, objects, [0] * len(objects))


def _confused(categories, right, false, overlaps, objects, hits):
    """Each object and each detection that counts once, as (object's category or None, detection's category or None)."""
    pairs = confusions(categories[false], overlaps, objects, hits)
    paired, taken_for = {row for row, _ in pairs}, {place for _, place in pairs}
    for category in categories[right]:
        yield category, category
    for row, place in pairs:
        yield objects[place], categories[false[row]]
    for row, each in enumerate(false):
        if row not in paired:
            yield None, categories[each]
    for place, category in enumerate(objects):
        if not hits[place] and place not in taken_for:
            yield category, None


class Tally:
    """Sums of a model's `Outcome`s."""

    def __init__(self, classes):
        self._classes = list(classes)
        self._confusion = np.zeros((len(classes) + 1, len(classes) + 1), int)
        self._kinds = Counter()
        self._bins = np.zeros((2, len(AREA_BINS) - 1), int)

    def add(self, truth, outcome):
        """Count an image in."""
        background = len(self._classes) + 1
        for row, column in outcome.confused:
            self._confusion[(row or background) - 1, (column or background) - 1] += 1
        self._kinds.update(outcome.kinds)
        self._kinds["missed"] += len(outcome.missed)
        bins = np.digitize(truth.shares, AREA_BINS[1:-1])
        for row, chosen in enumerate((~truth.ignored, outcome.found)):
            self._bins[row] += np.bincount(bins[chosen], minlength=self._bins.shape[1])

    def values(self):
        """{"confusion", "area_bins", "errors"}, as metrics.json has them."""
        limits = zip(AREA_BINS, AREA_BINS[1:], strict=False)
        return {
            "confusion": {"labels": [*self._classes, "background"], "counts": self._confusion.tolist()},
            "area_bins": [
                {"from": low, "to": high, "objects": int(objects), "found": int(found)}
                for (low, high), objects, found in zip(limits, *self._bins, strict=True)
            ],
            "errors": {kind: self._kinds[kind] for kind in KINDS},
        }


def match_lines(truth, models, classes):
    """({name: its `Tally`, complete at the end}, a generator of the lines of matches.jsonl as dicts, in order of the images' ids).

    truth: a COCO dict; models: {name: `Taken`}; classes: names.
    """
    tallies = {name: Tally(classes) for name in models}
    return tallies, _lines(truth, models, classes, tallies)


def _lines(truth, models, classes, tallies):
    for image, own in image_truths(truth):
        line = {"id": image["id"], "truth": list(_truth_rows(own, classes)), "models": {}}
        for name, each in models.items():
            detections = each.of(image["id"])
            outcome = Outcome(own, detections)
            tallies[name].add(own, outcome)
            line["models"][name] = {"found": list(_found_rows(detections, outcome, classes)), "missed": outcome.missed}
        yield line


def _truth_rows(own, classes):
    corners = np.concatenate([own.boxes[:, :2], own.boxes[:, :2] + own.boxes[:, 2:]], axis=1)
    for category, box, ignored in zip(own.categories, corners, own.ignored, strict=True):
        yield {"class": classes[category - 1], "bbox": _pixels(box), "ignored": bool(ignored)}


def _found_rows(own, outcome, classes):
    for place, category in enumerate(own.categories):
        row = {"class": classes[category - 1], "score": short(own.scores[place]), "bbox": _pixels(own.boxes[place])}
        yield {**row, "kind": outcome.kinds[place], "truth": outcome.places[place]}


def _pixels(box):
    return [round(value, _PIXEL_DIGITS) for value in box.tolist()]
