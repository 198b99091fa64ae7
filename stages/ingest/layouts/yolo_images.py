"""Which images a YOLO dataset has, and which label file belongs to each: a rule of paths, for the label files name no image."""

import os
from pathlib import Path
from typing import NamedTuple, Optional

from audit.problems import printable
from formats.box_text import number
from pictures.image_content import TYPES

from _runtime import StageError
from layouts.base import read_text

SUFFIXES = tuple(TYPES)
_IMAGE_PARTS = ("images", "Images", "JPEGImages")  # of a path; `labels` in its place gives the labels', where there is such a folder
_PEEKED = 4096  # bytes
_SHOWN = 200  # characters of a path


class Pair(NamedTuple):
    """An image file with its name for messages, and its label file or None."""

    image: str
    name: str
    label: Optional[str]


class _Listing:
    """The names of a folder's files: none where there is no such folder."""

    def __init__(self, folder):
        try:
            self.files = sorted(entry.name for entry in os.scandir(str(folder)) if entry.is_file())
        except (OSError, ValueError):  # ValueError: of a name that no folder can have
            self.files = []
        self._exact = set(self.files)
        self._folded = {name.casefold(): name for name in reversed(self.files)}

    def find(self, name):
        """The file's name as it is written on disk; None where there is none."""
        return name if name in self._exact else self._folded.get(name.casefold())


class Images:
    """Finds pairs in folders and lists. places: `Places`; findings: what a list names in vain is told there."""

    def __init__(self, places, findings):
        self.places = places
        self.findings = findings
        self._listings = {}
        self._label_folders = {}
        self._visited = set()

    def in_trees(self, images, labels):
        """The pairs of a folder of images and one of labels, that have the same sub-folders."""
        self._visit(labels)
        return self._walked(images, lambda folder: labels / folder.relative_to(images))

    def in_folder(self, folder):
        """The pairs of a folder and its sub-folders, by Ultralytics' rule: labels for images, or beside where there is no such folder."""
        return self._walked(folder, self._labels_of)

    def in_list(self, path, bases, labels=None):
        """The pairs of a list of image paths. bases: folders that these may be relative to; labels: the label files' folder, if known."""
        pairs, file, leading, before = [], self.places.relative(path), 0, {}
        for line, text in enumerate(read_text(path, "the list of images").splitlines(), 1):
            written = text.strip()
            if not written:
                continue
            found, leading = self._listed(written, bases, leading, file, line)
            if found is None:
                continue
            if before.setdefault(found, line) != line:
                self.findings.doubt("listed-twice", file, "%s is listed in line %d already" % (written[:_SHOWN], before[found]), line)
                continue
            pairs.append(self._pair(found, labels or self._labels_of(found.parent)))
        return pairs

    def _walked(self, top, labels_of):
        pairs = []
        for here, folders, names in os.walk(str(top)):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            folder = Path(here)
            chosen = [self._pair(folder / name, labels_of(folder)) for name in sorted(names) if is_image(name)]
            if chosen:
                self._visit(labels_of(folder))
                pairs += chosen
        return pairs

    def _visit(self, folder):
        self._listing(folder)
        self._visited.add(folder)

    def _pair(self, image, labels):
        label = self.entry(labels, os.path.splitext(image.name)[0] + ".txt")
        return Pair(str(image), self.places.relative(image), None if label is None else str(label))

    def _labels_of(self, folder):
        """The folder of the labels for the images in a folder."""
        if folder not in self._label_folders:
            chosen, parts = folder, list(folder.relative_to(self.places.root).parts)
            places = [place for place, part in enumerate(parts) if part in _IMAGE_PARTS]
            if places:
                named = self.places.root.joinpath(*parts[: places[-1]], "labels", *parts[places[-1] + 1 :])
                chosen = named if named.is_dir() else folder
            self._label_folders[folder] = chosen
        return self._label_folders[folder]

    def entry(self, folder, name):
        """The path of a file in a folder, whatever the case of its name; None where there is none, or no such folder."""
        found = self._listing(folder).find(name)
        return folder / found if name and found else None

    def _listing(self, folder):
        if folder not in self._listings:
            self._listings[folder] = _Listing(folder)
        return self._listings[folder]

    def _listed(self, written, bases, leading, file, line):
        """(the image that a line means or None, how many leading parts of its path were left out).

        Darknet's lists have paths from where it was run (data/obj_train_data/1.jpg), others from another machine: leading parts that
        lead nowhere are left out, and what the line before needed is tried first.
        """
        text = written.replace("\\", "/")
        outside = "\0" in text
        for base in bases:
            direct = inside(self.places.root, base / text)
            outside = outside or (direct is None and not text.startswith("/"))
            found = None if direct is None else self.entry(direct.parent, direct.name)
            if found is not None and is_image(found.name):
                return found, leading
        parts = [part for part in text.split("/") if part not in ("", ".")]
        while parts and parts[0] == "..":
            parts.pop(0)
        if ".." not in parts:
            for skipped in (leading, *range(len(parts))):
                for base in bases:
                    path = base.joinpath(*parts[skipped:])
                    found = self.entry(path.parent, path.name)
                    if found is not None and is_image(found.name) and skipped < len(parts):
                        return found, skipped
        if outside or ".." in parts:
            self.findings.refuse("filename-outside", file, "%s leads out of the dataset's folder" % written[:_SHOWN], line)
        else:
            self.findings.bad("image-missing", file, "no image %s in the dataset's folder" % written[:_SHOWN], line)
        return None, leading

    def forget(self):
        """Forget which folders of label files belong to the images found."""
        self._visited.clear()

    def strays(self, pairs):
        """Tell the label files whose image is not there, in the folders that belong to the images found."""
        used = {pair.label for pair in pairs}
        for folder in sorted(self._visited):
            for name in self._listings[folder].files:
                path = folder / name
                if is_label_name(name) and str(path) not in used and is_label(path):
                    message = "no image %s with an image's extension belongs to these labels" % os.path.splitext(name)[0]
                    self.findings.bad("image-missing", self.places.relative(path), message)


