"""What a COCO file lists besides its annotations, and where these are in it: one pass, whatever the order of its sections.

Format: https://cocodataset.org/#format-data. Ids are whole numbers there; texts are taken, too.
"""

import hashlib
from array import array
from typing import NamedTuple

import numpy as np
from audit.findings import Findings
from formats.json_elements import JsonElements, shown, writable
from pictures.image_files import clean_name

from _runtime import StageError

_CHUNK = 4 << 20  # bytes of annotations in a piece
_LARGEST = 1 << 62
_SECTIONS = ("images", "annotations", "categories")
# What tells files of the same form that hold no boxes: a key of their annotations, and what they are.
_OTHERS = (("caption", "captions (sentences about whole images)"), ("segments_info", "panoptic segments, whose masks are in PNG files"))
EXPECTED = "a file with boxes, as instances_SPLIT.json"
CHOOSE = "name the file with the boxes in the pipeline, or download it: `splits: {train: {annotations: annotations/instances_train.json}}`"


class Piece(NamedTuple):
    """Annotations that follow each other: start, end: bytes in the file; first: the first one's number, from 1."""

    start: int
    end: int
    first: int


class CocoIndex(NamedTuple):
    """classes: names in the order of the categories' ids; categories: {key_of(id): name}; images: `ImageList`; pieces: list of `Piece`."""

    classes: list
    categories: dict
    images: object
    pieces: list
    findings: Findings


class ImageList:
    """The images of a file. names, sizes (width, height; 0 for untold): those that can be used, in its order; keys: {key: row or -1}."""

    def __init__(self):
        self.names, self.sizes, self.keys = [], [], {}

    def save(self, folder):
        """Write what `ImageTable` reads."""
        keys = np.fromiter(self.keys, np.int64, len(self.keys))
        rows = np.fromiter(self.keys.values(), np.int64, len(self.keys))
        order = np.argsort(keys)
        encoded = [name.encode("utf-8") for name in self.names]
        np.save(str(folder / "keys.npy"), np.stack([keys[order], rows[order]]))
        np.save(str(folder / "sizes.npy"), np.array(self.sizes, np.int32).reshape(-1, 2))
        np.save(str(folder / "ends.npy"), np.cumsum([0, *map(len, encoded)]))
        (folder / "names").write_bytes(b"".join(encoded))


class ImageTable:
    """An `ImageList` as worker processes see it: read from its files where it is looked at."""

    def __init__(self, folder):
        self._keys, self._rows = np.load(str(folder / "keys.npy"), mmap_mode="r")
        self._sizes = np.load(str(folder / "sizes.npy"), mmap_mode="r")
        self._ends = np.load(str(folder / "ends.npy"), mmap_mode="r")
        self._file = folder / "names"

    def find(self, keys):
        """Rows of the images with these keys, int64 [n]; -1: one that was left out; -2: none."""
        if not len(self._keys):
            return np.full(len(keys), -2, np.int64)
        keys = np.array(keys, np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._rows[places], -2)

    def images(self, rows):
        """[(name, width, height)] of some rows."""
        with open(str(self._file), "rb") as names:
            return [self._image(int(row), names) for row in rows]

    def _image(self, row, names):
        start, end = int(self._ends[row]), int(self._ends[row + 1])
        names.seek(start)
        return (names.read(end - start).decode("utf-8"), *(int(side) for side in self._sizes[row]))


