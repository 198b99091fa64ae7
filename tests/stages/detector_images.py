"""A small dataset artifact with pictures, for the inference stages' tests. Python 3.7 and 3.11."""

import hashlib
import json

import numpy as np
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
