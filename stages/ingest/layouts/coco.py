"""COCO JSON (https://cocodataset.org/#format-data): one file for a split. Roboflow, CVAT, Label Studio and FiftyOne write it, too.

Boxes are [x, y, width, height]. A file is gone through once for its images, categories and the places of its annotations (coco_index.py);
then worker processes read the annotations in pieces of some MiB.
"""

import os
import re
import tempfile
from pathlib import Path

from audit.findings import Findings
from formats.listing import read_list
from pictures.image_content import TYPES
from tables import Image, PartBuilder

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, both_ends, files_in, named_folders
from layouts.coco_index import CHOOSE, EXPECTED, ImageTable, index
from layouts.coco_objects import read_piece

_FOLDERS = ("annotations", "Annotations")
_LOOKED_AT = 5  # files that a look at a folder opens
_LISTS = re.compile(rb'"(images|annotations)"\s*:\s*\[\s*[{\]]')
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WORD = re.compile(r"[A-Za-z]+[0-9]*")
# What the names of COCO's own files begin with: those with boxes first; the last ones have none of objects.
_INSTANCES, _ROBOFLOW, _NAMELESS, _KEYPOINTS, _OTHER = range(5)
_OTHERS = {
    "captions": "captions (sentences about whole images)",
    "panoptic": "panoptic segments, whose masks are in PNG files",
    "stuff": "regions without objects (grass, sky)",
    "image_info": "facts about images, without annotations",
}
_IMAGES = 20_000  # of a job


class Coco(Layout):
    """A JSON file for each split."""

    name = "coco"
    title = "COCO JSON"
    merges = True

    def fits(self, path):
        return _rank(path) is not None if path.is_file() else bool(_chosen(path, _LOOKED_AT)[1])

    def splits(self, folder):
        """The splits that the files' names tell: instances_train2017.json."""
        rank, files = _chosen(folder)
        if rank == _OTHER or not files:
            return None
        if not any(_word(path)[1] for path in files) or (len(files) == 1 and _word(files[0])[1] != "train"):
            return None
        found = {}
        for path in files:
            split = _word(path)[1] or _other_split(path, rank)
            if split is None:
                raise StageError(
                    "a COCO file is of no split that its name tells",
                    path,
                    "names with train, val or test in them, as the other files have",
                    path.name,
                    "name the files in the pipeline: `splits: {train: {annotations: FILE}, …}`",
                )
            if split in found:
                raise StageError(
                    "two COCO files are of one split",
                    folder,
                    "one file for each split",
                    "%s and %s, both %s" % (os.path.basename(found[split]["annotations"]), path.name, split),
                    "name the files in the pipeline: `splits: {train: {annotations: %s}}`" % path.relative_to(folder).as_posix(),
                )
            found[split] = {"annotations": path.relative_to(folder).as_posix()}
        return found

    def source(self, places, split, spec):
        base = places.folder(split, "folder", spec["folder"]) if "folder" in spec else places.root
        path = places.either(split, "annotations", spec["annotations"]) if "annotations" in spec else base
        files = [path] if path.is_file() else _files(places, split, path)
        listed = ListedNames(places, split, spec["list"]) if "list" in spec else None
        indexes = [index(path, places.relative(path), listed) for path in files]
        images = [places.folder(split, "images", spec["images"])] if "images" in spec else _image_folders(files, base, split)
        options = {"classes": _classes(indexes), "indexes": dict(zip(map(str, files), indexes, strict=True)), "listed": listed}
        return Source(split, self.name, files, images, listed is not None, options)

    def jobs(self, source, places, scratch):
        if source.listed:
            yield None, None, source.options["listed"].missing()
        for path in source.files:
            found, file = source.options["indexes"][str(path)], places.relative(path)
            folder = Path(tempfile.mkdtemp(prefix="coco-", dir=str(scratch)))
            found.images.save(folder)
            for start in range(0, max(len(found.images.names), 1), _IMAGES):
                rows = range(start, min(start + _IMAGES, len(found.images.names)))
                yield str(folder), (file, rows), found.findings.items if start == 0 else []
            for piece in found.pieces:
                yield str(folder), (file, str(path), piece, found.categories), []

    def read(self, job):
        folder, work, findings = job
        part = PartBuilder()
        part.findings.items += findings
        if work is not None and len(work) == 2:
            for name, width, height in ImageTable(Path(folder)).images(work[1]):
                part.image(Image(name, work[0], 0, width, height))
        elif work is not None:
            read_piece(part, ImageTable(Path(folder)), *work)
        return part.finish()


