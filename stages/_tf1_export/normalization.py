"""How pixels become the model's input: as training does it, and as the quantized model on the device does."""

import math

import tensorflow as tf
from object_detection.builders import model_builder

from _odapi.normalization import LEVELS, linear_normalization, same_for_all


def training_normalization(config, size):
    """(mean, std) of the feature extractor's own preprocessing, found by probing it: value = (pixel - mean) / std.

    Raises StageError where it is not the same linear function for each channel, which TOCO's quantized input cannot express.
    """
    with tf.Graph().as_default():
        model = model_builder.build(config.model, is_training=False)
        probes = [model.preprocess(tf.fill([1, *size, 3], level))[0][0, 0, 0] for level in LEVELS]
        with tf.Session() as session:
            values = session.run(probes)
    where = "pipeline.config: model.ssd.feature_extractor.type: %s" % config.model.ssd.feature_extractor.type
    return same_for_all(*linear_normalization(values, where), where)


def quantized_normalization(mean, std):
    """The nearest (mean, std) whose mean is a whole number, as the zero point of a uint8 input must be; black keeps its exact value.

    MobileNet's (127.5, 127.5) becomes the (128, 128) that TensorFlow Lite detectors have by convention: the model then takes black as
    training did, the middle for half a grey level darker and white for one.
    """
    whole = math.floor(mean + 0.5)
    return whole, (std * whole / mean if mean else std)
