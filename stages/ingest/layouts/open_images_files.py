"""The files of Open Images V4 to V7: which is which by its first line, and what the small ones say.

The columns: https://storage.googleapis.com/openimages/web/download_v7.html. CVAT and FiftyOne write the same.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from formats.csv_blocks import blocks as csv_blocks
from formats.csv_blocks import open_table, read_block

from _detection.split_names import USUAL_SPLITS, split_in
from _runtime import StageError
from layouts.base import files_in, named_folders, read_text

BOXES, LABELS, MASKS, ROTATION = "boxes", "labels", "masks", "rotation"
BOX_COLUMNS = ("XMin", "YMin", "XMax", "YMax")
MASK_BOX_COLUMNS = ("BoxXMin", "BoxYMin", "BoxXMax", "BoxYMax")
_EDGES = {name.lower() for name in BOX_COLUMNS}
FORMAT = "a CSV of Open Images with the columns ImageID,LabelName,XMin,XMax,YMin,YMax"
ROOT = "/m/0bl9f"  # the entity that everything is, and no class
_FOLDERS = ("annotations", "labels", "metadata", "csv_folder", "boxes", "csv", "data")
_DESCRIPTIONS = re.compile(r"class(es)?[-_]description|^classes\.csv$", re.IGNORECASE)
_MASK_FOLDERS = re.compile(r"masks?|segmentations?", re.IGNORECASE)


def kind_of(path):
    """What the table holds, BOXES, LABELS, MASKS or ROTATION, by its header; None where it is another one, or no table. Never raises."""
    try:
        names = {name.lower() for name in open_table(path, path.name, FORMAT).header}
    except StageError:
        return None
    if {"imageid", "labelname", "maskpath"} <= names:
        return MASKS
    if {"imageid", "labelname"} | _EDGES <= names and "mask" not in names:  # `mask`: the challenge's own table of segments
        return BOXES
    if {"imageid", "labelname", "confidence"} <= names and not _EDGES & names:
        return LABELS
    return ROTATION if {"imageid", "rotation"} <= names else None


def split_of(path):
    """The split that a word of the file's name tells (oidv6-train-annotations-bbox.csv: train), or None."""
    return split_in(Path(path).stem)


def split_names(split):
    """The names that a split's folders have."""
    return [split, *(name for name, meant in USUAL_SPLITS.items() if meant == split and name != split)]


def annotation_folders(folder):
    """The folder, and its sub-folders of usual names."""
    return [Path(folder), *named_folders(folder, _FOLDERS)]


def tables_in(folder):
    """{kind: list of Paths} of the tables in a folder and its sub-folders of usual names; machine-made labels are left out."""
    found = {}
    for place in annotation_folders(folder):
        for path in files_in(place, ".csv"):
            kind = kind_of(path)
            if kind is not None and not (kind == LABELS and "machine" in path.name.lower()):
                found.setdefault(kind, []).append(path)
    return found


def of_split(paths, split):
    """The tables of a split: those that are named so, else those whose name tells no split."""
    return [path for path in paths if split_of(path) == split] or [path for path in paths if split_of(path) is None]


class Chosen(NamedTuple):
    """The tables of a split. boxes, labels, rotation: Path or None; masks: list of Paths. bases: folders in and around which the rest is.

    split: as the files call it, in the names of the parameter `splits`.
    """

    boxes: Path
    labels: Path
    masks: list
    rotation: Path
    bases: list
    split: str


def choose(places, split, spec):
    """The `Chosen` of a split's specification. Raises StageError where there is no table of boxes or masks, or several are."""
    way = next((way for way in ("annotations", "folder") if way in spec), None)
    given = places.root if way is None else places.either(split, way, spec[way])
    base = given if given.is_dir() else given.parent
    kinds = tables_in(base)
    if given.is_file():
        kind = kind_of(given)
        kinds[BOXES] = [given] if kind == BOXES else []
        told = split_of(given) or split
        kinds[MASKS] = [given] if kind == MASKS else of_split(kinds.get(MASKS, []), told)
    else:
        kinds[BOXES] = of_split(kinds.get(BOXES, []), split) or only(kinds.get(BOXES, []))
        told = next((split_of(path) for path in kinds[BOXES]), None) or split
        kinds[MASKS] = of_split(kinds.get(MASKS, []), told)
    boxes = _single(places, kinds[BOXES], "boxes", split, "annotations")
    labels = of_split(kinds.get(LABELS, []), told)
    labels = [path for path in labels if "boxable" in path.name.lower()] or labels
    if "image_labels" in spec:
        labels = [places.file(split, "image_labels", spec["image_labels"])]
    masks = [places.file(split, "masks", spec["masks"])] if "masks" in spec else kinds[MASKS]
    if boxes is None and not masks:
        found = ", ".join(path.name for path in files_in(base, ".csv")[:12])
        raise StageError(
            "there is no table of boxes for the split %s" % split,
            given,
            FORMAT,
            found or "no CSV",
            places.remedy(split, "annotations", "FILE"),
        )
    rotation = next(iter(of_split(kinds.get(ROTATION, []), told)), None)
    bases = [base] if base == places.root else [base, base.parent]
    return Chosen(boxes, _single(places, labels, "image labels", split, "image_labels"), masks, rotation, bases, told)


