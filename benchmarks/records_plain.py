"""VOC to TFRecord as a plain script does it, in the manner of the API's create_pascal_tf_record: one process, one image after the other.

Runs in the train image's Python: python records_plain.py VOC_FOLDER RECORD_FILE CLASS…; prints images and the seconds without imports.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from typing import Any

import tensorflow as tf
from lxml import etree
from PIL import Image


def main(root: str, output: str, classes: list[str]) -> None:
    """Write every annotation in ROOT/Annotations and its image in ROOT/JPEGImages."""
    begin = time.perf_counter()
    ids = {name: number for number, name in enumerate(classes, 1)}
    names = sorted(name for name in os.listdir(os.path.join(root, "Annotations")) if name.endswith(".xml"))
    with tf.python_io.TFRecordWriter(output) as writer:
        for name in names:
            with tf.gfile.GFile(os.path.join(root, "Annotations", name), "r") as stream:
                said = as_dict(etree.fromstring(stream.read()))["annotation"]
            writer.write(example(said, os.path.join(root, "JPEGImages"), ids).SerializeToString())
    print(len(names), time.perf_counter() - begin)


def as_dict(element: Any) -> dict[str, Any]:
    """Nested dicts of an XML tree; objects are a list."""
    if not len(element):
        return {element.tag: element.text}
    held = {}
    for child in element:
        value = as_dict(child)[child.tag]
        if child.tag == "object":
            held.setdefault("object", []).append(value)
        else:
            held[child.tag] = value
    return {element.tag: held}


def example(said: dict[str, Any], folder: str, ids: dict[str, int]) -> tf.train.Example:
    """The tf.train.Example of an annotation."""
    with tf.gfile.GFile(os.path.join(folder, said["filename"]), "rb") as stream:
        encoded = stream.read()
    if Image.open(io.BytesIO(encoded)).format != "JPEG":
        raise ValueError(said["filename"])
    width, height = int(said["size"]["width"]), int(said["size"]["height"])
    objects = said.get("object", [])
    features = {
        "image/height": ints([height]),
        "image/width": ints([width]),
        "image/filename": texts([said["filename"]]),
        "image/source_id": texts([said["filename"]]),
        "image/key/sha256": texts([hashlib.sha256(encoded).hexdigest()]),
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/format": texts(["jpeg"]),
        "image/object/class/text": texts([item["name"] for item in objects]),
        "image/object/class/label": ints([ids[item["name"]] for item in objects]),
        "image/object/difficult": ints([int(item["difficult"]) for item in objects]),
        "image/object/truncated": ints([int(item["truncated"]) for item in objects]),
        "image/object/view": texts([item["pose"] for item in objects]),
    }
    for corner, side in (("xmin", width), ("ymin", height), ("xmax", width), ("ymax", height)):
        values = [float(item["bndbox"][corner]) / side for item in objects]
        features["image/object/bbox/" + corner] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Example(features=tf.train.Features(feature=features))


def ints(values: list[int]) -> tf.train.Feature:
    """A feature of whole numbers."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def texts(values: list[str]) -> tf.train.Feature:
    """A feature of texts."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode("utf-8") for value in values]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
