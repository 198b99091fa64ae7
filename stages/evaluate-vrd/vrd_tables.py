"""Open Images' tables of visual relationships, as the challenge's programs read them: relations, image-level labels, predictions.

Columns: metrics/oid_vrd_challenge_evaluation_utils.py of the wheel tf-object-detection 0.0.3. That reads them with pandas, which the image
does not have; the values that come out are the same.
"""

from array import array
from typing import Any, NamedTuple

import numpy as np
from vrd_csv import edges, number, read_rows

from _runtime import StageError

RELATIONS, LABELS, PREDICTIONS = "ground-truth relations", "image-level labels", "predictions"
_NAMES = ["ImageID", "LabelName1", "LabelName2", "RelationshipLabel"]
_SIDES = [("YMin1", "YMax1"), ("XMin1", "XMax1"), ("YMin2", "YMax2"), ("XMin2", "XMax2")]
_CORNERS = [0, 2, 1, 3, 4, 6, 5, 7]  # from `_SIDES` to ymin, xmin, ymax, xmax of the subject, then of the object
_COLUMNS = [*_NAMES, *(column for side in _SIDES for column in side)]
_TRUE, _FOUND = (0.0, 1.0), (-1.0, 2.0)  # where edges may lie: a model's box may stick out, one in pixels does so by far more
_SHOWN = 8


class Tuples(NamedTuple):
    """Relations of one image. boxes: float64 [n, 8], ymin, xmin, ymax, xmax of the subject and of the object, 1.0 being the image's side;
    labels: int32 [n, 3], ids of subject, object, relationship; scores: float64 [n], None for ground truth.
    """

    boxes: Any
    labels: Any
    scores: Any


class Table:
    """Relations of many images, as columns, so that millions fit into memory."""

    def __init__(self, scored):
        self._images, self._codes = {}, array("i")
        self._boxes, self._labels, self._scores = array("d"), array("i"), array("d") if scored else None
        self._sorted = None

    def add(self, image, boxes, labels, score=None):
        """Append a relation; see `Tuples`."""
        self._codes.append(self._images.setdefault(image, len(self._images)))
        self._boxes.extend(boxes)
        self._labels.extend(labels)
        if self._scores is not None:
            self._scores.append(score)

    @property
    def rows(self):
        """How many relations there are."""
        return len(self._codes)

    @property
    def images(self):
        """The names of the images that have one, a set."""
        return set(self._images)

    def of(self, image):
        """The `Tuples` of an image in the order in which they were added, none where the table lacks it. Nothing may be added any more."""
        if self._sorted is None:
            self._sort()
        code = self._images.get(image)
        first, last = (0, 0) if code is None else self._starts[code : code + 2]
        return Tuples(*[None if column is None else column[first:last] for column in self._sorted])

    def _sort(self):
        codes = np.array(self._codes, np.int32)
        order = np.argsort(codes, kind="mergesort")  # stable
        self._starts = np.searchsorted(codes[order], np.arange(len(self._images) + 1))
        scores = None if self._scores is None else np.array(self._scores, float)[order]
        self._sorted = Tuples(
            np.array(self._boxes, float).reshape(-1, 8)[order], np.array(self._labels, np.int32).reshape(-1, 3)[order], scores
        )


def read_relations(path, classes, relationships):
    """The `Table` of the ground truth. classes, relationships: `vrd_names.Names`. Raises StageError naming file and line."""
    table = Table(scored=False)
    for line, (image, subject, object_, relationship, *sides) in read_rows(path, RELATIONS, _COLUMNS):
        where = "%s:%d" % (path, line)
        labels = (classes.of_truth(subject, where), classes.of_truth(object_, where), relationships.of_truth(relationship, where))
        table.add(_image(image, where), _boxes(sides, where, *_TRUE), labels)
    if not table.rows:
        raise StageError("the %s have no relation" % RELATIONS, path, "one line or more below the header", 0, "give the right file")
    return table


def read_labels(path, classes):
    """{image: [class id]} of the classes that somebody looked for in an image, found or not. Raises StageError naming file and line."""
    found = {}
    for line, (image, name, confidence) in read_rows(path, LABELS, ["ImageID", "LabelName", "Confidence"]):
        where = "%s:%d" % (path, line)
        if number(confidence, where, "Confidence") not in (0.0, 1.0):
            raise StageError(
                "an image-level label is not verified",
                "%s, Confidence" % where,
                "1 (there) or 0 (not there)",
                confidence,
                "give the labels that people verified, not those that a machine made",
            )
        found.setdefault(_image(image, where), []).append(classes.of_truth(name, where))
    return found


def read_predictions(path, classes, relationships, images, ignore):
    """(`Table`, number of predictions left out) of a model. images: names of the ground truth's; ignore: whether predictions for others are
    left out, as the protocol leaves them out, or are an error. Raises StageError naming file and line.
    """
    table, left_out = Table(scored=True), 0
    for line, (image, subject, object_, relationship, score, *sides) in read_rows(path, PREDICTIONS, [*_NAMES, "Score", *_COLUMNS[4:]]):
        where = "%s:%d" % (path, line)
        labels = [classes.of_prediction(name, where) for name in (subject, object_)] + [relationships.of_prediction(relationship, where)]
        values = _boxes(sides, where, *_FOUND), labels, number(score, where, "Score")
        if _image(image, where) in images:
            table.add(image, *values)
        elif ignore:
            left_out += 1
        else:
            raise StageError(
                "a prediction is of an image that the ground truth lacks",
                "%s, ImageID" % where,
                "one of %d images, such as %s" % (len(images), ", ".join(sorted(images)[:_SHOWN])),
                image,
                "mend the ImageID, give the image-level labels of all images, or set `unknown_images: ignore`",
            )
    return table, left_out


def _image(name, where):
    if not name:
        raise StageError(
            "a line names no image", "%s, ImageID" % where, "an image's id", "nothing", "mend the line, or make the file again"
        )
    return name


def _boxes(texts, where, least, most):
    values = [edge for place, side in enumerate(_SIDES) for edge in edges(texts[2 * place : 2 * place + 2], where, side, least, most)]
    return [values[place] for place in _CORNERS]
