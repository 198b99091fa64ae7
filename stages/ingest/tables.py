"""What a reader makes of a piece of annotations: columns of images and of objects, because two million boxes must fit in memory.

A reader is a function of a job to a `Part`; jobs run in worker processes, and parts are put together in the jobs' order.
"""

from typing import NamedTuple, Optional

import numpy as np
from audit.findings import Findings

CORNERS = ("xmin", "ymin", "xmax", "ymax")
# Bits of `Part.flags`, in the order of dataset.FLAGS.
DIFFICULT, TRUNCATED, GROUP_OF, CROWD, OCCLUDED, DEPICTION = 1, 2, 4, 8, 16, 32
PIXELS, FRACTION = "pixels", "fraction"


class Image(NamedTuple):
    """An image as an annotation names it.

    name: as written, with slashes; looked for in the source's image folders, with and without an image's extension.
    stem: of the annotation file, tried where there is no such image; "" for none.
    file: the annotation file, relative to the dataset's folder; line: where the image is named, from 1, or 0.
    width, height: declared, in pixels; 0 where they are not.
    path: where the image file is, if the reader knows; else None.
    labels: of the image as a whole, (class name, whether it is there); None for none.
    """

    name: str
    file: str
    line: int = 0
    width: int = 0
    height: int = 0
    stem: str = ""
    path: Optional[str] = None
    labels: Optional[tuple] = None


class Part(NamedTuple):
    """A piece of the annotations of one split.

    images: list of Image. An image may have rows in several parts only where the layout `merges` (see layouts/__init__.py).
    names: list of class names that `label` counts in, from 0.
    image, label: int32 [n], row of `images`, place in `names`.
    box: float64 [n, 4], CORNERS; edges in pixels of the image, or, with unit FRACTION, fractions of its width and height.
    flags: uint8 [n]. line: int32 [n], in the image's annotation file, from 1, or 0. number: int32 [n], of the object in its file
    (or among its image's lines), from 1.
    extra: {object's row: {"mask": …, "view": text, "weight": float}}, of the few that have any; masks.py says what a mask is.
    findings: what the reader found wrong; a row that it judged unusable is not among the objects.
    """

    unit: str
    images: list
    names: list
    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    flags: np.ndarray
    line: np.ndarray
    number: np.ndarray
    extra: dict
    findings: Findings


class PartBuilder:
    """A `Part` made row by row, for the layouts that have a file for each image."""

    def __init__(self, unit=PIXELS):
        self.unit = unit
        self.findings = Findings()
        self._images = []
        self._names = {}
        self._rows = []
        self._extra = {}

    def image(self, image):
        """Add an `Image`; its row."""
        self._images.append(image)
        return len(self._images) - 1

    def object(self, image, label, box, line=0, number=0, flags=0, **extra):
        """Add an object of the image in row `image`. box: four numbers, CORNERS in `unit`; extra: mask, view, weight; None is left out."""
        extra = {name: value for name, value in extra.items() if value is not None}
        if extra:
            self._extra[len(self._rows)] = extra
        self._rows.append((image, self._names.setdefault(label, len(self._names)), *box, flags, line, number))

    def finish(self):
        """The `Part`."""
        columns = list(zip(*self._rows, strict=True)) or [()] * 9
        return Part(
            self.unit,
            self._images,
            list(self._names),
            np.array(columns[0], np.int32),
            np.array(columns[1], np.int32),
            np.array(columns[2:6], np.float64).T.reshape(-1, 4),
            np.array(columns[6], np.uint8),
            np.array(columns[7], np.int32),
            np.array(columns[8], np.int32),
            self._extra,
            self.findings,
        )
