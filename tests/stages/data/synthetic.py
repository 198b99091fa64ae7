"""Small synthetic artifacts, in the formats that the stages before write."""

import hashlib
import json
from pathlib import Path

from _detection.dataset import FLAGS
from _detection.label_map import format_label_map

from stage_helpers import artifact


def write(path, value):
    """Write JSON (or text) to `path`, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def obj(name, *bbox, **flags):
    """An object of a dataset; `bbox` is xmin, ymin, xmax, ymax in pixels."""
    return {"class": name, "bbox": list(bbox), **dict.fromkeys(FLAGS, False), **flags}


def image(number, objects, split="val", width=100, height=80, sha256="0" * 64):
    """An image of a dataset, as `Dataset.images` gives it."""
    return {
        "id": number,
        "file": "images/img%d.png" % number,
        "name": "img%d.png" % number,
        "sha256": sha256,
        "bytes": 100,
        "format": "PNG",
        "width": width,
        "height": height,
        "split": split,
        "annotation": "img%d.xml" % number,
        "objects": objects,
    }


def problem(severity, code, action="kept", file="train/a.xml", line=3, number=None, message="so it is"):
    """A problem of audit.json."""
    return {"severity": severity, "code": code, "file": file, "line": line, "object": number, "message": message, "action": action}


def dataset(folder, images, classes, problems=(), policy="refuse"):
    """A dataset artifact without pictures, schema 2: flags that are not set are left out, as `ingest` leaves them out."""
    splits = {}
    for each in images:
        splits.setdefault(each["split"], []).append(each)
    counts = {}
    for split, members in splits.items():
        objects = [item for each in members for item in each["objects"]]
        counts[split] = {
            "images": len(members),
            "objects": len(objects),
            "bytes": sum(each["bytes"] for each in members),
            "masks": sum("mask" in item for item in objects),
        }
        write(folder / (split + ".jsonl"), "".join(json.dumps(_as_line(each)) + "\n" for each in members))
    write(folder / "dataset.json", {"schema": 2, "classes": classes, "splits": counts, "hierarchy": {}})
    write(folder / "audit.json", {"schema": 2, "policy": policy, "problems": list(problems), "counts": {}})
    write(folder / "label_map.pbtxt", format_label_map(classes))
    return artifact("ingest", "dataset", folder)


def _as_line(each):
    objects = [{key: value for key, value in item.items() if value is not False} for item in each["objects"]]
    return {**{key: value for key, value in each.items() if key != "split"}, "objects": objects}


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
