"""The one place where the Garden's conventions become ours.

The Garden's detector is given normalized pixels, and detects boxes in pixels of the input and classes from 1, 0 being the background. Ours
are fractions of the image and classes from 0, and the scores' first column, which nothing is decoded from, is the background's. So:

- outputs are taken before the Garden decodes: encodings and scores of each level in turn, in the order of the anchors;
- anchors become centres and sizes in fractions of the input. The box coding is one of ratios, so encodings stay what they are;
- the score is the sigmoid of the output, as the Garden's own decoding has it (modeling/layers/detection_generator.py);
- how pixels are normalized is said in graph.json, channel by channel.
"""

import numpy as np
import tensorflow as tf
from official.vision.ops import anchor

from _garden.experiment import BACKGROUND, MEAN, STD, input_size
from _tf2_export.artifact import Exported

_BOX_CODE = 4


def exported_detector(experiment, model, params, classes, step):
    """What `_tf2_export` writes of a model of the Garden. params: the stage's; classes: names in the label map's order."""
    return Exported(
        raw_outputs=raw_outputs(experiment, model),
        anchors=anchors(experiment),
        size=input_size(experiment),
        mean=MEAN,
        std=STD,
        decode=decode_attributes(experiment, params, len(classes)),
        score_converter="SIGMOID",
        classes=classes,
        quantized=experiment.task.quantization is not None,
        step=step,
    )


def raw_outputs(experiment, model):
    """A function of normalized pixels [1, h, w, 3]: (encodings [1, n, 4]: ty, tx, th, tw; scores [1, n, 1 + classes], background first)."""
    levels = [str(level) for level in range(experiment.task.model.min_level, experiment.task.model.max_level + 1)]

    def function(pixels):
        features = model.decoder(model.backbone(pixels, training=False), training=False)
        logits, encodings, _ = model.head(features, training=False)
        boxes = tf.concat([tf.reshape(encodings[level], [1, -1, _BOX_CODE]) for level in levels], axis=1)
        columns = experiment.task.model.num_classes
        return boxes, tf.sigmoid(tf.concat([tf.reshape(logits[level], [1, -1, columns]) for level in levels], axis=1))

    return function


def anchors(experiment):
    """float32 [n, 4], ycenter, xcenter, height, width, 1.0 being the input's side; level by level, then row by row, as the outputs are."""
    model = experiment.task.model
    made = anchor.Anchor(
        model.min_level,
        model.max_level,
        model.anchor.num_scales,
        model.anchor.aspect_ratios,
        model.anchor.anchor_size,
        input_size(experiment),
    )
    corners = np.concatenate([boxes.numpy().reshape(-1, 4) for boxes in made.multilevel_boxes.values()]).astype(np.float64)
    corners /= np.tile(input_size(experiment), 2)
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)


def decode_attributes(experiment, params, classes):
    """Attributes of TFLite_Detection_PostProcess. The number of classes is without the background, which the operator then leaves out."""
    generator = experiment.task.model.detection_generator
    scales = [float(scale) for scale in generator.box_coder_weights or [1.0] * _BOX_CODE]
    return {
        "max_detections": params["max_detections"],
        "max_classes_per_detection": params["max_classes_per_detection"],
        "detections_per_class": params["detections_per_class"],
        "use_regular_nms": params["regular_nms"],
        "nms_score_threshold": float(generator.pre_nms_score_threshold),
        "nms_iou_threshold": float(generator.nms_iou_threshold),
        "num_classes": classes,
        **dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), scales)),
    }


def class_count(experiment):
    """How many classes the model tells apart, without the background."""
    return experiment.task.model.num_classes - BACKGROUND
