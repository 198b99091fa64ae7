"""A training that takes seconds: a few noisy pictures as records, and the config of a small detector. Python 3.7."""

import hashlib
import io
import json
import struct

import numpy as np
import tensorflow as tf
import tiny_detector
from PIL import Image

from stage_helpers import artifact

PARAMS = {
    "evaluate_every": 0,
    "checkpoint_every": 2,
    "keep_checkpoints": 3,
    "export": "last",
    "keep_float": True,
    "deterministic": False,
    "seed": 1,
    "intra_op_threads": 1,
    "inter_op_threads": 1,
    "warm_start": None,
    "untrained": False,
}
_TRAINING = """
train_config {
  batch_size: 2 num_steps: %(num_steps)d
  data_augmentation_options { random_horizontal_flip { } }
  data_augmentation_options { ssd_random_crop { } }
  optimizer {
    use_moving_average: false
    momentum_optimizer { momentum_optimizer_value: 0.9 learning_rate { constant_learning_rate { learning_rate: %(rate)s } } }
  }
}
train_input_reader { label_map_path: "label_map.pbtxt" tf_record_input_reader { input_path: "train.record-?????-of-00002" } }
eval_config { batch_size: 1 num_examples: 2 metrics_set: "coco_detection_metrics" }
eval_input_reader {
  shuffle: false num_readers: 1 label_map_path: "label_map.pbtxt" tf_record_input_reader { input_path: "val.record-00000-of-00001" }
}
"""


def config_text(num_steps=4, delay=2, rate="0.01"):
    """A pipeline.config with names inside the records artifact; the backbone is the one with the fewest layers to build."""
    text = tiny_detector.config_text(delay=delay).replace("ssd_mobilenet_v2", "ssd_mobilenet_v1").replace("eval_config { }", "")
    return text + _TRAINING % {"num_steps": num_steps, "rate": rate}


def write_config(folder, text, num_steps=4, delay=2):
    """A pipeline-config artifact."""
    folder.mkdir()
    (folder / "pipeline.config").write_text(text, encoding="utf-8")
    said = {
        "schema": 1,
        "input_size": [96, 96],
        "num_classes": 3,
        "classes": tiny_detector.CLASSES,
        "num_steps": num_steps,
        "quantization_delay": delay,
    }
    (folder / "config.json").write_text(json.dumps(dict(said, changes=[])), encoding="utf-8")
    return folder


def write_records(folder):
    """A records artifact: two train shards of three pictures, one val shard of two."""
    folder.mkdir()
    random, splits = np.random.RandomState(3), {}
    for split, shards in (("train", 2), ("val", 1)):
        files = []
        for number in range(shards):
            path = folder / f"{split}.record-{number:05d}-of-{shards:05d}"
            count = 3 if split == "train" else 2
            with tf.python_io.TFRecordWriter(str(path)) as writer:
                for picture in range(count):
                    writer.write(_example(random, f"{split}-{number}-{picture}"))
            content = path.read_bytes()
            files.append({"file": path.name, "records": count, "bytes": len(content), "frames": frames(content)})
        images = sum(shard["records"] for shard in files)
        splits[split] = {"images": images, "objects": images, "per_class": {}, "shards": files}
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": tiny_detector.CLASSES, "splits": splits}), encoding="utf-8")
    items = ["item {\n  id: %d\n  name: '%s'\n}\n" % item for item in enumerate(tiny_detector.CLASSES, 1)]
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
    """The inputs of a train task."""
    return {"records": artifact("records", "records", records), "config": artifact("configure", "pipeline-config", config)}


def _example(random, name):
    """A picture of noise with one coloured box in it, as a serialized tf.Example."""
    pixels = random.randint(0, 256, [80, 100, 3]).astype(np.uint8)
    kind = random.randint(0, 3)
    y, x = random.randint(0, 30), random.randint(0, 40)
    pixels[y : y + 40, x : x + 50] = 100 * kind
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    box = {"ymin": y / 80.0, "xmin": x / 100.0, "ymax": (y + 40) / 80.0, "xmax": (x + 50) / 100.0}
    feature = {"image/object/bbox/" + corner: _floats(value) for corner, value in box.items()}
    feature.update(
        {
            "image/encoded": _bytes(stream.getvalue()),
            "image/format": _bytes(b"jpeg"),
            "image/filename": _bytes(name.encode()),
            "image/source_id": _bytes(name.encode()),
            "image/height": _ints(80),
            "image/width": _ints(100),
            "image/object/class/text": _bytes(tiny_detector.CLASSES[kind].encode()),
            "image/object/class/label": _ints(kind + 1),
        }
    )
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _floats(value):
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
