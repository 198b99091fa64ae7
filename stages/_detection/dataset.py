"""Reading a dataset artifact (dataset.json, SPLIT.jsonl, images/), in every image: Python 3.7 and newer.

dataset.json: {"schema": 2, "classes": [name, …], "splits": {name: {"images", "objects", "bytes", "masks"}}, "hierarchy"}: numbers of
images, objects and bytes of image files; how many objects have a mask. A class's id is its place in `classes`, from 1. "hierarchy" is
{class: [its direct subclasses]}, empty where none was given.

SPLIT.jsonl: an image a line, in the order in which records are written: train by content, the others by id.
{"id", "file", "name", "sha256", "bytes", "format", "width", "height", "annotation", "objects": […]} and, where the annotations tell them,
"labels": {"present": [class], "absent": [class]} of the image as a whole. Ids count from 1 over all splits in the order of names. file:
path in the artifact, images/SHA256.jpg or .png; name: path in the user's folder; format: "JPEG" or "PNG"; width, height: pixels. The
picture is upright: it has no EXIF orientation.

An object: {"class", "bbox"} and, only where they differ from the defaults, the flags of FLAGS (false), "view" (""), "weight" (1.0) and
"mask" (none). bbox: [xmin, ymin, xmax, ymax], edges in pixels, floats, 0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height. mask:
COCO's compressed run-length encoding, {"size": [height, width], "counts": text}.
"""

import json
from pathlib import Path

from _runtime import StageError

SCHEMA = 2
FLAGS = ("difficult", "truncated", "group_of", "crowd", "occluded", "depiction")


def load(path):
    """The `Dataset` in the folder `path`. Raises StageError where there is none that this version reads."""
    file = Path(str(path)) / "dataset.json"
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(
            "the dataset cannot be read", file, "dataset.json of the stage ingest", str(error), "build the dataset again"
        ) from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not {"classes", "splits"} <= set(value):
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise StageError("the dataset has another schema", file, SCHEMA, found, "build the dataset again")
    return Dataset(file.parent, value)


def split_file(split):
    """The name of the file that tells a split's images."""
    return split + ".jsonl"


def parse_image(line, split):
    """An image as a dict, from its line in SPLIT.jsonl (text or bytes): flags filled in, and "split" added."""
    image = json.loads(line)
    image["split"] = split
    for item in image["objects"]:
        for flag in FLAGS:
            item.setdefault(flag, False)
    return image


class Dataset:
    """folder: of the artifact, a Path; classes: list of names; splits: sorted list of names; hierarchy: {class: [subclass]}."""

    def __init__(self, folder, value):
        self.folder = folder
        self.classes = list(value["classes"])
        self.splits = sorted(value["splits"])
        self.hierarchy = value.get("hierarchy") or {}
        self._counts = value["splits"]
        self._ids = {name: number for number, name in enumerate(self.classes, 1)}

    def counts(self, split):
        """What dataset.json says of a split. Raises StageError for an unknown one."""
        self._check(split)
        return self._counts[split]

    def images(self, split=None):
        """The images of a split, or all, as a list in order of id. Raises StageError for an unknown split."""
        chosen = self.splits if split is None else [split]
        return sorted((image for name in chosen for image in self.stream(name)), key=lambda image: image["id"])

    def stream(self, split):
        """The images of a split one by one, in the order of its file: for what must not hold a large dataset in memory."""
        self._check(split)
        with open(str(self.folder / split_file(split)), "rb") as stream:
            for line in stream:
                yield parse_image(line, split)

    def _check(self, split):
        if split not in self.splits:
            raise StageError(
                "the dataset has no split %s" % split,
                self.folder / "dataset.json",
                "one of %s" % ", ".join(self.splits),
                split,
                "choose one of these splits, or make it in `ingest`",
            )

    def path(self, image):
        """Path of the image's file."""
        return self.folder / image["file"]

    def class_id(self, name):
        """The label map's id of a class, from 1."""
        return self._ids[name]

    def coco(self, split=None):
        """Ground truth of a split, or of all, as a COCO dict: see `coco`."""
        return coco(self.images(split), self.classes)


def coco(images, classes):
    """Ground truth as a COCO dict (https://cocodataset.org/#format-data). images: as `Dataset.images` gives them; classes: names.

    Annotations: ids from 1; bbox [x, y, width, height] in pixels; area: the box's, in square pixels, with a mask too, so that an object's
    size does not depend on whether it has one; segmentation: the mask, where the object has one; iscrowd: 1 for a crowd or a group, so
    that COCO's metric neither rewards nor punishes what is found there; difficult: not COCO's, and pycocotools does not look at it.
    """
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations = [_annotation(image["id"], ids[item["class"]], item) for image in images for item in image["objects"]]
    return {
        "info": {"description": "EdgeMill dataset"},
        "licenses": [],
        "images": [{"id": image["id"], "file_name": image["file"], "width": image["width"], "height": image["height"]} for image in images],
        "annotations": [dict(annotation, id=number) for number, annotation in enumerate(annotations, 1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def _annotation(image_id, category_id, item):
    xmin, ymin, xmax, ymax = item["bbox"]
    annotation = {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
        "area": (xmax - xmin) * (ymax - ymin),
        "iscrowd": int(item["crowd"] or item["group_of"]),
        "difficult": int(item["difficult"]),
    }
    if "mask" in item:
        annotation["segmentation"] = item["mask"]
    return annotation
