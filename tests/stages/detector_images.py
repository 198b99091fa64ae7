"""A small dataset artifact with pictures, and its records, for the inference stages' tests. Python 3.7 and 3.11."""

import hashlib
import json

import numpy as np
from _detection.detection_records import write_shard
from _detection.example_message import Example
from PIL import Image

from stage_helpers import artifact


def picture(seed, width, height):
    """Smooth noise, uint8 [height, width, 3]: a picture that resizing and a detector have something to do with."""
    random = np.random.RandomState(seed)
    blocks = random.randint(0, 256, [(height + 7) // 8, (width + 7) // 8, 3])
    smooth = np.kron(blocks, np.ones([8, 8, 1]))[:height, :width]
    return np.clip(smooth + random.randint(-20, 21, [height, width, 3]), 0, 255).astype(np.uint8)


def size(number):
    """(width, height) in pixels of the picture `number` of a dataset."""
    return 60 + 13 * (number % 10), 130 - 9 * (number % 10)


def write_dataset(folder, classes, count=6, split="val"):
    """Write a dataset of one split and `count` pictures of different sizes, JPEG and PNG in turn; returns the task's entry for it."""
    (folder / "images").mkdir(parents=True)
    images = []
    for number in range(1, count + 1):
        width, height = size(number)
        name, options = (f"{number}.jpg", {"quality": 92}) if number % 2 else (f"{number}.png", {})
        Image.fromarray(picture(number, width, height)).save(str(folder / "images" / name), **options)
        images.append(
            {
                "id": number,
                "file": "images/" + name,
                "name": name,
                "width": width,
                "height": height,
                "objects": [],
                "sha256": hashlib.sha256((folder / "images" / name).read_bytes()).hexdigest(),
            }
        )
    (folder / (split + ".jsonl")).write_text("".join(json.dumps(image) + "\n" for image in images), encoding="utf-8")
    splits = {split: {"images": count, "objects": 0, "bytes": 0, "masks": 0}}
    value = {"schema": 2, "classes": classes, "splits": splits, "hierarchy": {}}
    (folder / "dataset.json").write_text(json.dumps(value), encoding="utf-8")
    return artifact("ingest", "dataset", folder)


def example(image, encoded, objects=()):
    """The tf.Example of an image as the stage records writes it. image: of SPLIT.jsonl; objects: (label, ymin, xmin, ymax, xmax) each."""
    made = Example()

    def put(key, kind, values):
        held = getattr(made.features.feature[key], kind + "_list")
        held.SetInParent()  # an empty list is present too
        held.value.extend(value.encode() if isinstance(value, str) else value for value in values)

    put("image/encoded", "bytes", [encoded])
    put("image/filename", "bytes", [image["name"]])
    put("image/format", "bytes", ["png" if image["name"].endswith("png") else "jpeg"])
    put("image/height", "int64", [image["height"]])
    put("image/width", "int64", [image["width"]])
    put("image/key/sha256", "bytes", [image["sha256"]])
    put("image/source_id", "bytes", [str(image["id"])])
    put("image/object/class/label", "int64", [each[0] for each in objects])
    for place, corner in enumerate(("ymin", "xmin", "ymax", "xmax"), 1):
        put("image/object/bbox/" + corner, "float", [each[place] for each in objects])
    return made


def write_records(folder, classes, count=6, shards=1, split="val"):
    """Write the records of such a dataset, which lies in `folder`/dataset; returns the task's entry for them."""
    source = folder / "dataset"
    write_dataset(source, classes, count, split)
    images = [json.loads(line) for line in (source / (split + ".jsonl")).read_text(encoding="utf-8").splitlines()]
    entries = []
    for number in range(shards):
        part = images[count * number // shards : count * (number + 1) // shards]
        objects = [[(image["id"] % len(classes) + 1, 0.25, 0.25, 0.75, 0.5)] for image in part]
        examples = [example(image, (source / image["file"]).read_bytes(), each) for image, each in zip(part, objects)]
        entries.append(write_shard(folder / "{}.record-{:05d}-of-{:05d}".format(split, number, shards), examples))
    splits = {split: {"images": count, "objects": count, "per_class": {}, "shards": entries}}
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": classes, "splits": splits}), encoding="utf-8")
    return artifact("records", "records", folder)
