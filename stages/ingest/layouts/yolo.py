"""YOLO label files: a .txt for each image, with a line for each object, in fractions of the image's width and height.

`class cx cy width height` (https://docs.ultralytics.com/datasets/detect/), or `class x1 y1 x2 y2 …` with at least three points
(https://docs.ultralytics.com/datasets/segment/): the box is the polygon's bounds, the mask the polygon. The four corners of an oriented
box (https://docs.ultralytics.com/datasets/obb/) are the same line as a polygon of four points, and are read as one.

Where a data.yaml, an obj.data or a list chooses the images, one without a label file is background, as Ultralytics and Darknet take it;
where a folder alone is looked at, it is not labelled.
"""

from pathlib import Path
from typing import NamedTuple, Optional

from audit.findings import Findings
from places import Places, neighbours
from tables import FRACTION, PartBuilder

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, chunks, named_folders
from layouts.yolo_description import describes, description_in, names_file, read_description, read_names
from layouts.yolo_images import Images, has_labels, inside, is_label, is_label_name, labels_below, look_up
from layouts.yolo_lines import read_labels

_LABEL_FOLDERS = ("labels", "Labels", "obj_train_data", "Annotations", "annotations")
_FILES = 500  # of a job
_SHOWN = 12  # names in a message


class _Found(NamedTuple):
    """What one way of telling a split finds.

    pairs: of images and label files. told: the Path that told it, for messages. names: {number: class name}, or None;
    then names_path: the file that has them, or folders: where to look for it. keypoints: numbers after the box in each line.
    """

    pairs: list
    told: Path
    folders: list
    names: Optional[dict] = None
    names_path: Optional[Path] = None
    keypoints: int = 0


class Yolo(Layout):
    """Options of a split: subset, its key in data.yaml or obj.data where that is not its name; names, a file with the class names."""

    name = "yolo"
    title = "YOLO label files (.txt)"
    options = ("subset", "names")

    def fits(self, path):
        if not path.is_file():
            # A data.yaml without a label file is left of another export, whose annotations are elsewhere.
            return (_told_by(path, describes) and labels_below(path)) or _label_folder(path) is not None or "train" in _trees(path)
        if path.suffix.lower() in (".yaml", ".yml", ".data"):
            return describes(path)
        return is_label_name(path.name) and is_label(path)

    def splits(self, folder):
        """The splits of data.yaml or obj.data whose images are there (`train` in any case), else those of images/train and labels/train."""
        path = description_in(folder)
        if path is None:
            found = _trees(folder)
        else:
            description, places = read_description(path), Places(folder, "ingest")
            found = {
                split: {"annotations": path.name} for split in description.entries if split == "train" or _there(places, description, split)
            }
        return found if "train" in found else None

    def source(self, places, split, spec):
        findings = Findings()
        images = Images(places, findings)
        path = places.either(split, "annotations", spec["annotations"]) if "annotations" in spec else None
        listed = "list" in spec or (path is not None and path.is_file())
        if "list" in spec:
            path = path and places.folder(split, "annotations", spec["annotations"])
            found = _of_list(places, split, spec, path, images)
        elif listed:
            found = _of_description(places, split, spec, path, images)
        else:
            found = _of_folders(places, split, spec, path, images)
        images.strays(found.pairs)
        pairs = _labelled(places, split, found, listed, findings)
        names, keypoints = _class_names(places, split, spec, found, findings)
        options = {"classes": list(dict.fromkeys(names[number] for number in sorted(names))), "names": names, "pairs": pairs}
        options.update(keypoints=keypoints, findings=findings.items)
        return Source(split, self.name, sorted(Path(pair.label) for pair in pairs if pair.label is not None), [], listed, options)

    def jobs(self, source, places, scratch):
        options = source.options
        for number, pairs in enumerate(chunks(options["pairs"], _FILES) or [[]]):
            labels = [None if pair.label is None else places.relative(pair.label) for pair in pairs]
            yield list(zip(pairs, labels, strict=True)), options["names"], options["keypoints"], options["findings"] if number == 0 else []

    def read(self, job):
        files, names, keypoints, findings = job
        part = PartBuilder(FRACTION)
        part.findings.items += findings
        read_labels(part, files, names, keypoints)
        return part.finish()


def _told_by(folder, test):
    """Whether a file of the folder passes the test for a data.yaml or obj.data."""
    return any(test(entry) for entry in folder.iterdir() if entry.suffix.lower() in (".yaml", ".yml", ".data") and entry.is_file())


def _label_folder(folder):
    """The folder itself or its sub-folder of a usual name, where there are label files; or None."""
    return next((place for place in (folder, *named_folders(folder, _LABEL_FOLDERS)) if has_labels(place)), None)


def _trees(folder):
    """{split: specification} of images/train with labels/train, and so on."""
    found = {}
    for labels in named_folders(folder, _LABEL_FOLDERS):
        for images in named_folders(folder, IMAGE_FOLDERS):
            for entry in sorted(entry for entry in labels.iterdir() if entry.is_dir() and (images / entry.name).is_dir()):
                split = USUAL_SPLITS.get(entry.name.lower())
                if split is not None and has_labels(entry):
                    told = {"annotations": "%s/%s" % (labels.name, entry.name), "images": "%s/%s" % (images.name, entry.name)}
                    found.setdefault(split, told)
    return found


def _there(places, description, split):
    try:
        _entry_paths(places, description, split, Findings())
    except StageError:
        return False
    return True


