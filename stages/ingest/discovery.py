"""Where a split's annotations and images are: the layouts that people have, told apart by looking."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from folk_csv import read_csv
from image_files import ImageFolder
from problems import printable
from voc_xml import read_voc

from _runtime import StageError

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ANNOTATION_FOLDERS = ("Annotations", "annotations", "labels", "xml", "xmls")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs")
_WAYS = ("folder", "list", "csv", "annotations")
_SHOWN = 12  # names of files in a message


class Source(NamedTuple):
    """A split's annotation files, and where its images are looked for."""

    split: str
    layout: str  # "voc" or "csv"
    files: list  # Paths of annotation files, sorted
    images: list  # Paths of folders, in the order of looking
    listed: bool  # whether a list chose the files


class Places:
    """Paths inside the dataset's folder, as a pipeline names them."""

    def __init__(self, root, stage):
        self.root = Path(root)
        self.stage = stage

    def folder(self, split, way, name):
        """The folder that `way` of the split names. Raises StageError where there is none."""
        path = self._inside(split, way, name)
        if not path.is_dir():
            what = "the split's folder is a file" if path.exists() else "the split's folder does not exist"
            raise StageError(what, path, "a folder", _neighbours(path), self.remedy(split, way, "NAME"))
        return path

    def file(self, split, way, name):
        """The file that `way` of the split names. Raises StageError where there is none."""
        path = self._inside(split, way, name)
        if not path.is_file():
            what = "the split's %s does not exist" % {"list": "list", "csv": "CSV"}[way]
            raise StageError(what, path, "a file", _neighbours(path), self.remedy(split, way, "FILE"))
        return path

    def relative(self, path):
        """For messages and for dataset.json: relative to the root, with slashes."""
        return Path(os.path.relpath(str(path), str(self.root))).as_posix()

    def remedy(self, split, way, value):
        """The line to write in the pipeline."""
        return "in the pipeline write `%s: {params: {splits: {%s: {%s: %s}}}}`, relative to the dataset's folder" % (
            self.stage,
            split,
            way,
            value,
        )

    def _inside(self, split, way, name):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name or "\0" in name:
            raise StageError(
                "a split lies outside the dataset's folder",
                "splits.%s.%s" % (split, way),
                "a path inside it",
                name,
                "give `path` the folder above, or copy the split into it",
            )
        return self.root / name


class SplitFinder:
    """Finds the `Source` of each split. layout: the stage's parameter; audit: what a list names in vain is reported there."""

    def __init__(self, places, layout, audit):
        self.places = places
        self.layout = layout
        self.audit = audit

    def find(self, splits):
        """A `Source` for each split, sorted by name; `splits` is the stage's parameter. Raises StageError."""
        ways = {"folder": self._from_folder, "list": self._from_list, "csv": self._from_csv, "annotations": self._from_annotations}
        sources = []
        for split, spec in sorted((splits or {"train": {"folder": "."}}).items()):
            self._check(split, spec)
            sources.append(ways[next(way for way in _WAYS if way in spec)](split, spec))
        return sources

    def _check(self, split, spec):
        if not _SPLIT_NAME.fullmatch(split):
            raise StageError(
                "a split's name is not usable",
                "splits",
                "letters, digits, - and _",
                split,
                "rename the split, for instance train, val or test",
            )
        given = [way for way in _WAYS if way in spec]
        if len(given) != 1 and given != ["list", "annotations"]:
            raise StageError(
                "a split is told twice where it is" if given else "a split is not told where it is",
                "splits.%s" % split,
                "one of folder, list, csv and annotations (list and annotations may go together; images with any)",
                ", ".join(sorted(spec)) or "nothing",
                self.places.remedy(split, "folder", split),
            )
        if (self.layout == "voc" and "csv" in spec) or (self.layout == "csv" and ("list" in spec or "annotations" in spec)):
            raise StageError(
                "a split does not fit the layout",
                "splits.%s" % split,
                "layout: %s" % ("csv" if "csv" in spec else "voc"),
                "layout: %s" % self.layout,
                "leave `layout` out: it is found by looking",
            )

    def _from_folder(self, split, spec):
        folder = self.places.folder(split, "folder", spec["folder"])
        annotations = next((place for place in (folder, *_named(folder, _ANNOTATION_FOLDERS)) if _files(place, ".xml")), None)
        tables = _files(folder, ".csv")
        if self.layout == "csv" or (self.layout == "auto" and annotations is None and tables):
            return self._csv_source(split, spec, tables, folder)
        if annotations is None:
            self._no_annotations(split, folder)
        for below, number in _below(annotations):
            message = "%d annotation files in this sub-folder were not read" % number
            self.audit.doubt("subfolder-unread", self.places.relative(below), message)
        return Source(split, "voc", _files(annotations, ".xml"), self._images(split, spec, annotations, folder), listed=False)

    def _from_annotations(self, split, spec):
        folder = self.places.folder(split, "annotations", spec["annotations"])
        files = _files(folder, ".xml")
        if not files:
            self._no_annotations(split, folder)
        return Source(split, "voc", files, self._images(split, spec, folder, self.places.root), listed=False)

    def _from_list(self, split, spec):
        """VOC's ImageSets/Main/SPLIT.txt: a stem (or a file name) in each line."""
        path = self.places.file(split, "list", spec["list"])
        if "annotations" in spec:
            folder = self.places.folder(split, "annotations", spec["annotations"])
        else:
            folder = next(iter(_named(self.places.root, _ANNOTATION_FOLDERS)), self.places.root)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise StageError("the split's list is not UTF-8", path, "a line for each image", None, "save it as UTF-8") from None
        if not any(line.strip() for line in lines):
            raise StageError(
                "the split's list is empty", path, "a line for each image", "%d lines" % len(lines), "write the images' names into it"
            )
        return Source(split, "voc", self._listed(path, lines, folder), self._images(split, spec, folder, self.places.root), listed=True)

    def _listed(self, path, lines, folder):
        """The annotation files that the lines name, sorted."""
        file, known, chosen = self.places.relative(path), {item.name: item for item in _files(folder, ".xml")}, {}
        for number, line in enumerate(lines, 1):
            name = re.sub(r"\s+-?[01]$", "", line.strip())  # VOC's lists of one class end with 1, -1 or 0
            if not name:
                continue
            found = known.get(name + ".xml") or known.get(os.path.splitext(name)[0] + ".xml")
            if found is None:
                self.audit.bad("annotation-missing", file, "no annotation %s.xml in %s" % (name, self.places.relative(folder)), number)
            elif found in chosen:
                self.audit.doubt("listed-twice", file, "%s is listed in line %d already" % (name, chosen[found]), number)
            else:
                chosen[found] = number
        return sorted(chosen)

    def _from_csv(self, split, spec):
        path = self.places.file(split, "csv", spec["csv"])
        return self._csv_source(split, spec, [path], path.parent)

    def _csv_source(self, split, spec, tables, folder):
        if len(tables) != 1:
            raise StageError(
                "the split's folder holds several CSV files" if tables else "the split's folder holds no CSV",
                folder,
                "one CSV file",
                ", ".join(printable(path.name) for path in tables) or "none",
                self.places.remedy(split, "csv", "FILE"),
            )
        images = self._images(split, spec, folder, folder)
        if "images" not in spec:
            images += _named(folder, (split,))  # the tutorials keep train_labels.csv beside the folder train
        return Source(split, "csv", tables, images, listed=False)

    def _images(self, split, spec, beside, base):
        """The annotations' own folder; and the one that the pipeline names, else `base` and its folders with usual names."""
        given = spec.get("images")
        named = [base, *_named(base, _IMAGE_FOLDERS)] if given is None else [self.places.folder(split, "images", given)]
        return named if beside in named else [beside, *named]

    def _no_annotations(self, split, folder):
        below = _below(folder)
        if below:
            names = [printable(self.places.relative(entry)) for entry, _ in below]
            lines = ", ".join("%s: {folder: %s}" % (Path(name).name, name) for name in names)
            raise StageError(
                "the annotations are in sub-folders",
                folder,
                "XML files, or `splits` that name the sub-folders",
                ", ".join("%d in %s" % (number, name) for name, (_, number) in zip(names, below, strict=True)),
                "in the pipeline write `%s: {params: {splits: {%s}}}`" % (self.places.stage, lines),
            )
        found = sorted({printable(entry.suffix.lower() or entry.name) for entry in folder.iterdir() if entry.is_file()})
        raise StageError(
            "there are no annotations",
            folder,
            "Pascal VOC XML files (LabelImg's), or one CSV of xml_to_csv",
            "files of the types %s" % ", ".join(found[:_SHOWN]) if found else "no files",
            self.places.remedy(split, "folder", "NAME"),
        )


