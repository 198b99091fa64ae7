"""One image of the dataset as the tf.Example that the Object Detection API reads.

Keys: object_detection/data_decoders/tf_example_decoder.py in the wheel tf-object-detection 0.0.3.
"""

import hashlib

from _detection.tfrecord import example_bytes, frame
from _runtime import StageError

_FORMAT = {"JPEG": "jpeg", "PNG": "png"}
_FLAGS = {"difficult": "difficult", "truncated": "truncated", "is_crowd": "crowd", "group_of": "group_of"}


def framed_example(job):
    """The bytes of one record. job: (path of the image's file, its entry in dataset.json, class name to label id)."""
    path, image, ids = job
    with open(path, "rb") as stream:
        encoded = stream.read()
    digest = hashlib.sha256(encoded).hexdigest()
    if digest != image["sha256"]:
        raise StageError("an image of the dataset has changed", path, "sha256 %s" % image["sha256"], digest, "build the dataset again")
    return frame(example_bytes(features(image, encoded, ids)))


def features(image, encoded, ids):
    """Feature name to (kind, values). image: entry in dataset.json; encoded: its file's bytes; boxes are normalized to [0, 1]."""
    objects, size = image["objects"], {"x": image["width"], "y": image["height"]}
    named = {
        "image/encoded": ("bytes", [encoded]),
        "image/format": ("bytes", [_FORMAT[image["format"]]]),
        "image/filename": ("bytes", [image["name"]]),
        "image/source_id": ("bytes", [str(image["id"])]),
        "image/key/sha256": ("bytes", [image["sha256"]]),
        "image/height": ("int64", [image["height"]]),
        "image/width": ("int64", [image["width"]]),
        "image/object/class/text": ("bytes", [item["class"] for item in objects]),
        "image/object/class/label": ("int64", [ids[item["class"]] for item in objects]),
        "image/object/view": ("bytes", ["Unspecified" for _ in objects]),
    }
    for place, corner in enumerate(("xmin", "ymin", "xmax", "ymax")):
        named["image/object/bbox/" + corner] = ("float", [item["bbox"][place] / size[corner[0]] for item in objects])
    for key, flag in _FLAGS.items():
        named["image/object/" + key] = ("int64", [int(item[flag]) for item in objects])
    return named
