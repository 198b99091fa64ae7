"""What only all records together tell: the same id or image twice, a label with two texts, objects of each class."""

import hashlib
from collections import Counter

from check_report import Problem
from record_image import ERROR, NOTE, WARNING

from _detection.record_folder import split_of
from _detection.tfrecord_reader import shard_of

_PLACES = 1 << 40  # more records than a file has


class Comparisons:
    """Takes the facts of records in order; holds some hundred bytes for each."""

    def __init__(self):
        self._files = []
        self._sources, self._images = {}, {}
        self._texts, self._ids = {}, {}
        self._objects, self._in_images = Counter(), Counter()
        self._labels = {}
        self._unknown = {}

    def add(self, path, file, facts):
        """Problems that the records of `file` have with those before. facts: list of (number, offset, Facts)."""
        if not self._files or self._files[-1][0] != file:
            shard = shard_of(path.name)
            self._files.append((file, split_of(path) or (str(path.parent), shard.family if shard else path.name)))
        for number, offset, told in facts:
            place = (len(self._files) - 1) * _PLACES + number
            for level, code, message in self._compare(place, told):
                yield Problem(level, code, file, number, offset, message)
            for (label, text), name in zip(told.objects, told.classes, strict=True):
                self._objects[name] += 1
                if label is not None:
                    self._labels.setdefault(name, label)
                if label is not None and label > 0 and text is not None:
                    self._texts.setdefault(label, {}).setdefault(text, (file, number, offset))
                    self._ids.setdefault(text, {}).setdefault(label, (file, number, offset))
            self._in_images.update(set(told.classes))
            for name in told.unknown:
                self._unknown.setdefault(name, [0, (file, number, offset)])[0] += 1

    def _compare(self, place, told):
        split = self._files[-1][1]
        if told.source is not None:
            before = self._sources.setdefault(_key(repr(split).encode(), told.source), place)
            if before != place:
                yield (
                    ERROR,
                    "duplicate-id",
                    "its image/source_id %s is that of %s too: evaluation counts one of them"
                    % (
                        repr(told.source.decode("utf-8", "backslashreplace")[:60]),
                        self._told(before),
                    ),
                )
        if told.digest is not None:
            before = self._images.setdefault(_key(told.digest), place)
            if before != place and self._files[before // _PLACES][1] == split:
                yield WARNING, "duplicate", "its image is that of %s too" % self._told(before)
            elif before != place:
                message = "its image is that of %s too: what is trained on must not be measured on"
                yield ERROR, "duplicate-across-splits", message % self._told(before)

    def _told(self, place):
        return "record %d of %s" % (place % _PLACES, self._files[place // _PLACES][0])

    def ends(self):
        """Problems that show when all records are known."""
        for label, texts in sorted(self._texts.items()):
            if len(texts) > 1:
                yield Problem(ERROR, "text-differs", *list(texts.values())[1], "the label %d has several texts: %s" % (label, _list(texts)))
        for text, labels in sorted(self._ids.items()):
            if len(labels) > 1:
                yield Problem(
                    ERROR, "text-differs", *list(labels.values())[1], "the text %s has several labels: %s" % (text, _list(labels))
                )
        for name, (number, place) in sorted(self._unknown.items()):
            yield Problem(NOTE, "feature-unknown", *place, "%s, in %d records, is nothing that the API knows" % (name, number))

    def classes(self):
        """[{"class", "label", "objects", "images"}], by label and name."""
        names = sorted(self._objects, key=lambda name: (self._labels.get(name, 1 << 63), name))
        return [
            {"class": name, "label": self._labels.get(name), "objects": self._objects[name], "images": self._in_images[name]}
            for name in names
        ]


def _list(values):
    return ", ".join(str(value) for value in list(values)[:5]) + (", …" if len(values) > 5 else "")


def _key(*parts):
    """A number that stands for the bytes: a set of millions must stay small."""
    return int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=12).digest(), "big")
