"""What the tests of freeze-tf2, convert-tf2 and infer-saved-model share: a frozen tiny detector, a smaller one by hand, parameters."""

import numpy as np
import tensorflow as tf
from _detection.detection_records import read_index, stream_detections
from _tf2_export.artifact import Exported, write_artifact
from _tflite.lint import pixel_range
from tiny_config_tf2 import CLASSES

import detector_images
from stage_helpers import artifact, run_program

FREEZE = {
    "postprocess": True,
    "max_detections": 20,
    "max_classes_per_detection": 1,
    "detections_per_class": 20,
    "regular_nms": False,
    "native_resize": True,
    "inference_model": True,
}
CONVERT = {"quantization": "int8", "input_type": "uint8", "representative_images": 8, "seed": 1, "seconds": 300}
INFER = {"form": "raw-outputs", "split": "val", "shards": 0, "discard_image_pixels": True, "layers": 0}
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}  # as the image sets it
SIDE, CELL = 32, 8  # of the detector by hand: pixels, pixels an anchor

_made = {}


def _once(name, tmp_path_factory, make):
    """What `make(folder)` gives, made once for all test modules."""
    if name not in _made:
        _made[name] = make(tmp_path_factory.mktemp(name))
    return _made[name]


def frozen_tiny(tmp_path_factory, checkpoint):
    """The folder of the saved-model artifact that freeze-tf2's program makes of the tiny checkpoint, with the API's own model."""

    def make(folder):
        inputs = {"checkpoint": artifact("train-tf2", "checkpoint-tf2", checkpoint)}
        done = run_program(folder / "run", "freeze-tf2", FREEZE, inputs, env=dict(ENVIRONMENT, PYTHONHASHSEED="1"))
        assert done.code == 0, done.log
        return done.output

    return _once("frozen-tf2", tmp_path_factory, make)


def train_records(tmp_path_factory):
    """The task's entry of records with a train split of 12 images in three shards."""
    return _once("train-records-tf2", tmp_path_factory, lambda folder: detector_images.write_records(folder, CLASSES, 12, 3, "train"))


def val_records(tmp_path_factory):
    """The task's entry of records with a val split of 6 images in two shards."""
    return _once("val-records-tf2", tmp_path_factory, lambda folder: detector_images.write_records(folder, CLASSES, 6, 2))


def converted_tiny(tmp_path_factory, checkpoint):
    """The folder of the tflite artifact that convert-tf2's program makes of the frozen tiny detector: int8, uint8 input."""

    def make(folder):
        inputs = {
            "model": artifact("freeze-tf2", "saved-model", frozen_tiny(tmp_path_factory, checkpoint)),
            "records": train_records(tmp_path_factory),
        }
        done = run_program(folder / "run", "convert-tf2", CONVERT, inputs, env=ENVIRONMENT)
        assert done.code == 0, done.log
        return done.output

    return _once("converted-tf2", tmp_path_factory, make)


def decode(**changes):
    """Attributes of the operator of the detector by hand."""
    usual = {
        "max_detections": 10,
        "max_classes_per_detection": 1,
        "detections_per_class": 20,
        "use_regular_nms": False,
        "nms_score_threshold": 0.25,
        "nms_iou_threshold": 0.5,
        "num_classes": 3,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    return dict(usual, **changes)


def grid_anchors():
    """One anchor for each cell: float32 [16, 4], centre and size."""
    centres = (np.arange(SIDE // CELL) + 0.5) * CELL / SIDE
    y, x = (grid.reshape(-1) for grid in np.meshgrid(centres, centres, indexing="ij"))
    return np.stack([y, x, np.full_like(y, 0.3), np.full_like(y, 0.25)], axis=1).astype(np.float32)


def write_by_hand(folder, odd=None, trained=False, postprocess=True, mean=127.5, std=127.5, **changes):
    """Write a saved-model artifact of three convolutions to the existing `folder`; changes: to the operator's attributes.

    odd: a function that is put between the layers; trained: with the fake-quantization that training for quantization leaves.
    """
    random = np.random.RandomState(1)
    kernels = [tf.Variable(random.normal(0, 0.3, shape).astype(np.float32)) for shape in ([CELL, CELL, 3, 8], [1, 1, 8, 4], [1, 1, 8, 3])]
    bias = tf.Variable(random.normal(0, 0.5, [8]).astype(np.float32))

    def ranged(value, least, most):
        return tf.quantization.fake_quant_with_min_max_vars(value, least, most) if trained else value

    def weights(kernel):
        return tf.quantization.fake_quant_with_min_max_vars(kernel, -1.0, 1.0, narrow_range=True) if trained else kernel

    def raw_outputs(pixels):
        pixels = ranged(pixels, *pixel_range(mean, std))
        with tf.name_scope("net/first"):
            made = tf.nn.conv2d(pixels, weights(kernels[0]), CELL, "SAME", name="Conv2D")
            made = ranged(tf.nn.relu6(tf.nn.bias_add(made, bias)), 0.0, 6.0)
        if odd is not None:
            with tf.name_scope("net/odd"):
                made = odd(made)
        with tf.name_scope("head/box"):
            boxes = ranged(tf.nn.conv2d(made, weights(kernels[1]), 1, "SAME", name="Conv2D"), -8.0, 8.0)
        with tf.name_scope("head/class"):
            scores = ranged(tf.nn.conv2d(made, weights(kernels[2]), 1, "SAME", name="Conv2D"), -8.0, 8.0)
        cells = (SIDE // CELL) ** 2
        return tf.reshape(boxes, [1, cells, 4]), tf.sigmoid(tf.reshape(scores, [1, cells, 3]))

    exported = Exported(raw_outputs, grid_anchors(), [SIDE, SIDE], mean, std, decode(**changes), "SIGMOID", CLASSES, trained, 1)
    write_artifact(folder, exported, postprocess)
    return folder


def found_in(done):
    """The `Found` of each image of an inference run, in order."""
    assert done.error is None, done.error
    return list(stream_detections(done.output, read_index(done.output)))
