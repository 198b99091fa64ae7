"""Small synthetic artifacts, in the formats that the stages before write."""

import hashlib
import json
from pathlib import Path

from stage_helpers import artifact


def write(path, value):
    """Write JSON (or text) to `path`, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def obj(name, *bbox, **flags):
    """An object of dataset.json; `bbox` is xmin, ymin, xmax, ymax in pixels."""
    return {"class": name, "bbox": list(bbox), "difficult": False, "truncated": False, "group_of": False, "crowd": False, **flags}


def image(number, objects, split="val", width=100, height=80):
    """An image of dataset.json."""
    return {
        "id": number,
        "file": "images/img%d.png" % number,
        "name": "img%d.png" % number,
        "sha256": "0" * 64,
        "width": width,
        "height": height,
        "split": split,
        "objects": objects,
    }


def dataset(folder, images, classes):
    """A dataset artifact without pictures."""
    write(folder / "dataset.json", {"schema": 1, "classes": classes, "images": images})
    write(folder / "audit.json", {"schema": 1, "problems": [], "counts": {}})
    write(folder / "label_map.pbtxt", "".join('item {\n  id: %d\n  name: "%s"\n}\n' % item for item in enumerate(classes, start=1)))
    return artifact("ingest", "dataset", folder)


def found(number, category, score, *bbox):
    """A detection; `bbox` is x, y, width, height in pixels."""
    return {"image_id": number, "category_id": category, "bbox": list(bbox), "score": score}


def detections(folder, name, images, results, split="val", kind="tflite"):
    """A detections artifact for `images` (of dataset.json), in that order."""
    write(folder / "detections.json", results)
    write(
        folder / "inference.json",
        {
            "schema": 1,
            "model": {"kind": kind, "runtime": "litert", "version": "2.3.0", "sha256": "a" * 64},
            "split": split,
            "images": [{"id": each["id"], "input_sha256": hashlib.sha256(str(each["id"]).encode()).hexdigest()} for each in images],
        },
    )
    write(folder / "timing.json", {"schema": 1, "seconds_per_image": 0.01})
    return artifact(name, "detections", folder)
