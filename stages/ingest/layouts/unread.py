"""Annotations that are recognized and not read: what they are, and how to get a layout that is, is better said than "no annotations"."""

import re

from formats.box_text import number

from layouts import open_images_files
from layouts.base import both_ends, files_in
from layouts.yolo_description import describes
from layouts.yolo_images import labels_below

_FILES = 5  # of a kind that a look at a folder opens
_FOLDERS = 12  # sub-folders that are looked into
_CONVERTED = "export them as COCO JSON or Pascal VOC"
_WIDER = re.compile(r"wider_?face_\w*bbx_gt\.txt", re.IGNORECASE)

# How a JSON begins, keys that it has in the first or the last 64 KiB, what it is, and what to do.
_JSON = (
    (b"[", (b'"coordinates"', b'"label"'), "CreateML JSON", _CONVERTED),
    (b"[", (b'"from_name"', b'"result"'), "Label Studio's own JSON", "export them from Label Studio as COCO or Pascal VOC"),
    (b"{", (b'"videoSettings"', b'"tags"'), "VoTT's own JSON", "export them from VoTT as CSV or Pascal VOC"),
    (b"{", (b'"regions"', b'"asset"'), "VoTT's own JSON", "export them from VoTT as CSV or Pascal VOC"),
    (b"{", (b'"shape_attributes"', b'"regions"'), "JSON of the VGG Image Annotator", "export them from it as COCO"),
)


def recognized(path):
    """(a sentence of what is there, the file that tells it, what to do) of a file, or of a folder and its sub-folders; else None."""
    if path.is_file():
        return _of_file(path)
    below = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))[:_FOLDERS]
    deeper = [entry / "labelTxt" for entry in below if (entry / "labelTxt").is_dir()]
    for folder in (*deeper, path, *below):
        for suffix in (".json", ".txt", ".csv", ".yaml", ".yml", ".data"):
            for file in sorted(files_in(folder, suffix), key=lambda file: _WIDER.fullmatch(file.name) is None)[:_FILES]:
                found = _of_file(file)
                if found is not None:
                    return found
    return None


def _of_file(path):
    known = {".json": _json, ".txt": _text, ".csv": _table}.get(path.suffix.lower(), _description)(path)
    return None if known is None else (known[0], path, known[1])


def _not_read(what):
    return "the annotations are %s, which is not read" % what


def _json(path):
    text = both_ends(path)
    start = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    for opens, keys, what, remedy in _JSON:
        if start == opens and all(key in text for key in keys):
            return _not_read(what), remedy
    return None


def _text(path):
    if _WIDER.fullmatch(path.name):
        return _not_read("a list of WIDER FACE"), "convert it to COCO JSON or Pascal VOC"
    lines = both_ends(path, 1 << 12).decode("utf-8", "replace").split("\n")
    cells = next((line.split() for line in lines if line.strip() and ":" not in line), [])  # DOTA begins with imagesource:GoogleEarth
    numbers = [number(cell) is not None for cell in cells]
    if len(cells) in (9, 10) and all(numbers[:8]) and not numbers[8]:
        return _not_read("DOTA's text, x1 y1 … x4 y4 class"), "export them as YOLO oriented boxes (YOLOv8 OBB): the box around each is read"
    if len(cells) in (15, 16) and not numbers[0] and all(numbers[1:]):
        return _not_read("KITTI's text"), "convert it to COCO JSON or Pascal VOC"
    return None


def _table(path):
    kind = open_images_files.kind_of(path)
    if kind not in (open_images_files.LABELS, open_images_files.ROTATION):
        return None
    what = "labels of whole images" if kind == open_images_files.LABELS else "a list of images"
    return "the Open Images table holds %s, and no boxes" % what, "download the table of boxes, too: train-annotations-bbox.csv"


def _description(path):
    """A data.yaml or obj.data without a label file anywhere around it."""
    if not describes(path) or labels_below(path.parent):
        return None
    return "the data.yaml of a YOLO dataset is there, and no label file", "add the label files, a .txt for each image in the folder labels"
