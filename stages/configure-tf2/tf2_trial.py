"""One step of what a config describes, on a blank picture: Keras layers are made when they are first called, so building finds little."""

import numpy as np
import tensorflow as tf
from object_detection import inputs
from object_detection.builders import preprocessor_builder
from object_detection.core import standard_fields

from _configure.build import REFUSALS, refused
from _runtime import StageError

_ERRORS = (*REFUSALS, tf.errors.OpError)
_BOX = [[0.25, 0.25, 0.75, 0.75]]  # ymin, xmin, ymax, xmax


def check_runs(model, config):
    """Run augmentations, model and losses once; StageError where one fails, or where boxes and anchors differ in number.

    model: the SSDMetaArch of `config.model`, a model with an input of fixed size.
    """
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    for place, option in enumerate(config.train_config.data_augmentation_options):
        _attempt("train_config.data_augmentation_options.%d" % place, _augment, option)
    boxes, anchors = _attempt("model", _predict, model, size.height, size.width, config.model.ssd.num_classes)
    if boxes != anchors:
        raise StageError(
            "anchors and boxes differ in number",
            "pipeline.config: model.ssd.anchor_generator",
            "%d, as boxes" % boxes,
            anchors,
            "give the anchor generator as many layers as the feature extractor has feature maps",
        )


def _attempt(field, function, *arguments):
    try:
        return function(*arguments)
    except _ERRORS as error:
        raise refused(field, error) from error


def _augment(option):
    """Augment one picture, as training does: inside a tf.data map, where some augmentations run that fail outside of it."""
    fields = standard_fields.InputDataFields
    tensors = {
        fields.image: tf.zeros([64, 64, 3]),
        fields.groundtruth_boxes: tf.constant(_BOX),
        fields.groundtruth_classes: tf.constant([1], tf.int64),
        fields.groundtruth_weights: tf.ones([1]),
    }
    built = [preprocessor_builder.build(option)]
    next(iter(tf.data.Dataset.from_tensors(tensors).map(lambda example: inputs.augment_input_data(example, built))))


def _predict(model, height, width, classes):
    """(number of boxes, number of anchors) of one picture."""
    pixels, shapes = model.preprocess(tf.zeros([1, height, width, 3]))
    model.provide_groundtruth(
        groundtruth_boxes_list=[tf.constant(_BOX)],
        groundtruth_classes_list=[tf.one_hot([0], classes)],
        groundtruth_weights_list=[tf.ones([1])],
    )
    found = model.predict(pixels, shapes)
    losses = model.loss(found, shapes)
    if not all(np.isfinite(loss.numpy()).all() for loss in losses.values()):
        raise ValueError("the loss of a blank picture is not a number: %s" % {name: float(loss) for name, loss in losses.items()})
    return int(found["box_encodings"].shape[1]), int(found["anchors"].shape[0])