def is_image(name):
    """Whether a file's name is an image's; hidden ones are not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def is_label_name(name):
    """Whether a file's name may be that of a label file."""
    return name.lower().endswith(".txt") and not name.startswith(".") and name.lower() not in ("classes.txt", "predefined_classes.txt")


def is_label(path):
    """Whether the first filled line of a file is YOLO's: numbers alone, at least five."""
    try:
        with open(str(path), "rb") as stream:
            data = stream.read(_PEEKED)
    except OSError:
        return False
    if len(data) == _PEEKED:
        data = data.rpartition(b" ")[0]  # the last number may be cut
    lines = data.decode("utf-8-sig", "replace").split("\n")
    cells = next((line.split() for line in lines if line.strip()), [])
    return len(cells) >= 5 and all(number(cell) is not None for cell in cells)


def has_labels(folder, most=100):
    """Whether a folder holds label files, by a look at the first ones that are not empty."""
    with os.scandir(str(folder)) as entries:
        names = sorted(entry.name for entry in entries if is_label_name(entry.name) and entry.is_file())
    filled = [name for name in names[:most] if os.path.getsize(str(folder / name)) > 0]
    return any(is_label(folder / name) for name in filled[:5])


def labels_below(folder, depth=4):
    """Whether there are label files in a folder or in sub-folders of it, `depth` folders deep."""
    if has_labels(folder):
        return True
    if depth == 0:
        return False
    with os.scandir(str(folder)) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."))
    return any(labels_below(Path(folder) / name, depth - 1) for name in names)


def inside(root, path):
    """The path below the root, `..` worked out without looking at links; None where it leads out."""
    below = os.path.relpath(os.path.normpath(str(path)), str(root))
    return None if below == ".." or below.startswith(".." + os.sep) else Path(root) / below


def look_up(places, base, text, where, key):
    """The file or folder that an entry of a data.yaml or obj.data names. base: Path; where: FILE:LINE. Raises StageError.

    Roboflow writes ../train/images for what is at train/images beside the YAML, and Darknet paths from where it was run: where an entry
    leads nowhere, its leading .. are left out, then (in an obj.data) its first folders.
    """
    text = text.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts.pop(0)
    tries = [base / text, base.joinpath(*parts)]
    if text[:1] == "/":
        tries = tries[:1]
    elif where.rpartition(":")[0].endswith(".data"):
        tries += [base.joinpath(*parts[skipped:]) for skipped in range(1, len(parts))]
    found = [path for path in (inside(places.root, path) for path in tries) if path is not None]
    for path in found:
        if os.path.exists(str(path)):
            return path
    shown = printable(text[:_SHOWN])
    if not found or text[1:2] == ":":
        raise StageError(
            "a path leads out of the dataset's folder",
            where,
            "a path inside %s" % places.root,
            "%s: %s" % (key, shown),
            "write it relative to the file that names it, or correct the stage's `path`",
        )
    raise StageError(
        "%s names what is not there" % key,
        where,
        "a folder of images, or a file",
        shown,
        "correct the path, or name the folders: %s" % places.remedy("train", "images", "images/train, annotations: labels/train"),
    )
