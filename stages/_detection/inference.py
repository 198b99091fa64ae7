"""Running a detector over a split of a dataset, the same way for every kind of model.

A *detector* is a picklable callable: uint8 pixels [1, height, width, 3] -> `postprocess.Detections`. What differs between models is in it
alone; images, order, boxes in pixels and the files that are written are here. Python 3.7 and 3.11.
"""

import json
import statistics
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from _detection.resize import model_input, sha256
from _detection.workers import ordered_map
from _runtime import StageError, atomic_write, write_json

_SAME_DATASET = "give the dataset that the model was trained on, or one with the same label map"


class _Seen(NamedTuple):
    """What one image gave. detections: `postprocess.Detections`; input_sha256: of the uint8 input; preparing, running: seconds."""

    detections: Any
    input_sha256: str
    preparing: float
    running: float


def check_classes(model, dataset, where):
    """The model's class names must be the dataset's, in order, or every label would be another. Raises StageError."""
    if len(model) != len(dataset):
        raise StageError(
            "the model and the dataset have different numbers of classes",
            where,
            "%d: %s" % (len(dataset), _names(dataset)),
            "%d: %s" % (len(model), _names(model)),
            _SAME_DATASET,
        )
    for number, (ours, theirs) in enumerate(zip(model, dataset), 1):
        if ours != theirs:
            raise StageError(
                "the model and the dataset name a class differently", "%s, class %d" % (where, number), theirs, ours, _SAME_DATASET
            )


def _names(names):
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def run_detector(task, dataset, split, size, detector, model):
    """Run `detector` on each image of the split, in `task.cpus` processes, and write detections.json, inference.json and timing.json.

    dataset: a `dataset.Dataset`; size: (height, width) of the model's input; model: {"kind", "runtime", "version", "sha256"}.
    The files depend on neither the number of processes nor, timing.json aside, on anything but the model and the images.
    """
    images = dataset.images(split)
    if not images:
        raise StageError("the split has no images", "split %s" % split, "one image or more", 0, "choose another split")
    seen, found = [], 0
    results = ordered_map(partial(_see, detector, tuple(size)), [str(dataset.path(image)) for image in images], task.cpus)
    with atomic_write(task.output / "detections.json", "w") as stream:
        stream.write("[")
        for done, (image, result) in enumerate(zip(images, results), 1):
            for row in coco_results(image, result.detections):
                stream.write(",\n" if found else "\n")
                stream.write(json.dumps(row, sort_keys=True, allow_nan=False))
                found += 1
            seen.append(result._replace(detections=None))
            task.progress(done, len(images), "image", detections=found)
        stream.write("\n]\n")
    write_json(
        task.output / "inference.json",
        {
            "schema": 1,
            "model": model,
            "split": split,
            "images": [{"id": image["id"], "input_sha256": result.input_sha256} for image, result in zip(images, seen)],
        },
    )
    timing = _timing(seen, task.cpus)
    write_json(task.output / "timing.json", timing)
    if not found:
        task.warn("nothing was found in %d images" % len(images))
    task.metrics.update({"images": len(images), "detections": found, "seconds_per_image": timing["seconds_per_image"]})


def _see(detector, size, path):
    start = time.perf_counter()
    pixels = model_input(path, *size)
    ready = time.perf_counter()
    try:
        detections = detector(pixels)
    except StageError as error:
        # Which image it was is known only here.
        raise StageError(error.what, "%s, on image %s" % (error.where, path), error.expected, error.found, error.remedy) from None
    return _Seen(detections, sha256(pixels), ready - start, time.perf_counter() - ready)


def _timing(seen, processes):
    """Medians, because the first image of each process pays for loading the model."""
    return {
        "schema": 1,
        "images": len(seen),
        "processes": processes,
        "seconds_per_image": round(statistics.median(result.running for result in seen), 6),
        "seconds_preparing_per_image": round(statistics.median(result.preparing for result in seen), 6),
    }


def coco_results(image, detections):
    """Rows of a COCO results list (https://cocodataset.org/#format-results): category_id from 1, bbox [x, y, width, height] in pixels.

    image: of dataset.json. Boxes are clipped to the image, as training's own evaluation clips them; what lies outside is left out.
    """
    sides = np.array([image["height"], image["width"]] * 2, np.float64)
    boxes = np.clip(detections.boxes.astype(np.float64), 0.0, 1.0) * sides
    rows = []
    for (ymin, xmin, ymax, xmax), number, score in zip(boxes.tolist(), detections.classes.tolist(), detections.scores):
        if ymax > ymin and xmax > xmin:
            rows.append(
                {
                    "image_id": image["id"],
                    "category_id": number + 1,
                    "score": _short(score),
                    "bbox": [round(value, 3) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
                }
            )
    return rows


def _short(score):
    """The shortest decimal number that is the same float32."""
    return float(str(np.float32(score)))
