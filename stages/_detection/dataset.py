"""Reading a dataset artifact (dataset.json, images/), in every image: Python 3.7 and 3.11.

dataset.json: {"schema": 1, "classes": [name, …], "images": [{"id", "file", "name", "sha256", "bytes", "format", "width", "height", "split",
"annotation", "objects": [{"class", "bbox", "difficult", "truncated", "group_of", "crowd"}]}]}. Ids count from 1 in the order of the
list; a class's id is its place in `classes`, from 1. file: path in the artifact, images/SHA256.jpg or .png; name: path in the user's
folder; format: "JPEG" or "PNG"; width, height: pixels; bbox: [xmin, ymin, xmax, ymax], edges in pixels, floats,
0 <= xmin < xmax <= width and 0 <= ymin < ymax <= height.
"""

import json
from pathlib import Path

from _runtime import StageError

SCHEMA = 1


def load(path):
    """The `Dataset` in the folder `path`. Raises StageError where there is none that this version reads."""
    file = Path(str(path)) / "dataset.json"
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(
            "the dataset cannot be read", file, "dataset.json of the stage ingest", str(error), "build the dataset again"
        ) from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or not {"classes", "images"} <= set(value):
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise StageError("the dataset has another schema", file, SCHEMA, found, "build the dataset again")
    return Dataset(file.parent, value["classes"], value["images"])


class Dataset:
    """folder: of the artifact, a Path; classes: list of names; splits: sorted list of names."""

    def __init__(self, folder, classes, images):
        self.folder = folder
        self.classes = list(classes)
        self.splits = sorted({image["split"] for image in images})
        self._images = images
        self._ids = {name: number for number, name in enumerate(self.classes, 1)}

    def images(self, split=None):
        """The images (dicts as in dataset.json) of a split, or all, in order of id. Raises StageError for an unknown split."""
        if split is not None and split not in self.splits:
            raise StageError(
                "the dataset has no split %s" % split,
                self.folder / "dataset.json",
                "one of %s" % ", ".join(self.splits),
                split,
                "choose one of these splits, or make it in `ingest`",
            )
        return [image for image in self._images if split in (None, image["split"])]

    def path(self, image):
        """Path of the image's file."""
        return self.folder / image["file"]

    def class_id(self, name):
        """The label map's id of a class, from 1."""
        return self._ids[name]

    def coco(self, split=None):
        """Ground truth of a split as a COCO dict (https://cocodataset.org/#format-data): ids from 1, bbox [x, y, width, height] in pixels,
        area in square pixels; iscrowd is 1 for a crowd or a group, so that COCO's metric neither rewards nor punishes what is found there.
        The extra key "difficult" is not COCO's, and pycocotools does not look at it.
        """
        images = self.images(split)
        annotations = []
        for image in images:
            for item in image["objects"]:
                xmin, ymin, xmax, ymax = item["bbox"]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": self.class_id(item["class"]),
                        "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
                        "area": (xmax - xmin) * (ymax - ymin),
                        "iscrowd": int(item["crowd"] or item["group_of"]),
                        "difficult": int(item["difficult"]),
                    }
                )
        return {
            "info": {"description": "EdgeMill dataset"},
            "licenses": [],
            "images": [
                {"id": image["id"], "file_name": image["file"], "width": image["width"], "height": image["height"]} for image in images
            ],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(self.classes, 1)],
        }
