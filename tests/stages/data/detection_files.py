"""Detections artifacts as inference stages leave them, made without a model."""

import hashlib

import numpy as np
from _detection.detection_records import INDEX, SCHEMA, add_detections, write_shard
from _detection.example_message import Example
from _detection.mask_picture import mask_png
from _detection.postprocess import Detections
from synthetic import write

from stage_helpers import artifact

MODEL = {"runtime": "litert", "version": "2.3.0", "sha256": "a" * 64, "input_size": [160, 160]}


def example(image, rows, inputs="pixels", masks=False):
    """A record's tf.Example. rows: (class from 1, score, xmin, ymin, xmax, ymax in pixels[, mask: COCO's RLE])."""
    made = Example()
    features = made.features.feature
    for key, text in (("source_id", str(image["id"])), ("filename", image["name"]), ("key/sha256", image["sha256"])):
        features["image/" + key].bytes_list.value.append(text.encode())
    for side in ("width", "height"):
        features["image/" + side].int64_list.value.append(image[side])
    sides = np.array([image["height"], image["width"]] * 2, float)
    boxes = np.array([[row[3], row[2], row[5], row[4]] for row in rows], float).reshape(-1, 4) / sides
    found = Detections(
        boxes.astype(np.float32), np.array([row[0] for row in rows], int) - 1, np.array([row[1] for row in rows], np.float32)
    )
    digest = hashlib.sha256(("%s %s" % (inputs, image["id"])).encode()).hexdigest() if inputs else None
    return add_detections(made, found, [mask_png(row[6]) for row in rows] if masks else None, digest)


def write_examples(folder, name, examples, classes, split="val", kind="tflite", shards=1, masks=False, **index):
    """An artifact of these records, in this order; index: changes to inference.json."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = [len(examples) * number // shards for number in range(shards + 1)]
    written = []
    for number in range(shards):
        path = folder / ("%s.detections-%05d-of-%05d" % (split, number, shards))
        written.append(write_shard(path, examples[ends[number] : ends[number + 1]]))
    count = sum(len(each.features.feature["image/detection/score"].float_list.value) for each in examples)
    told = {"schema": SCHEMA, "split": split, "classes": list(classes), "images": len(examples), "detections": count}
    told.update(masks=masks, pixels=False, model={"kind": kind, **MODEL}, shards=written)
    write(folder / INDEX, {**told, **index})
    write(folder / "timing.json", {"schema": 2, "images": len(examples), "seconds_per_image": 0.01})
    return artifact(name, "detections", folder)


def write_detections(folder, name, images, found, classes, inputs="pixels", **more):
    """An artifact of `images` (of a dataset), in that order. found: {image's id: rows as `example` takes them}."""
    masks = more.get("masks", False)
    return write_examples(folder, name, [example(each, found.get(each["id"], []), inputs, masks) for each in images], classes, **more)
