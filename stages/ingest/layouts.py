"""Where a split's annotations and images are: the layouts that people have, told apart by looking."""
import os
import re
from collections import namedtuple
from pathlib import Path, PurePosixPath

from folk_csv import read_csv
from image_files import ImageFolder
from problems import printable
from voc_xml import read_voc

from _runtime import StageError

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ANNOTATION_FOLDERS = ("Annotations", "annotations", "labels", "xml", "xmls")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs")
_WHERE = ("folder", "list", "csv", "annotations")

# split: name. layout: "voc" or "csv". files: annotation files, sorted. images: folders in which to look for images, in this order.
# listed: whether a list chose the files.
Source = namedtuple("Source", "split layout files images listed")


class Places:
    """Paths inside the dataset's folder, as a pipeline names them."""

    def __init__(self, root, stage):
        self.root = Path(root)
        self.stage = stage

    def folder(self, split, key, name):
        """The folder that `key` of the split names. Raises StageError where there is none."""
        path = self._inside(split, key, name)
        if not path.is_dir():
            raise StageError("the split's folder does not exist" if not path.exists() else "the split's folder is a file", path,
                             "a folder", self._neighbours(path), self.remedy(split, key, "NAME"))
        return path

    def file(self, split, key, name):
        """The file that `key` of the split names. Raises StageError where there is none."""
        path = self._inside(split, key, name)
        if not path.is_file():
            raise StageError("the split's %s does not exist" % ("list" if key == "list" else "CSV"), path, "a file", self._neighbours(path),
                             self.remedy(split, key, "FILE"))
        return path

    def relative(self, path):
        """For messages and for dataset.json: relative to the root, with slashes."""
        return Path(os.path.relpath(str(path), str(self.root))).as_posix()

    def remedy(self, split, key, value):
        """The line to write in the pipeline."""
        return "in the pipeline write `%s: {params: {splits: {%s: {%s: %s}}}}`, relative to the dataset's folder" % (self.stage, split, key, value)

    def _inside(self, split, key, name):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name or "\0" in name:
            raise StageError("a split lies outside the dataset's folder", "splits.%s.%s" % (split, key), "a path inside it", name,
                             "give `path` the folder above, or copy the split into it")
        return self.root / name

    def _neighbours(self, path):
        if path.exists():
            return "something else"
        parent = path.parent
        while not parent.is_dir():
            parent = parent.parent
        names = sorted(printable(entry.name) + ("/" if entry.is_dir() else "") for entry in parent.iterdir())
        return "%s holds %s" % (parent, ", ".join(names[:12]) + (", …" if len(names) > 12 else "") or "nothing")


def find_sources(places, splits, layout, audit):
    """A `Source` for each split, sorted by name. splits and layout: the stage's parameters. Raises StageError."""
    sources = []
    for split, spec in sorted((splits or {"train": {"folder": "."}}).items()):
        _check_spec(split, spec, layout, places)
        find = {"folder": _from_folder, "list": _from_list, "csv": _from_csv, "annotations": _from_annotations}[next(key for key in _WHERE if key in spec)]
        sources.append(find(places, split, spec, layout, audit))
    return sources


def _check_spec(split, spec, layout, places):
    if not _SPLIT_NAME.fullmatch(split):
        raise StageError("a split's name is not usable", "splits", "letters, digits, - and _", split, "rename the split, for instance train, val or test")
    given = [key for key in _WHERE if key in spec]
    if len(given) != 1 and given != ["list", "annotations"]:
        raise StageError("a split is not told where it is" if not given else "a split is told twice where it is", "splits.%s" % split,
                         "one of folder, list, csv and annotations (list and annotations may go together; images with any)",
                         ", ".join(sorted(spec)) or "nothing", places.remedy(split, "folder", split))
    if (layout == "voc" and "csv" in spec) or (layout == "csv" and ("list" in spec or "annotations" in spec)):
        raise StageError("a split does not fit the layout", "splits.%s" % split, "layout: %s" % ("csv" if "csv" in spec else "voc"), "layout: %s" % layout,
                         "leave `layout` out: it is found by looking")


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


def _from_folder(places, split, spec, layout, audit):
    folder = places.folder(split, "folder", spec["folder"])
    annotations = next((place for place in [folder] + _named(folder, _ANNOTATION_FOLDERS) if _files(place, ".xml")), None)
    tables = _files(folder, ".csv")
    if layout == "csv" or (layout == "auto" and annotations is None and tables):
        return _csv_source(places, split, spec, tables, folder)
    if annotations is None:
        _no_annotations(places, split, folder)
    _warn_of_subfolders(places, annotations, audit)
    return Source(split, "voc", _files(annotations, ".xml"), _image_folders(places, split, spec, annotations, folder), False)


