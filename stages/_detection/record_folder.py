"""A folder of TFRecord files: which files are meant, which splits their names tell, and the label map beside them."""

import os
from pathlib import Path
from typing import NamedTuple

from _detection.label_map import read_items
from _detection.split_names import split_in
from _detection.tfrecord_reader import shard_of
from _runtime import StageError

LABEL_MAP = "label_map.pbtxt"


class Labels(NamedTuple):
    """A label map as records are read with it.

    names: {id: name}, with whatever ids it has; texts: {name or display name: id}; doubts: list of (code, message, line) of what is odd.
    """

    names: dict
    texts: dict
    doubts: list


def record_files(path):
    """The TFRecord files that `path` means, sorted: itself where it is a file, else those below it by their names."""
    path = Path(str(path))
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(str(path)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder) / name for name in names if not name.startswith(".") and shard_of(name) is not None]
    return sorted(found)


def split_of(path):
    """The split that a file's name tells ("coco_train.record-00000-of-00010": train), else that of its folder, else None."""
    return split_in(shard_of(path.name).family if shard_of(path.name) else path.name) or split_in(path.parent.name)


def label_map_in(folder):
    """The Path of the folder's label map: label_map.pbtxt, else the only .pbtxt file; None where it is not clear, or there is none."""
    if (folder / LABEL_MAP).is_file():
        return folder / LABEL_MAP
    found = [entry for entry in Path(folder).iterdir() if entry.suffix == ".pbtxt" and not entry.name.startswith(".")]
    return found[0] if len(found) == 1 else None


def read_labels(path):
    """The `Labels` of a label map file. Raises StageError where it cannot be read."""
    try:
        text = Path(str(path)).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StageError("the label map cannot be read: %s" % error.strerror, path, "a text file", None, "check the path") from None
    except UnicodeDecodeError:
        raise StageError("the label map is not UTF-8", path, "UTF-8 text", "other bytes", "save it as UTF-8") from None
    names, texts, doubts, lines = {}, {}, [], {}
    for item in read_items(text, path):
        if item.id in names:
            doubts.append(("label-map-duplicate", "the id %d is that of line %d too" % (item.id, lines[item.id]), item.line))
            continue
        if item.id < 1:
            doubts.append(("label-map-zero", "the id %d is below 1: 0 stands for the background" % item.id, item.line))
        names[item.id], lines[item.id] = item.name, item.line
        doubts += [
            ("label-map-duplicate", "the name %s is that of the id %d too" % (text, texts[text]), item.line)
            for text in dict.fromkeys((item.name, item.display_name))
            if text and texts.setdefault(text, item.id) != item.id
        ]
    missing = [number for number in range(1, min(max(names, default=0), 100_000)) if number not in names]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
        doubts.append(("label-map-gap", "%d ids between 1 and %d are of no item: %s" % (len(missing), max(names), shown), None))
    return Labels(names, texts, doubts)