def key_of(value):
    """An id as a whole number of 63 bits, so that a million of them fit in an array; None where it is no id. Texts get a hash."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and str(int(value[:20])) == value):
            return int.from_bytes(hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little", signed=True)
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LARGEST:
        return None
    return value


def index(path, file, listed=None):
    """The `CocoIndex` of a file. file: its name for messages; listed: None, or has(name) tells whether a list chose the image.

    Raises StageError where the file cannot be read, or is not of boxes.
    """
    reading = JsonElements(path, file)
    building = _Index(file, listed)
    for element in reading:
        if element.key == "annotations" and element.number:
            building.annotation(element)
        elif element.key in ("images", "categories") and element.number:
            getattr(building, element.key)(reading.decoded(element), element.number)
        elif element.key in _SECTIONS:
            raise StageError(
                "the COCO file's %s are no list" % element.key,
                "%s: byte %d" % (file, element.start),
                "a list",
                type(element.value).__name__,
                "export the annotations again",
            )
    return building.finish(reading.keys)


class _Index:
    def __init__(self, file, listed):
        self.file, self.listed = file, listed
        self.findings = Findings()
        self._images = ImageList()
        self._names = {}  # file name to the id that has it
        self._unsized = 0
        self._categories = {}
        self._pieces, self._open = [], None
        self._ids, self._count, self._objects, self._boxes, self._seen = array("q"), 0, 0, 0, set()

    def annotation(self, element):
        if self._open is not None and (element.number == 1 or element.end - self._open.start > _CHUNK):
            self._pieces.append(self._open)
            self._open = None
        self._open = Piece(element.start, element.end, element.number) if self._open is None else self._open._replace(end=element.end)
        self._count += 1
        if isinstance(element.value, dict):
            self._objects += 1
            self._boxes += "bbox" in element.value or "segmentation" in element.value
            self._seen.update(key for key, _ in _OTHERS if key in element.value)
            key = key_of(element.value.get("id"))
            if key is not None:
                self._ids.append(key)

    def images(self, entry, number):
        name, key = (entry.get("file_name"), key_of(entry.get("id"))) if isinstance(entry, dict) else (None, None)
        if key is None or not isinstance(name, str) or not name:
            what = "an image has no %s: %s" % ("id" if key is None else "file_name", shown(entry))
            self.findings.bad("entry-broken", self.file, "images: %s" % what, None, number)
            return
        told = "image %s (%s)" % (shown(entry["id"]), shown(name))
        if key in self._images.keys:
            self.findings.bad("image-id-twice", self.file, "%s: another image has this id already" % told, None, number)
            return
        self._images.keys[key] = -1
        cleaned = clean_name(name)
        if cleaned is None or cleaned == ".":
            self.findings.refuse("filename-outside", self.file, "%s: file_name leads out of the images' folder" % told, None, number)
        elif not writable(name):
            self.findings.bad("name-not-utf8", self.file, "%s: file_name is not UTF-8" % told, None, number)
        elif cleaned in self._names:
            message = "%s is listed already, as image %s: its annotations were left out" % (told, shown(self._names[cleaned]))
            self.findings.bad("annotated-twice", self.file, message, None, number)
        else:
            self._names[cleaned] = entry["id"]
            if self.listed is None or self.listed.has(cleaned):
                self._images.keys[key] = len(self._images.names)
                self._images.names.append(cleaned)
                self._images.sizes.append(self._size(entry))

    def _size(self, entry):
        sides = [entry.get("width"), entry.get("height")]
        if all(isinstance(side, (int, float)) and not isinstance(side, bool) and 0 < side < 1e9 and side == int(side) for side in sides):
            return tuple(int(side) for side in sides)
        self._unsized += 1
        return 0, 0

    def categories(self, entry, number):
        name, key = (entry.get("name"), key_of(entry.get("id"))) if isinstance(entry, dict) else (None, None)
        if key is None or not isinstance(name, str) or not name.strip() or not writable(name):
            what = "a category has no %s: %s" % ("id" if key is None else "name that can be used", shown(entry))
            self.findings.bad("entry-broken", self.file, "categories: %s" % what, None, number)
            return
        name = name.strip()
        told = "category %s (%s)" % (shown(entry["id"]), shown(name))
        if key in self._categories:
            before = self._categories[key][0]
            way = self.findings.doubt if before == name else self.findings.refuse
            way("category-duplicate", self.file, "%s: this id is %s already" % (told, shown(before)), None, number)
            return
        if name in {before for before, _ in self._categories.values()}:
            message = "%s: another category has this name; they were taken as one class" % told
            self.findings.doubt("category-duplicate", self.file, message, None, number)
        self._categories[key] = name, (1, 0, entry["id"]) if isinstance(entry["id"], str) else (0, key, "")

    def finish(self, keys):
        if self._open is not None:
            self._pieces.append(self._open)
        self._refuse_others(keys)
        self._report_repeated()
        if self._unsized:
            message = "%d images declare no size; the files' own was taken" % self._unsized
            self.findings.doubt("size-undeclared", self.file, message)
        ordered = sorted(self._categories.values(), key=lambda item: item[1])
        names = {key: name for key, (name, _) in self._categories.items()}
        return CocoIndex(list(dict.fromkeys(name for name, _ in ordered)), names, self._images, self._pieces, self.findings)

    def _refuse_others(self, keys):
        found = None
        if not keys & {"images", "annotations"}:
            found = "an object with the keys %s" % (", ".join(sorted(map(shown, keys))[:8]) or "(none)")
        elif self._objects and not self._boxes:
            known = [name for key, name in _OTHERS if key in self._seen]
            found = known[0] if known else "labels of whole images: no annotation has a bbox or a segmentation"
        elif not self._count and ("annotations" not in keys or not self._categories):
            found = "facts about images, without annotations"
        if found is not None:
            raise StageError("the COCO file holds no boxes", self.file, EXPECTED, found, CHOOSE)

    def _report_repeated(self):
        ids, times = np.unique(np.frombuffer(self._ids, np.int64), return_counts=True)
        repeated = ids[times > 1]
        if len(repeated):
            message = "%d ids are those of several annotations, as %d: all were kept" % (len(repeated), repeated[0])
            self.findings.doubt("annotation-id-twice", self.file, message)
