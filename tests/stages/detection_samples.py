"""What must come out the same in every image, whatever its Python, NumPy and protobuf: bytes of detections, places of layers' samples."""

import hashlib

import numpy as np
from _detection.detection_records import add_detections, write_shard
from _detection.example_message import Example
from _detection.layer_samples import sample
from _detection.postprocess import Detections

from detector_images import example

SHARD = "094b1fa02677224ee275c2e8205b601772afed844d88dcfbbb1411c69fca6165"
PLACES = "fb4441998a57f873669f45489934e52095f6a3723e2497d4de33c33bb5a28d4f"


def samples():
    """tf.Examples with detections: one with all that there may be, one with nothing, one with features of others."""
    image = {"id": 7, "name": "a/päth.png", "width": 40, "height": 30, "sha256": "ab" * 32}
    full = Detections(
        np.array([[0.1, 0.2, 0.3, 0.4], [-0.5, 0, 1.5, 1]], np.float32), np.array([2, 0]), np.array([0.75, 1 / 3], np.float32)
    )
    none = Detections(np.zeros([0, 4], np.float32), np.zeros([0], np.int64), np.zeros([0], np.float32))
    foreign = example(dict(image, id=8), b"\xff\xd8", [(1, 0.25, 0.25, 0.75, 0.5)] * 3)
    for number in range(40):
        foreign.features.feature["their/%d" % (number * 7919 % 40)].float_list.value.extend([number / 7, float("nan"), float("inf")])
    foreign.features.feature["their/negative"].int64_list.value.extend([-1, 1 << 62, 0])
    foreign.features.feature["their/unset"].SetInParent()
    return [
        add_detections(example(image, b"\x89PNG"), full, masks=[b"\x00\x01", b""], input_sha256="cd" * 32, pixels=True),
        add_detections(Example(), none),
        add_detections(foreign, full),
    ]


def shard_digest(path):
    """sha256 of the shard that `samples` make at `path`."""
    write_shard(path, samples())
    with open(str(path), "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def places_digest():
    """sha256 of the places that are kept of a large layer."""
    size = 1 << 20
    return hashlib.sha256(sample("FeatureExtractor/MobilenetV2/Conv", np.arange(size)).astype(np.int64).tobytes()).hexdigest()
