"""What OIDv4 ToolKit downloads (https://github.com/EscVM/OIDv4_ToolKit): SPLIT/CLASS/image.jpg with SPLIT/CLASS/Label/image.txt.

A line is a class, maybe of several words, and four numbers: left, top, right and bottom in pixels. An image may be in the folders of
several classes, each time with the boxes of that class: it is one image, of which the first folder's file is taken.
"""

import csv
import os
from typing import NamedTuple

from audit.findings import Findings
from formats.box_text import corner_numbers
from formats.text_files import read_lines
from places import neighbours
from tables import PIXELS, Image, PartBuilder

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError
from layouts.base import Layout, Source, chunks, files_in, read_text
from layouts.yolo_images import is_image

_LABELS = "Label"
_DATASETS = ("OID/Dataset", "Dataset")  # where the ToolKit puts the splits: below where it was run, and below OID
_DESCRIPTIONS = ("csv_folder/class-descriptions-boxable.csv", "class-descriptions-boxable.csv")
_CORNERS = ("left", "top", "right", "bottom")
_IMAGES = 500  # of a job


class _Labelled(NamedTuple):
    """An image on its way to `read`. labels: (path of a label file, its name for messages) in the order of the classes' folders."""

    name: str
    path: str
    labels: list


class OidV4(Layout):
    """A folder for each class."""

    name = "oidv4"
    title = "OIDv4 ToolKit's folders of classes"
    ways = ("folder", "annotations", "images")

    def fits(self, path):
        return path.is_dir() and (_has_labels(path) or bool(self.splits(path)))

    def splits(self, folder):
        """The splits below Dataset, where the ToolKit puts it."""
        for dataset in _DATASETS:
            found = {}
            if (folder / dataset).is_dir():
                for entry in sorted(entry for entry in (folder / dataset).iterdir() if entry.is_dir()):
                    split = USUAL_SPLITS.get(entry.name.lower())
                    if split is not None and split not in found and _has_labels(entry):
                        found[split] = {"folder": "%s/%s" % (dataset, entry.name)}
            if found:
                return found
        return None

    def source(self, places, split, spec):
        way = "annotations" if "annotations" in spec else "folder"
        folder = places.folder(split, way, spec[way])
        files = [file for entry in _class_folders(folder) for file in _label_files(entry)]
        if not files:
            raise StageError(
                "there are no label files",
                folder,
                "folders for the classes, each with a folder Label of .txt files",
                neighbours(folder / "*"),
                places.remedy(split, way, "FOLDER"),
            )
        images = places.folder(split, "images", spec["images"]) if "images" in spec else None
        options = {"folder": folder, "images": images, "descriptions": _descriptions(folder, places.root)}
        return Source(split, self.name, sorted(files), [] if images is None else [images], options=options)

    def jobs(self, source, places, scratch):
        findings = Findings()
        images = _labelled(source.options["folder"], source.options["images"], places, findings)
        for number, chunk in enumerate(chunks(images, _IMAGES) or [[]]):
            yield chunk, source.options["descriptions"], findings.items if number == 0 else []

    def read(self, job):
        images, descriptions, findings = job
        part = PartBuilder(PIXELS)
        part.findings.items += findings
        merged = [image for image in images if _read_image(part, image, descriptions)]
        if merged:
            message = "images with the same box in several files: %d, this one first; it is taken once" % len(merged)
            part.findings.note("box-merged", merged[0].labels[0][1], message)
        return part.finish()


def _class_folders(folder):
    """The folder itself where it is a class's, else its sub-folders, sorted."""
    if (folder / _LABELS).is_dir():
        return [folder]
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _label_files(folder):
    return files_in(folder / _LABELS, ".txt") if (folder / _LABELS).is_dir() else []


def _has_labels(folder):
    return any(_label_files(entry) for entry in _class_folders(folder))


def _descriptions(folder, root):
    """The class names of Open Images, if the ToolKit's table is beside the folder or above it; else an empty set."""
    for place in (folder, *folder.parents):
        for name in _DESCRIPTIONS:
            if (place / name).is_file():
                return _second_cells(place / name)
        if place == root:
            break
    return set()


def _second_cells(path):
    lines = read_text(path, "the table of class names").replace("\0", "").splitlines()
    try:
        return {row[1].strip() for row in csv.reader(lines) if len(row) == 2}
    except csv.Error as error:
        raise StageError("the table of class names cannot be read: %s" % error, path, "lines MID,NAME", None, "download it again") from None


def _labelled(folder, images, places, findings):
    """A `_Labelled` for each image, sorted by name; what has no partner is told. images: a folder that the pipeline names, or None."""
    labels, files, bare = {}, {}, {}
    for entry in _class_folders(folder):
        for path in _label_files(entry):
            labels.setdefault(path.stem, []).append((str(path), places.relative(path)))
        pictures = [path for path in files_in(entry, "") if is_image(path.name)]
        for path in pictures:
            files.setdefault(path.stem, path)
        if not (entry / _LABELS).is_dir():
            bare[entry] = len(pictures)
    found = []
    for stem in sorted(labels):
        if images is not None:
            found.append(_Labelled(stem, None, labels[stem]))
        elif stem in files:
            found.append(_Labelled(os.path.relpath(str(files[stem]), str(folder)).replace(os.sep, "/"), str(files[stem]), labels[stem]))
        else:
            findings.bad("image-missing", labels[stem][0][1], "no image %s is in any class's folder" % stem)
    for stem in sorted(set(files) - set(labels)):
        if files[stem].parent not in bare:
            findings.doubt("image-unlabelled", places.relative(files[stem]), "no label file has this image's name; it is left out")
    for entry, number in sorted(bare.items()):
        if number:
            message = "there is no folder Label: of the %d images here, those without labels elsewhere are left out" % number
            findings.doubt("image-unlabelled", places.relative(entry), message)
    return found


def _read_image(part, image, descriptions):
    """Add an image with the objects of all its label files; whether a box was in several of them. Where all are unusable, no image."""
    files = [(file, read_lines(path, file, part.findings)) for path, file in image.labels]
    files = [(file, lines) for file, lines in files if lines is not None]
    if not files:
        return False
    # Objects of several files: the lines of one would mislead about the others.
    alone = len(files) == 1
    row = part.image(Image(image.name, " and ".join(file for file, _ in files), path=image.path))
    before, here, count, merged = set(), set(), 0, False
    for file, lines in files:
        before |= here
        here = set()
        for number, (line, text) in enumerate(lines, 1):
            item = _object(part, text, descriptions, (file, line, number))
            if item is None:
                continue
            if item in before:
                merged = True
                continue
            here.add(item)
            count += 1
            label, box = item
            part.object(row, label, box, line if alone else 0, number if alone else count)
    return merged


def _object(part, text, descriptions, place):
    """(class, box) of a line, or None. place: (file, line, number)."""
    file, line, number = place
    cells = text.rsplit(None, 4)
    if len(cells) < 5:
        message = "the line has %d words, where a class, left, top, right and bottom were expected" % len(cells)
        part.findings.bad("label-line", file, message, line, number)
        return None
    label = " ".join(cells[0].split())
    spaced = label.replace("_", " ")
    if label not in descriptions and spaced in descriptions:
        label = spaced
    box = corner_numbers(cells[1:], label[:200], file, line, number, part.findings, _CORNERS)
    return None if box is None else (label, tuple(box))
