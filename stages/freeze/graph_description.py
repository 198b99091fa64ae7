"""What later stages must know of a frozen graph: graph.json."""

import math

import numpy as np
import tensorflow as tf
from object_detection.builders import model_builder

from _runtime import StageError

INPUT = "normalized_input_image_tensor"
BOXES, SCORES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"
POSTPROCESS = "TFLite_Detection_PostProcess"
_TOLERANCE = 1e-3  # grey levels


def describe(config, params, classes, step, anchors):
    """The value of graph.json.

    classes: names, in the label map's order; anchors: number of them. `input.mean` and `input.std` are what the converter is told and what
    the quantized model computes with: value = (pixel - mean) / std; `input.trained_mean` and `trained_std` are training's own.
    """
    size = [config.model.ssd.image_resizer.fixed_shape_resizer.height, config.model.ssd.image_resizer.fixed_shape_resizer.width]
    trained_mean, trained_std = training_normalization(config, size)
    mean, std = quantized_normalization(trained_mean, trained_std)
    return {
        "schema": 1,
        "input": {
            "name": INPUT,
            "shape": [1, *size, 3],
            "mean": mean,
            "std": std,
            "trained_mean": trained_mean,
            "trained_std": trained_std,
        },
        "outputs": [POSTPROCESS + end for end in ("", ":1", ":2", ":3")] if params["postprocess"] else [BOXES, SCORES],
        "raw_outputs": {"boxes": BOXES, "scores": SCORES},
        "postprocess": params["postprocess"],
        "decode": _decode_attributes(config.model.ssd, params),
        "score_converter": type(config.model.ssd.post_processing).ScoreConverter.Name(config.model.ssd.post_processing.score_converter),
        "input_size": size,
        "anchors": anchors,
        "classes": classes,
        "quantized": config.HasField("graph_rewriter"),
        "step": step,
    }


def _decode_attributes(ssd, params):
    """Attributes of TFLite_Detection_PostProcess, which also say how to decode the raw outputs of a graph without it."""
    coder, nms = ssd.box_coder.faster_rcnn_box_coder, ssd.post_processing.batch_non_max_suppression
    return {
        "max_detections": params["max_detections"],
        "max_classes_per_detection": params["max_classes_per_detection"],
        "detections_per_class": params["detections_per_class"],
        "use_regular_nms": params["regular_nms"],
        "nms_score_threshold": nms.score_threshold,
        "nms_iou_threshold": nms.iou_threshold,
        "num_classes": ssd.num_classes,
        "y_scale": coder.y_scale,
        "x_scale": coder.x_scale,
        "h_scale": coder.height_scale,
        "w_scale": coder.width_scale,
    }


def training_normalization(config, size):
    """(mean, std) of the feature extractor's own preprocessing, found by probing it: value = (pixel - mean) / std.

    Raises StageError where it is not the same linear function for each channel, which a quantized input cannot express.
    """
    levels = (0.0, 100.0, 255.0)
    with tf.Graph().as_default():
        model = model_builder.build(config.model, is_training=False)
        probes = [model.preprocess(tf.fill([1, *size, 3], level))[0][0, 0, 0] for level in levels]
        with tf.Session() as session:
            black, grey, white = (value.astype(np.float64) for value in session.run(probes))
    slope = (white - black) / 255.0
    if (
        not (slope > 0).all()
        or np.ptp(slope) > _TOLERANCE / 255 * slope.max()
        or np.ptp(black) > _TOLERANCE * slope.max()
        or np.abs(black + 100.0 * slope - grey).max() > _TOLERANCE * slope.max()
    ):
        raise StageError(
            "the feature extractor normalizes its input in a way that a quantized input cannot",
            "pipeline.config: model.ssd.feature_extractor.type: %s" % config.model.ssd.feature_extractor.type,
            "the same (pixel - mean) / std for each channel",
            "black becomes %s, white %s" % (black.tolist(), white.tolist()),
            "use a MobileNet or Inception feature extractor",
        )
    return round(float(-black[0] / slope[0]), 3), round(float(1.0 / slope[0]), 3)


def quantized_normalization(mean, std):
    """The nearest (mean, std) whose mean is a whole number, as the zero point of a uint8 input must be; black keeps its exact value.

    MobileNet's (127.5, 127.5) becomes the (128, 128) that TensorFlow Lite detectors have by convention: the model then takes black as
    training did, the middle for half a grey level darker and white for one.
    """
    whole = math.floor(mean + 0.5)
    return whole, (std * whole / mean if mean else std)
