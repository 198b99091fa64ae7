"""Helpers for the tests of what reads TFRecords: small files of records, whole and damaged."""

import io
import random
import struct

from _detection.tf_example import Example
from _detection.tfrecord import masked_crc32c
from PIL import Image

WIDTH, HEIGHT = 24, 16
LABEL_MAP = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' display_name: 'Dog' }\n"


def frame(payload):
    """The bytes of a record."""
    length = struct.pack("<Q", len(payload))
    return b"".join([length, struct.pack("<I", masked_crc32c(length)), payload, struct.pack("<I", masked_crc32c(payload))])


def example_bytes(features):
    """A serialized tf.Example. features: name to (kind, values) with kind "bytes" (of bytes or str), "int64" or "float"."""
    example = Example()
    for name, (kind, values) in features.items():
        held = getattr(example.features.feature[name], kind + "_list")
        held.SetInParent()  # an empty list is present too
        held.value.extend(item.encode() if isinstance(item, str) else item for item in values)
    return example.SerializeToString(deterministic=True)


def picture(seed=0, size=(WIDTH, HEIGHT), kind="PNG", mode="RGB"):
    """The bytes of a noisy picture."""
    pixels = random.Random(seed).randbytes(size[0] * size[1] * len(mode))
    stream = io.BytesIO()
    Image.frombytes(mode, size, pixels).save(stream, kind)
    return stream.getvalue()


def mask(size=(WIDTH, HEIGHT)):
    """The bytes of a PNG mask whose left half is the object's."""
    image = Image.new("L", size, 0)
    image.paste(1, (0, 0, size[0] // 2, size[1]))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def features(number=1, boxes=((0.25, 0.25, 0.75, 0.5),), labels=(1,), texts=("cat",), **other):
    """The features of a good record; boxes: xmin, ymin, xmax, ymax. `other` replaces a feature, with __ for /; None leaves it out."""
    columns = list(zip(*boxes, strict=True)) or [()] * 4
    made = {
        "image/encoded": ("bytes", [picture(number)]),
        "image/format": ("bytes", ["png"]),
        "image/filename": ("bytes", ["p%d.png" % number]),
        "image/source_id": ("bytes", [str(number)]),
        "image/height": ("int64", [HEIGHT]),
        "image/width": ("int64", [WIDTH]),
        "image/object/class/text": ("bytes", list(texts)),
        "image/object/class/label": ("int64", list(labels)),
    }
    for corner, column in zip(("xmin", "ymin", "xmax", "ymax"), columns, strict=True):
        made["image/object/bbox/" + corner] = ("float", list(column))
    made.update({name.replace("__", "/"): value for name, value in other.items()})
    return {name: value for name, value in made.items() if value is not None}


def record(number=1, **other):
    """The framed bytes of a record; arguments as of `features`."""
    return frame(example_bytes(features(number, **other)))


def write(path, records):
    """Write framed records to a file, its folder too; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(records))
    return path
