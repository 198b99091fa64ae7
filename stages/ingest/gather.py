"""Reading all sources in worker processes, and putting the parts together into one table."""

from typing import NamedTuple

import numpy as np
from audit.problems import printable
from layouts import BY_NAME
from tables import FRACTION

from _detection.workers import ordered_map


class Table(NamedTuple):
    """All annotations. images: list of tables.Image; source: int32 [images], place in the list of sources.

    Objects in columns, in the sources' order: image (row), label (place in `names`), box [n, 4] (in pixels, or where
    `fraction`, bool [n], as fractions of the image), flags, line, number as in tables.Part; extra: {object's row: dict}.
    """

    images: list
    source: np.ndarray
    names: list
    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    fraction: np.ndarray
    flags: np.ndarray
    line: np.ndarray
    number: np.ndarray
    extra: dict


def read_sources(layout, sources, places, scratch, processes, progress, audit):
    """The `Table` of all sources. scratch: a folder for files that a reader makes; findings go to `audit`. Raises StageError."""
    usable = [_with_usable_names(source, places, audit) for source in sources]
    jobs = [(number, job) for number, source in enumerate(usable) for job in layout.jobs(source, places, scratch)]
    merger = _Merger(layout.merges)
    parts = ordered_map(_read, [(layout.name, job) for _, job in jobs], processes, chunk=1)
    for done, ((number, _), part) in enumerate(zip(jobs, parts, strict=True), 1):
        audit.replay(part.findings.items)
        merger.add(number, part, audit)
        progress(done, len(jobs), "part")
    return merger.table()


def _with_usable_names(source, places, audit):
    """The source without files whose names cannot be written down."""
    odd = [path for path in source.files if printable(str(path)) != str(path)]
    for path in odd:
        audit.bad("name-not-utf8", places.relative(path), "the file's name is not UTF-8: rename it")
    left_out = set(odd)
    return source._replace(files=[path for path in source.files if path not in left_out]) if odd else source


def _read(job):
    name, work = job
    return BY_NAME[name].read(work)


class _Merger:
    """Joins parts: rows of images of the same name in a source become one where the layout merges them."""

    def __init__(self, merges):
        self.merges = merges
        self.images, self.source, self.names = [], [], {}
        self.columns = {name: [] for name in ("image", "label", "box", "fraction", "flags", "line", "number")}
        self.extra, self.objects = {}, 0
        self._rows = {}

    def add(self, source, part, audit):
        rows = np.array([self._row(source, image, audit) for image in part.images], np.int32)
        labels = np.array([self.names.setdefault(name, len(self.names)) for name in part.names], np.int32)
        number = len(part.label)
        columns = self.columns
        columns["image"].append(rows[part.image] if number else part.image)
        columns["label"].append(labels[part.label] if number else part.label)
        columns["fraction"].append(np.full(number, part.unit == FRACTION))
        for name in ("box", "flags", "line", "number"):
            columns[name].append(getattr(part, name))
        self.extra.update({self.objects + row: extra for row, extra in part.extra.items()})
        self.objects += number

    def _row(self, source, image, audit):
        if self.merges:
            row = self._rows.setdefault((source, image.name), len(self.images))
            if row < len(self.images):
                self.images[row] = joined(self.images[row], image, audit)
                return row
        self.images.append(image)
        self.source.append(source)
        return len(self.images) - 1

    def table(self):
        empty = {"box": np.empty((0, 4), np.float64), "fraction": np.empty(0, bool), "flags": np.empty(0, np.uint8)}
        joined = {name: np.concatenate(parts) if parts else empty.get(name, np.empty(0, np.int32)) for name, parts in self.columns.items()}
        return Table(self.images, np.array(self.source, np.int32), list(self.names), extra=self.extra, **joined)


def one_row_each(table, paths, audit):
    """(table, paths) in which a file that a source names in several ways (a.jpg, A.JPG, a) is one image. paths: of each image, or None."""
    firsts, target = {}, np.arange(len(paths), dtype=np.int32)
    for row, path in enumerate(paths):
        if path is not None:
            target[row] = firsts.setdefault((int(table.source[row]), path), row)
    again = np.nonzero(target != np.arange(len(paths)))[0].tolist()
    if not again:
        return table, paths
    images, paths = list(table.images), list(paths)
    for row in again:
        images[target[row]] = joined(images[target[row]], images[row], audit)
        paths[row] = None
    return table._replace(images=images, image=target[table.image]), paths


def joined(before, image, audit):
    """One image of two rows: the size that both declare, the labels of both."""
    labels = before.labels if image.labels is None else (before.labels or ()) + image.labels
    if (image.width, image.height) not in ((0, 0), (before.width, before.height)):
        if before.width > 0:
            audit.doubt("size-unclear", image.file, "the image's lines declare several sizes; the file's own was taken", image.line)
            return before._replace(width=-1, height=-1, labels=labels)
        if before.width == 0:
            return before._replace(width=image.width, height=image.height, labels=labels)
    return before._replace(labels=labels, path=before.path or image.path)
