"""A training that takes seconds: a few noisy pictures as records, and the artifacts around the config of a small detector."""

import hashlib
import io
import json
import struct

import numpy as np
import tensorflow as tf
from PIL import Image
from tiny_config_tf2 import CLASSES, SIZE
from tiny_config_tf2 import config_text as any_config_text

from stage_helpers import artifact

PARAMS = {
    "evaluate_every": 0,
    "checkpoint_every": 2,
    "keep_checkpoints": 3,
    "export": "last",
    "deterministic": False,
    "seed": 1,
    "intra_op_threads": 2,
    "inter_op_threads": 2,
    "warm_start": None,
    "warm_start_type": "detection",
    "untrained": False,
}
# What the image sets besides what every image has.
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1"}


def config_text(**options):
    """The pipeline.config of tiny_config_tf2 with the backbone that has the fewest layers to trace."""
    return any_config_text(**options).replace("ssd_mobilenet_v2_keras", "ssd_mobilenet_v1_keras")


def write_config(folder, text, num_steps=4):
    """A pipeline-config artifact."""
    folder.mkdir()
    (folder / "pipeline.config").write_text(text, encoding="utf-8")
    said = {
        "schema": 1,
        "input_size": [SIZE, SIZE],
        "num_classes": len(CLASSES),
        "classes": CLASSES,
        "num_steps": num_steps,
        "quantization_delay": None,
        "changes": [],
    }
    (folder / "config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def write_records(folder):
    """A records artifact: two train shards of three pictures, one val shard of two."""
    folder.mkdir()
    random, splits = np.random.RandomState(3), {}
    for split, shards, count in (("train", 2, 3), ("val", 1, 2)):
        files = []
        for number in range(shards):
            path = folder / f"{split}.record-{number:05d}-of-{shards:05d}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for picture in range(count):
                    writer.write(example(random, f"{split}-{number}-{picture}"))
            content = path.read_bytes()
            files.append({"file": path.name, "records": count, "bytes": len(content), "frames": frames(content)})
        images = shards * count
        splits[split] = {"images": images, "objects": images, "per_class": {}, "shards": files}
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": CLASSES, "splits": splits}), encoding="utf-8")
    items = ["item {\n  id: %d\n  name: '%s'\n}\n" % item for item in enumerate(CLASSES, 1)]
    (folder / "label_map.pbtxt").write_text("".join(items), encoding="utf-8")
    return folder


def frames(content):
    """The checksum that records.json has of a shard's bytes."""
    digest, place = hashlib.sha256(), 0
    while place < len(content):
        end = place + 12 + struct.unpack_from("<Q", content, place)[0] + 4
        digest.update(content[place : place + 12] + content[end - 4 : end])
        place = end
    return digest.hexdigest()


def inputs(records, config):
    """The inputs of a train-tf2 task."""
    return {"records": artifact("records", "records", records), "config": artifact("configure-tf2", "pipeline-config", config)}


def example(random, name):
    """A picture of noise with one coloured box in it, as a serialized tf.Example."""
    pixels = random.randint(0, 256, [80, 100, 3]).astype(np.uint8)
    kind, y, x = random.randint(0, 3), random.randint(0, 30), random.randint(0, 40)
    pixels[y : y + 40, x : x + 50] = 100 * kind
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    features = {
        "image/encoded": _bytes(stream.getvalue()),
        "image/format": _bytes(b"jpeg"),
        "image/filename": _bytes(name.encode()),
        "image/source_id": _bytes(name.encode()),
        "image/height": _ints(80),
        "image/width": _ints(100),
        "image/object/class/text": _bytes(CLASSES[kind].encode()),
        "image/object/class/label": _ints(kind + 1),
    }
    for corner, value in {"ymin": y / 80, "xmin": x / 100, "ymax": (y + 40) / 80, "xmax": (x + 50) / 100}.items():
        features["image/object/bbox/" + corner] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
