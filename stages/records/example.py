"""One image of the dataset as the tf.Example that the Object Detection API reads.

Keys: object_detection/data_decoders/tf_example_decoder.py (its tf-object-detection 0.0.3 wheel).
"""
import hashlib

from image_bytes import readable_bytes

from _detection.tfrecord import example_bytes, frame

_FORMAT = {"JPEG": b"jpeg", "PNG": b"png"}


def framed_example(job):
    """The bytes of one record. job: (path of the image's file, its entry in dataset.json, class name to label id)."""
    path, image, ids = job
    with open(path, "rb") as stream:
        encoded, kind = readable_bytes(stream.read(), image["format"])
    return frame(example_bytes(features(image, encoded, kind, ids)))


def features(image, encoded, kind, ids):
    """The features; boxes normalized to [0, 1] by the image's width and height."""
    objects = image["objects"]
    width, height = image["width"], image["height"]
    named = {
        "image/encoded": encoded, "image/format": _FORMAT[kind], "image/filename": image["name"], "image/source_id": str(image["id"]),
        "image/key/sha256": hashlib.sha256(encoded).hexdigest(), "image/height": height, "image/width": width,
    }
    for place, corner in enumerate(("xmin", "ymin", "xmax", "ymax")):
        named["image/object/bbox/" + corner] = ("float", [item["bbox"][place] / (height if place % 2 else width) for item in objects])
    named["image/object/class/text"] = ("bytes", [item["class"] for item in objects])
    named["image/object/class/label"] = ("int64", [ids[item["class"]] for item in objects])
    for key, flag in (("difficult", "difficult"), ("truncated", "truncated"), ("is_crowd", "crowd"), ("group_of", "group_of")):
        named["image/object/" + key] = ("int64", [int(item[flag]) for item in objects])
    named["image/object/view"] = ("bytes", ["Unspecified" for _ in objects])
    return named