def only(paths):
    """The paths if there is one alone, else none."""
    return paths if len(paths) == 1 else []


def _single(places, paths, what, split, way):
    if len(paths) > 1:
        raise StageError(
            "the split has several tables of %s" % what,
            paths[0].parent,
            "one",
            ", ".join(path.name for path in paths),
            places.remedy(split, way, "FILE"),
        )
    return paths[0] if paths else None


def columns_of(table, names, optional=()):
    """{name: place} of a table's columns, in whatever case. Raises StageError where one is missing or there twice."""
    header = [name.lower() for name in table.header]
    missing = [name for name in names if name.lower() not in header]
    places = {name: header.index(name.lower()) for name in (*names, *optional) if name.lower() in header}
    twice = [name for name in places if header.count(name.lower()) > 1]
    if missing or twice:
        raise StageError(
            "the table %s" % ("lacks %s" % ", ".join(missing) if missing else "has %s twice" % ", ".join(twice)),
            "%s:1" % table.file,
            "the columns %s" % ", ".join(names),
            "the columns %s" % ", ".join(table.header),
            "download the file again, or correct its first line",
        )
    return places


def mask_folders(folders, split):
    """Folders where mask pictures may be: masks/train, masks, train-masks-0, … beside the tables."""
    found = []
    for folder in folders:
        entries = sorted(entry for entry in Path(folder).iterdir() if entry.is_dir() and _MASK_FOLDERS.search(entry.name))
        for entry in entries:
            if split_of(entry) in (None, split):
                found += [*named_folders(entry, split_names(split)), entry]
    return list(dict.fromkeys(found))


def find_descriptions(folders):
    """The file that names the classes: of several the one of the classes with boxes, else the first; None without."""
    found = [path for folder in folders for path in files_in(folder, ".csv") if _DESCRIPTIONS.search(path.name)]
    return next((path for path in found if "boxable" in path.name.lower()), found[0] if found else None)


def find_hierarchy(folders):
    """The file that tells which class is a kind of which, or None."""
    return next((path for folder in folders for path in files_in(folder, ".json") if "hierarchy" in path.name.lower()), None)


def read_descriptions(path, file, findings):
    """{LabelName: name} in the file's order, with or without a header. Names that several have are told apart by the LabelName."""
    table = open_table(path, file, "class descriptions, LabelName,DisplayName")
    if len(table.header) < 2:
        raise StageError(
            "the class descriptions have no names",
            "%s:1" % file,
            "LabelName,DisplayName",
            ",".join(table.header),
            "download the file again",
        )
    headed = table.header[0].lower() == "labelname"
    names, taken = {}, set()
    for block in csv_blocks(table, with_first_line=not headed):
        columns = read_block(block, {"mid": 0, "name": 1}, {}, findings)
        (mids, mid_texts), (shown, name_texts) = columns.texts["mid"], columns.texts["name"]
        for mid, name in zip([mid_texts[code] for code in mids.tolist()], [name_texts[code] for code in shown.tolist()], strict=True):
            if mid and mid not in names:
                names[mid] = "%s (%s)" % (name, mid) if name in taken or not name else name
                taken.add(name)
    return names


def read_hierarchy(path, file, names):
    """{class: [its direct subclasses]} by name, without the root. Parts are left out: a wheel is no kind of car. Raises StageError."""
    try:
        tree = json.loads(read_text(path, "the class hierarchy"))
        edges = _edges(tree)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise StageError(
            "the class hierarchy cannot be read",
            file,
            "JSON, {LabelName, Subcategory: […]} in one another",
            "%s: %s" % (type(error).__name__, error),
            "download the file again, or remove it",
        ) from None
    root = tree.get("LabelName")
    shown = {mid: names.get(mid, mid) for mid in edges}
    return {
        shown[mid]: [names.get(child, child) for child in children]
        for mid, children in edges.items()
        if children and mid not in (ROOT, root if root not in names else None)
    }


def _edges(tree):
    """{LabelName: its subcategories' LabelNames, each once}."""
    edges, waiting = {}, [tree]
    while waiting:
        node = waiting.pop(0)
        children = edges.setdefault(str(node["LabelName"]), [])
        for child in node.get("Subcategory", []):
            if str(child["LabelName"]) not in children:
                children.append(str(child["LabelName"]))
        waiting += [*node.get("Subcategory", []), *node.get("Part", [])]
    return edges