def _from_annotations(places, split, spec, layout, audit):
    folder = places.folder(split, "annotations", spec["annotations"])
    files = _files(folder, ".xml")
    if not files:
        _no_annotations(places, split, folder)
    return Source(split, "voc", files, _image_folders(places, split, spec, folder, places.root), False)


def _from_list(places, split, spec, layout, audit):
    """VOC's ImageSets/Main/SPLIT.txt: a stem (or a file name) in each line."""
    path = places.file(split, "list", spec["list"])
    file = places.relative(path)
    if "annotations" in spec:
        folder = places.folder(split, "annotations", spec["annotations"])
    else:
        folder = (_named(places.root, _ANNOTATION_FOLDERS) or [places.root])[0]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise StageError("the split's list is not UTF-8", path, "a line for each image", None, "save it as UTF-8") from None
    known = {item.name: item for item in _files(folder, ".xml")}
    chosen = {}
    for number, text in enumerate(lines, 1):
        name = re.sub(r"\s+-?[01]$", "", text.strip())  # VOC's lists of one class end with 1, -1 or 0
        if not name:
            continue
        found = next((known[try_name] for try_name in (name + ".xml", os.path.splitext(name)[0] + ".xml") if try_name in known), None)
        if found is None:
            audit.bad("annotation-missing", file, "no annotation %s.xml in %s" % (name, places.relative(folder)), number)
        elif found in chosen:
            audit.doubt("listed-twice", file, "%s is listed in line %d already" % (name, chosen[found]), number)
        else:
            chosen[found] = number
    if not any(text.strip() for text in lines):
        raise StageError("the split's list is empty", path, "a line for each image", "%d lines" % len(lines), "write the images' names into it")
    return Source(split, "voc", sorted(chosen), _image_folders(places, split, spec, folder, places.root), True)


def _from_csv(places, split, spec, layout, audit):
    path = places.file(split, "csv", spec["csv"])
    return _csv_source(places, split, spec, [path], path.parent)


def _csv_source(places, split, spec, tables, folder):
    if len(tables) != 1:
        raise StageError("the split's folder holds no CSV" if not tables else "the split's folder holds several CSV files", folder, "one CSV file",
                         ", ".join(path.name for path in tables) or "none", places.remedy(split, "csv", "FILE"))
    images = _image_folders(places, split, spec, folder, folder)
    if "images" not in spec:
        images += _named(folder, (split,))  # the tutorials keep train_labels.csv beside the folder train
    return Source(split, "csv", tables, images, False)


def _image_folders(places, split, spec, beside, base):
    """The folder that the pipeline names, else the annotations' own, then `base` and its folders with usual names."""
    named = [places.folder(split, "images", spec["images"])] if "images" in spec else [base] + _named(base, _IMAGE_FOLDERS)
    return ([] if beside in named else [beside]) + named


def _named(folder, names):
    """The sub-folders of `folder` that have one of the names."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return [entry for name in names for entry in entries if entry.name == name]


def _files(folder, suffix):
    return sorted(entry for entry in folder.iterdir() if entry.name.lower().endswith(suffix) and not entry.name.startswith(".") and entry.is_file())


def _below(folder):
    """Sub-folders that hold XML files, with their number."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return [(entry, len(_files(entry, ".xml"))) for entry in entries if _files(entry, ".xml")]


def _no_annotations(places, split, folder):
    below = _below(folder)
    if below:
        names = [printable(places.relative(entry)) for entry, _ in below]
        lines = ", ".join("%s: {folder: %s}" % (Path(name).name, name) for name in names)
        raise StageError("the annotations are in sub-folders", folder, "XML files, or `splits` that name the sub-folders",
                         ", ".join("%d in %s" % (number, name) for name, (_, number) in zip(names, below)),
                         "in the pipeline write `%s: {params: {splits: {%s}}}`" % (places.stage, lines))
    found = sorted({printable(entry.suffix.lower() or entry.name) for entry in folder.iterdir() if entry.is_file()})
    raise StageError("there are no annotations", folder, "Pascal VOC XML files (LabelImg's), or one CSV of xml_to_csv",
                     "files of the types %s" % ", ".join(found[:12]) if found else "no files", places.remedy(split, "folder", "NAME"))


def _warn_of_subfolders(places, folder, audit):
    for entry, number in _below(folder):
        audit.doubt("subfolder-unread", places.relative(entry), "%d annotation files in this sub-folder were not read" % number)