def read_sources(places, sources, audit):
    """The `Annotation`s of all sources; images beside them that no annotation names are reported."""
    folders = {path: ImageFolder(path) for source in sources for path in source.images}
    annotations = []
    for source in sources:
        images = [folders[path] for path in source.images]
        for path in source.files:
            file = places.relative(path)
            if printable(file) != file:
                audit.bad("name-not-utf8", file, "the file's name is not UTF-8: rename it")
            elif source.layout == "csv":
                annotations += read_csv(path, file, source.split, images, audit)
            else:
                annotation = read_voc(path, file, source.split, images, audit)
                annotations += [] if annotation is None else [annotation]
    if not any(source.listed for source in sources):  # a list is a choice: what it leaves out is meant
        _report_unlabelled(places, sources, folders, annotations, audit)
    return annotations


def _report_unlabelled(places, sources, folders, annotations, audit):
    used = {annotation.image for annotation in annotations}
    stems = {path.stem for source in sources for path in source.files}  # an annotation of that name that was unusable is reported already
    for path in sorted(folders):
        for name in folders[path].names():
            if path / name not in used and os.path.splitext(name)[0] not in stems:
                audit.doubt("image-unlabelled", places.relative(path / name), "no annotation names this image; it is left out")


def _named(folder, names):
    """The sub-folders of `folder` that have one of the names, in the names' order."""
    entries = {entry.name: entry for entry in folder.iterdir() if entry.is_dir()}
    return [entries[name] for name in names if name in entries]


def _files(folder, suffix):
    """The files of a folder with that suffix in any case, hidden ones left out, sorted."""
    return sorted(
        entry for entry in folder.iterdir() if entry.name.lower().endswith(suffix) and not entry.name.startswith(".") and entry.is_file()
    )


def _below(folder):
    """(sub-folder, number of its XML files) of each that holds some."""
    counted = [(entry, len(_files(entry, ".xml"))) for entry in sorted(folder.iterdir()) if entry.is_dir()]
    return [(entry, number) for entry, number in counted if number]


def _neighbours(path):
    """What there is where a path leads nowhere: the names in the nearest folder above it."""
    if path.exists():
        return "something else"
    parent = next(folder for folder in path.parents if folder.is_dir())
    names = sorted(printable(entry.name) + ("/" if entry.is_dir() else "") for entry in parent.iterdir())
    return "%s holds %s" % (parent, (", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")) or "nothing")