class ListedNames:
    """The images that a split's list names, with or without folders and an image's extension. Raises StageError where it cannot be read."""

    def __init__(self, places, split, name):
        self._file, lines = read_list(places, split, name)
        self._lines = {_plain(text): (number, text) for number, text in lines}
        self._met = set()

    def has(self, name):
        """Whether the image `name` of a COCO file is listed."""
        found = {_plain(name), os.path.basename(_plain(name))} & set(self._lines)
        self._met |= found
        return bool(found)

    def missing(self):
        """The `Finding`s for names that no image has had."""
        findings = Findings()
        for plain, (number, text) in self._lines.items():
            if plain not in self._met:
                findings.bad("annotation-missing", self._file, "no COCO file of the split lists an image %s" % text, number)
        return findings.items


def _plain(name):
    stem, suffix = os.path.splitext(name.replace("\\", "/"))
    return stem if suffix.lower() in TYPES else stem + suffix


def _classes(indexes):
    return list(dict.fromkeys(name for found in indexes for name in found.classes))


def _chosen(folder, most=None):
    """(rank, files) of the best rank that COCO files in the folder, or else in its sub-folder of a usual name, have; None, [] for none."""
    for place in (folder, *named_folders(folder, _FOLDERS)):
        files = files_in(place, ".json")
        if most is not None and len(files) > most:  # telling names first
            files = sorted(files, key=lambda path: _named(path) is None)[:most]
        ranks = {path: _rank(path) for path in files}
        found = sorted(rank for rank in ranks.values() if rank is not None)
        if found:
            return found[0], [path for path in files if ranks[path] == found[0]]
    return None, []


def _files(places, split, folder):
    """The COCO files with boxes in a folder. Raises StageError where there is none."""
    rank, files = _chosen(folder)
    if rank == _OTHER:
        names = ", ".join(path.name for path in files[:3])
        kinds = sorted({_OTHERS[_named(path)[1]] for path in files})
        raise StageError("the COCO files hold no boxes", folder, EXPECTED, "%s: %s" % (names, "; ".join(kinds)), CHOOSE)
    if not files:
        raise StageError(
            "there is no COCO file",
            folder,
            "a JSON file with images and annotations",
            None,
            places.remedy(split, "annotations", "FILE.json"),
        )
    return files


def _named(path):
    """(rank, what the name begins with) of a file whose name tells what it is; else None."""
    name = path.name.lower()
    if not name.endswith(".json"):
        return None
    for start, rank in (("instances", _INSTANCES), ("person_keypoints", _KEYPOINTS), *((start, _OTHER) for start in _OTHERS)):
        if name.startswith((start + "_", start + ".")):
            return rank, start
    return (_ROBOFLOW, "") if name.endswith("_annotations.coco.json") else None


def _rank(path):
    """Which kind of COCO file it is: the lower the better; None for none. By its name, else by a look at its beginning and end."""
    if path.suffix.lower() != ".json":
        return None
    named = _named(path)
    if named is not None:
        return named[0]
    text = both_ends(path)
    opens = text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return _NAMELESS if opens and _LISTS.search(text) and b'"shapes"' not in text else None


def _word(path):
    """(the word in a file's name that tells its split, as "train2017", the split), or (None, None)."""
    for word in _WORD.findall(path.stem):
        split = USUAL_SPLITS.get(word.rstrip("0123456789").lower())
        if split is not None:
            return word, split
    return None, None


def _other_split(path, rank):
    """The split that follows `instances_` in a file's name, or None."""
    name = path.stem.partition("_")[2]
    return name if rank == _INSTANCES and _SPLIT_NAME.fullmatch(name) else None


def _image_folders(files, base, split):
    """Where images may be: folders named like the file's or the split's word, in `images` or beside; the file's own; the split's."""
    found = []
    for path in files:
        word = _word(path)[0]
        names = [name for name in dict.fromkeys((word, split, path.stem, path.stem.partition("_")[2])) if name]
        tops = list(dict.fromkeys([path.parent, *([path.parent.parent] if path.parent != base else []), base]))
        for top in tops:
            inner = [folder for place in (*named_folders(top, IMAGE_FOLDERS), top) for folder in named_folders(place, names)]
            found += [*inner, *([path.parent] if top == path.parent else [])]
        for top in tops:
            found += [top, *named_folders(top, IMAGE_FOLDERS)]
    return list(dict.fromkeys(found))