def _entry_paths(places, description, split, findings):
    """(the folder that the entries are relative to, the paths that the entry of a split names). Raises StageError."""
    base, entry = description.path.parent, description.entries[split]
    if description.base is not None:
        told = inside(places.root, base / description.base.replace("\\", "/"))
        if told is not None and told.is_dir():
            base = told
        else:
            message = "path: %s is no folder of the dataset: the YAML's own was taken" % description.base[:200]
            findings.note("yaml-path", places.relative(description.path), message)
    where = "%s:%d" % (description.path, entry.line)
    return base, [look_up(places, base, text, where, entry.key) for text in entry.texts]


def _of_description(places, split, spec, path, images):
    """A split that a data.yaml or an obj.data names."""
    description = read_description(path)
    key = spec.get("subset", split)
    chosen = next((name for name, entry in description.entries.items() if entry.key == key), None)
    if chosen is None and "subset" not in spec and split in description.entries:
        chosen = split
    if chosen is None:
        keys = ", ".join(entry.key for entry in description.entries.values())
        raise StageError("the split is not there", path, "the key %s" % key, keys or "no split", places.remedy(split, "subset", "KEY"))
    base, paths = _entry_paths(places, description, chosen, images.findings)
    pairs = []
    for entry in paths:
        pairs += (
            images.in_folder(entry) if entry.is_dir() else images.in_list(entry, list(dict.fromkeys((entry.parent, base, places.root))))
        )
    if chosen == "train":
        for other in sorted(set(description.entries) - {chosen}):
            if not _there(places, description, other):
                entry = description.entries[other]
                message = "%s: %s is not there: no split is taken from it" % (entry.key, ", ".join(entry.texts)[:200])
                images.findings.doubt("split-missing", places.relative(path), message, entry.line)
    names_path = None
    if description.names_file is not None and "names" not in spec:
        names_path = look_up(places, path.parent, description.names_file, "%s:1" % path, "names")
    return _Found(pairs, path, [path.parent], description.names, names_path, description.keypoints)


def _of_list(places, split, spec, labels, images):
    """A split that a list of image paths tells."""
    path = places.file(split, "list", spec["list"])
    bases = [places.folder(split, "images", spec["images"])] if "images" in spec else []
    pairs = images.in_list(path, list(dict.fromkeys((*bases, path.parent, places.root))), labels)
    return _Found(pairs, path, [path.parent, *([labels] if labels is not None else [])])


def _of_folders(places, split, spec, labels, images):
    """A split that is a folder of label files, and one of images."""
    if labels is None:
        folder = places.folder(split, "folder", spec["folder"])
        labels = _label_folder(folder)
        if labels is None:
            raise _no_labels(places, split, folder)
        tops = [folder, *named_folders(folder, IMAGE_FOLDERS)]
    else:
        parts = labels.relative_to(places.root).parts
        beside = [places.root.joinpath(*parts[:-1], "images"), places.root.joinpath(*parts[:-2], "images", *parts[-1:])]
        folder = labels
        tops = [labels, *(place for place in beside if place.is_dir()), *named_folders(places.root, IMAGE_FOLDERS), places.root]
    if "images" in spec:
        tops = [places.folder(split, "images", spec["images"])]
    pairs, seen = [], 0
    for top in dict.fromkeys(tops if labels == folder else [*tops[1:], tops[0]]):
        images.forget()
        pairs = images.in_trees(top, labels)
        seen += len(pairs)
        if any(pair.label is not None for pair in pairs):
            break
    else:
        if seen == 0:
            shown = " or ".join(str(top) for top in dict.fromkeys(tops))
            raise StageError(
                "there are no images", shown, "image files", neighbours(tops[0] / "*"), places.remedy(split, "images", "FOLDER")
            )
    return _Found(pairs, labels, [labels, folder, *dict.fromkeys(tops)])


def _no_labels(places, split, folder):
    return StageError(
        "there are no label files",
        folder,
        "a .txt for each image, with lines `class cx cy width height`, beside the images or in the folder labels where they are in images",
        neighbours(folder / "*"),
        places.remedy(split, "annotations", "FOLDER"),
    )


def _labelled(places, split, found, listed, findings):
    """The pairs that are read; images without a label file are told. Raises StageError where no image has one."""
    if not found.pairs:
        raise StageError("there are no images", found.told, "image files where it says", "none", "correct its paths, or the stage's `path`")
    if all(pair.label is None for pair in found.pairs):
        raise _no_labels(places, split, Path(found.pairs[0].image).parent)
    without = [pair for pair in found.pairs if pair.label is None]
    if not listed:
        for pair in without:
            findings.doubt("image-unlabelled", pair.name, "no label file has this image's name; it is left out")
        return [pair for pair in found.pairs if pair.label is not None]
    if without:
        message = "%d of %d images have no label file, %s first: taken as background" % (len(without), len(found.pairs), without[0].name)
        findings.doubt("label-file-missing", places.relative(found.told), message)
    return found.pairs


def _class_names(places, split, spec, found, findings):
    """({number: class name}, how many numbers of keypoints follow a box). Raises StageError where nobody tells the names."""
    path, names, keypoints = found.names_path, found.names, found.keypoints
    if "names" in spec:
        path, names = places.file(split, "names", spec["names"]), None
    if names is None:
        path = path or names_file(found.folders, places.root)
        if path is None:
            raise StageError(
                "the class names are not told",
                found.told,
                "data.yaml with `names`, or classes.txt, obj.names or another .names with a name in each line, in the order of the numbers",
                neighbours(found.folders[0] / "*"),
                places.remedy(split, "names", "FILE"),
            )
        names, told = read_names(path)
        keypoints = keypoints or told
    if len(set(names.values())) < len(names):
        seen = list(names.values())
        repeated = sorted({name for place, name in enumerate(seen) if name in seen[:place]})
        message = "several numbers have the name %s: taken as one class" % ", ".join(repeated[:_SHOWN])
        findings.doubt("names-repeated", places.relative(path or found.told), message)
    return names, keypoints
